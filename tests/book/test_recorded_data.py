"""The recorded data: nothing changed, no seed missing, and no bound or status moved unnoticed."""

from __future__ import annotations

import json

import pytest

import make_claims
from claims_account import load_claims
from gmmtf.record import Recording
from gmmtf_book import CHAPTERS, RESULTS

RECORDS = sorted(p.name for p in RESULTS.glob("*.json") if p.name != "claims.json")
THREE = {0, 1, 2}
OF_KIND = {"start": set(range(10)), "search": set(range(25))}
"""Seeds of descents from random starts, and of pieces of a random search."""
OTHER = {
    "10_mnist_generation.json": {0},
    "10_mnist_ten.json": {0},
    "10_mnist_exposure.json": set(range(6)),
}
"""Seeds of records that have not three; chapter 10 says so."""
OF_LONG_RUNS = {
    "as before, long": {0},
    "2 drawn oftener, long": {0},
    "neighbours mixed, 2 drawn oftener, long": {0, 1},
}

STATUSES = {
    "confirmed": ["C3a", "C5", "C7"],
    "confirmed in our reading": [
        "C1", "C2", "C3b", "C3d", "C4", "C6", "F1", "F2A", "F2B", "F2C", "F3", "F4", "F5",
    ],
    "deviates": ["C3c"],
}  # fmt: skip

PINNED = make_claims.ROOT / "tests" / "book" / "bounds.json"


def test_the_manifest_is_that_of_the_files():
    found = make_claims.MANIFEST.read_text(encoding="utf-8")
    assert found == make_claims.manifest(), "run `make claims` if records were meant to change"


def test_a_changed_digit_changes_the_manifest(tmp_path, monkeypatch):
    results, checkpoints = tmp_path / "results", tmp_path / "checkpoints"
    results.mkdir()
    checkpoints.mkdir()
    for name in ("a.json", "b.json", "claims.json"):
        (results / name).write_text("1.25")
    (checkpoints / "w.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(make_claims, "DATA", tmp_path)
    monkeypatch.setattr(make_claims, "RESULTS", results)
    monkeypatch.setattr(make_claims, "CLAIMS", results / "claims.json")
    before = make_claims.manifest().splitlines()
    assert [line.split("  ")[1] for line in before] == [
        "checkpoints/w.safetensors", "results/a.json", "results/b.json",
    ]  # fmt: skip
    (results / "b.json").write_text("1.26")
    (results / "claims.json").write_text("2")
    after = make_claims.manifest().splitlines()
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]


@pytest.mark.parametrize("name", RECORDS)
def test_every_seed_is_there_wherever_there_are_seeds(name):
    seeds: dict[str, set[object]] = {}
    for point in Recording(RESULTS / name):
        if "seed" in point.labels:
            others = {key: value for key, value in point.labels.items() if key != "seed"}
            seeds.setdefault(json.dumps(others, sort_keys=True), set()).add(point.labels["seed"])
    for labels, found in seeds.items():
        named = json.loads(labels)
        usual = OF_LONG_RUNS.get(str(named.get("training")), THREE)
        usual = OF_KIND.get(named.get("kind"), usual)
        assert found == OTHER.get(name, usual), labels


def test_no_status_moves_unnoticed():
    found: dict[str, list[str]] = {}
    for claim in load_claims(make_claims.CLAIMS):
        found.setdefault(claim["status"], []).append(claim["id"])
    assert found == STATUSES


def test_no_bound_moves_unnoticed():
    """A bound is a statement of the book: whoever moves one moves it here too, and says why."""
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))
    found = {
        chapter: {
            name: [bound.at_least, bound.at_most]
            for name, bound in make_claims.bounds(chapter).items()
        }
        for chapter in CHAPTERS
    }
    assert found == pinned
