"""Recorded results and the checks of claims."""

from __future__ import annotations

import json
import os

import pytest

import gmmtf
from gmmtf.results import Check, Recording, load, provenance, save, verify

SETTINGS = {"n_tokens": 4, "lr": 0.1, "name": "σ"}
VALUES = {"risk": [0.25, 1 / 3, 1e-300], "done": True, "none": None}
NAN, INF = float("nan"), float("inf")


def test_round_trip_with_provenance(tmp_path):
    path = tmp_path / "new" / "a.json"
    save(path, settings=SETTINGS, values=VALUES)
    found = load(path)
    assert found["settings"] == SETTINGS
    assert found["values"] == VALUES
    assert found["provenance"]["gmmtf"] == gmmtf.__version__
    assert {"python", "torch", "processor", "gpu", "threads", "date"} < found["provenance"].keys()
    assert os.listdir(path.parent) == ["a.json"]
    assert load(str(path)) == found


@pytest.mark.parametrize("bad", [NAN, INF, -INF, {"deep": [1.0, [NAN]]}])
@pytest.mark.parametrize("place", ["settings", "values"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, bad, place):
    path = tmp_path / "a.json"
    save(path, settings=SETTINGS, values=VALUES)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"."):
        save(path, **{"settings": {}, "values": {}, place: {"x": bad}})
    assert path.read_bytes() == before


@pytest.mark.parametrize("crash", ["rename", "content"])
def test_a_crash_leaves_the_old_result_alone(tmp_path, crash, monkeypatch):
    path = tmp_path / "a.json"
    save(path, settings=SETTINGS, values=VALUES)
    before = path.read_bytes()

    def killed(*arguments):
        raise KeyboardInterrupt

    if crash == "rename":
        monkeypatch.setattr(os, "replace", killed)
    with pytest.raises((KeyboardInterrupt, TypeError)):
        save(path, settings={}, values={1} if crash == "content" else 2)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    "text",
    ["", "not json", "{", "{}", '{"values": 1}', "[]", "[1]", "[{}]", "5", "null", '"text"'],
)
def test_a_file_of_another_kind_is_named(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json"):
        load(path)


def test_a_missing_result(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.json")
    json.loads(json.dumps(provenance()))


@pytest.mark.parametrize(
    ("value", "bounds", "holds"),
    [
        (1.0, {"at_least": 1.0}, True),
        (0.999, {"at_least": 1.0}, False),
        (1.0, {"at_most": 1.0}, True),
        (1.001, {"at_most": 1.0}, False),
        (1.5, {"at_least": 1.0, "at_most": 2.0}, True),
        (2.5, {"at_least": 1.0, "at_most": 2.0}, False),
        (0.5, {"at_least": 1.0, "at_most": 2.0}, False),
        (-3.0, {"at_most": 0}, True),
        (NAN, {"at_least": 0.0}, False),
        (NAN, {"at_most": 0.0}, False),
        (NAN, {"at_least": 0.0, "at_most": 1.0}, False),
        (INF, {"at_most": 1.0}, False),
        (-INF, {"at_least": 1.0}, False),
        (1.0, {"at_most": NAN}, False),
        (1.0, {"at_least": NAN}, False),
    ],
)
def test_bounds(value, bounds, holds):
    check = Check("a claim", value, **bounds)
    assert check.holds is holds
    if holds:
        verify([check])
    else:
        with pytest.raises(AssertionError, match="a claim"):
            verify([check])


def test_a_check_needs_a_bound():
    with pytest.raises(ValueError, match=r"^a claim: .*at_least"):
        Check("a claim", 1.0)


def test_the_table(capsys):
    verify(
        [
            Check("short", 0.123456, at_most=0.2),
            Check("a longer claim", 12.0, at_least=1, at_most=1234.5),
            Check("hidden", 0.5, at_least=0.25, shown=False),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["claim", "value", "required"],
        ["short", "0.123", "at", "most", "0.2", "holds"],
        ["a", "longer", "claim", "12", "1", "to", "1.23e+03", "holds"],
        ["hidden", "-", "at", "least", "0.25", "holds"],
    ]
    assert len({line.index("holds") for line in lines[1:]}) == 1  # columns are aligned
    assert not any(line != line.rstrip() for line in lines)


def test_the_table_comes_before_the_failure(capsys):
    checks = [
        Check("first", 3.0, at_most=2.0),
        Check("second", 1.0, at_most=2.0),
        Check("third", NAN, at_least=0.5, shown=False),
    ]
    with pytest.raises(AssertionError, match=r"first: 3, required at most 2.*third: nan") as raised:
        verify(checks)
    assert "second" not in str(raised.value)
    printed = capsys.readouterr().out
    assert [line.split()[-1] for line in printed.splitlines()[1:]] == ["FAILS", "holds", "FAILS"]


def test_a_recording_computes_each_point_once_and_keeps_it(tmp_path):
    path = tmp_path / "points.json"
    calls = []

    def compute():
        calls.append(1)
        return (1.0, {"a": [2]})

    recording = Recording(path, {"sizes": (1, 2)})
    assert recording.point("one", compute) == [1.0, {"a": [2]}]
    again = Recording(path, {"sizes": (1, 2)})
    assert again.point("one", compute) == [1.0, {"a": [2]}]
    assert len(calls) == 1
    assert load(path)["values"] == {"one": [1.0, {"a": [2]}]}


def test_a_recording_stopped_at_a_point_keeps_the_points_before(tmp_path):
    path = tmp_path / "points.json"
    recording = Recording(path, {})
    recording.point("one", lambda: 1)
    with pytest.raises(ZeroDivisionError):
        recording.point("two", lambda: 1 / 0)
    with pytest.raises(ValueError, match="JSON compliant"):
        recording.point("three", lambda: NAN)
    assert Recording(path, {}).values == {"one": 1}


def test_a_recording_with_other_settings_is_refused_and_kept(tmp_path):
    path = tmp_path / "points.json"
    Recording(path, {"dim": 4, "seeds": [0]}).point("one", lambda: 1)
    with pytest.raises(ValueError, match=r"other settings \(dim, extra\)"):
        Recording(path, {"dim": 5, "seeds": [0], "extra": 1})
    assert load(path)["values"] == {"one": 1}


def test_a_recording_without_a_file_stays_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recording = Recording("", {})
    assert recording.point("one", lambda: 1) == recording.point("one", lambda: 2) == 1
    assert os.listdir(tmp_path) == []
