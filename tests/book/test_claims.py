"""The account of the paper's claims: complete, well formed, and tied to pages that exist."""

from __future__ import annotations

import json
import re

import pytest

import make_claims
from claims_account import KEYS, load_claims, required, with_numbers
from gmmtf.check import Bound
from gmmtf_book import CHAPTERS
from kernel_environment import ROOT

CLAIMS = ROOT / "data" / "results" / "claims.json"
EVIDENCE = [number for claim in load_claims(CLAIMS) for number in claim["evidence"]]
IDS = [
    "C1",
    "C2",
    "C3a",
    "C3b",
    "C3c",
    "C3d",
    "C4",
    "C5",
    "C6",
    "C7",
    "F1",
    "F2A",
    "F2B",
    "F2C",
    "F3",
    "F4",
    "F5",
]


def test_every_known_claim_has_a_row():
    assert [claim["id"] for claim in load_claims(CLAIMS)] == IDS


def test_a_claim_says_what_was_done_as_soon_as_it_has_a_status():
    for claim in load_claims(CLAIMS):
        covered = claim["status"] != "not yet"
        assert bool(claim["chapter"]) == covered, claim["id"]
        assert bool(claim["done"]) == covered, claim["id"]
        if claim["chapter"]:
            assert list((ROOT / "book").glob(f"{claim['chapter']}.*")), claim["chapter"]


def test_there_is_evidence_of_both_kinds():
    runs = {number["run"] for number in EVIDENCE}
    assert runs == {"live", "recorded"}


def test_the_file_is_what_make_claims_writes():
    claims = json.loads(CLAIMS.read_text(encoding="utf-8"))
    again = make_claims.text_of([make_claims.filled(claim) for claim in claims])
    assert CLAIMS.read_text(encoding="utf-8") == again, "run `make claims`"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_check_table_has_the_bounds_of_its_chapter_and_the_recorded_numbers(chapter):
    bounds = make_claims.bounds(chapter)
    table = make_claims.stored_table(chapter)
    assert list(table) == [bound.claim for bound in bounds.values()]
    for name, bound in bounds.items():
        row = table[bound.claim]
        assert (row.required, row.run) == (bound.required, bound.run), name
        assert (row.value is not None) == bound.shown, name
        if bound.run == "recorded":
            found = make_claims.recorded(chapter)[name]
            assert bound.holds(found), name
            if bound.shown:
                assert row.value == float(bound.written(found)), name


@pytest.fixture
def chapter_of_its_own(monkeypatch):
    """Make a chapter with a live number, a hidden one and a recorded one."""
    bounds = [
        Bound("ratio", "a ratio", at_most=2.0),
        Bound("hidden", "a hidden ratio", 0.5, 1.0, shown=False),
        Bound("exponent", "an exponent", -1.0, -0.5, run="recorded"),
    ]
    table = {
        "a ratio": make_claims.Row(1.25, "at most 2", "live", "holds"),
        "a hidden ratio": make_claims.Row(None, "0.5 to 1", "live", "holds"),
    }
    monkeypatch.setattr(make_claims, "bounds", lambda chapter: {b.number: b for b in bounds})
    monkeypatch.setattr(make_claims, "stored_table", lambda chapter: table)
    monkeypatch.setattr(
        make_claims, "recorded", lambda chapter: {"exponent": -0.658749, "share": 0.99471}
    )


def written_by_hand(*numbers: str, text: str = "") -> dict[str, object]:
    evidence = [{"chapter": "c", "number": name, "what": f"the {name}"} for name in numbers]
    return dict.fromkeys(KEYS, "") | {
        "id": "C1", "number": text, "evidence": evidence, "numbers": {}, "chapter": "c",
        "status": "confirmed",
    }  # fmt: skip


@pytest.mark.usefixtures("chapter_of_its_own")
def test_numbers_are_filled_in(tmp_path):
    text = "falls like $d^{{exponent:.2f}}$, {ratio:.3g} times, {share:.1%}, at $\\pi_{\\min}$"
    claim = make_claims.filled(written_by_hand("ratio", "hidden", "exponent", text=text))
    assert [entry["value"] for entry in claim["evidence"]] == [1.25, None, -0.658749]
    assert [entry["run"] for entry in claim["evidence"]] == ["live", "live", "recorded"]
    assert [required(entry) for entry in claim["evidence"]] == [
        "at most 2",
        "0.5 to 1",
        "-1 to -0.5",
    ]
    assert claim["numbers"] == {"exponent": -0.658749, "ratio": 1.25, "share": 0.99471}
    drawn = with_numbers(claim["number"], claim["numbers"])
    assert drawn == "falls like $d^{-0.66}$, 1.25 times, 99.5 %, at $\\pi_{\\min}$"
    assert make_claims.filled(claim) == claim
    path = tmp_path / "claims.json"
    path.write_text(make_claims.text_of([claim]))
    assert load_claims(path) == [claim]


@pytest.mark.usefixtures("chapter_of_its_own")
@pytest.mark.parametrize(
    ("numbers", "text", "message"),
    [
        (["nothing"], "", "claim C1: no evidence 'nothing' in c"),
        ([], "{nothing:.2f}", "claim C1: 'nothing' in its text is nowhere"),
        (["hidden"], "{hidden:.2f}", "claim C1: 'hidden' in its text is ['None']"),
    ],
)
def test_missing_evidence_is_named_by_its_claim(numbers, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_claims.filled(written_by_hand(*numbers, text=text))


def test_a_chapter_without_bounds_is_named():
    claim = written_by_hand("a")
    claim["evidence"][0]["chapter"] = "99_nothing"
    with pytest.raises(ValueError, match="claim C1: no evidence 'a' in 99_nothing"):
        make_claims.filled(claim)


GOOD = {"what": "a", "value": 1, "at_most": 2, "chapter": "c", "number": "a", "run": "live"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evidence": [GOOD | {"recorded": "b"}]}, "evidence with keys"),
        ({"evidence": [{k: v for k, v in GOOD.items() if k != "at_most"}]}, "and a bound"),
        ({"evidence": [{k: v for k, v in GOOD.items() if k != "run"}]}, "make claims"),
        ({"evidence": [GOOD | {"run": "typed"}]}, "run 'typed'"),
        ({"evidence": [GOOD | {"value": None, "run": "recorded"}]}, "recorded, but has no value"),
        ({"evidence": [GOOD | {"value": 3}]}, "a is 3, not in"),
        ({"evidence": [GOOD | {"value": None}, GOOD]}, "the number that decides"),
        ({"number": "it is {a:.2f}"}, "no number 'a'"),
        ({"status": "proved"}, "status 'proved'"),
        ({"extra": "x"}, "keys"),
        ({"id": "C2"}, "occurred before"),
    ],
)
def test_a_malformed_account_is_refused(tmp_path, change, message):
    empty = dict.fromkeys(KEYS, "") | {"status": "not yet", "evidence": [], "numbers": {}}
    claims = [empty | {"id": i} for i in ("C1", "C2", "C3")]
    claims[2] |= change
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(claims))
    with pytest.raises(ValueError, match=re.escape(message)):
        load_claims(path)
