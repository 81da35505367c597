"""Records: labelled points that are computed once, by one process or several."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gmmtf import Estimate
from gmmtf import record as record_module
from gmmtf.jsonvalues import encode, write
from gmmtf.provenance import FIELDS
from gmmtf.record import CONVERTER, Point, Recording

ROOT = Path(__file__).resolve().parents[2]
INF, NAN = math.inf, math.nan


def never():
    raise AssertionError("computed again")


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process that records."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "points.json"


def test_each_point_is_computed_once_and_kept(path):
    calls = []

    def compute():
        calls.append(1)
        return (1.0, {"a": [2]})

    first = Recording(path, {"sizes": (1, 2)})
    assert first.point(compute, kind="one", seed=0) == [1.0, {"a": [2]}]
    again = Recording(path, {"sizes": [1, 2]})
    assert again.point(compute, seed=0, kind="one") == [1.0, {"a": [2]}]
    assert len(calls) == 1
    assert again.settings == {"sizes": [1, 2]}
    assert Recording(path).value(kind="one") == [1.0, {"a": [2]}]


def test_values_of_all_kinds_come_back(path):
    value = {
        "estimate": Estimate(0.5, 0.25), "never": INF, "numpy": np.float32(0.5),
        "torch": torch.tensor([1, 2]), "curve": [Estimate(1.0, INF), -INF], "none": None,
    }  # fmt: skip
    plain = {**value, "numpy": 0.5, "torch": [1, 2]}
    assert Recording(path, {}).point(lambda: value, kind="all") == plain
    assert Recording(path).value(kind="all") == plain


def test_a_point_says_what_it_was_computed_with(path):
    record = Recording(path, {}, code="gmmtf.estimate", device="cuda:1")
    record.point(lambda: time.sleep(0.02), seed=0)
    made = json.loads(path.read_text())["points"][0]["provenance"]
    assert tuple(made) == FIELDS
    assert made["code"].startswith("gmmtf.estimate:")
    assert made["device"] == "cuda:1"
    assert 0.02 <= made["seconds"] < 5
    assert Recording(path).points[0].provenance == made


def test_a_new_point_changes_no_other(path):
    Recording(path, {"a": 1}).point(lambda: Estimate(1 / 3, 1e-300), seed=0)
    document = json.loads(path.read_text())
    document["points"][0]["provenance"] = {"commit": "another", "note": "of another machine"}
    path.write_text(json.dumps(document))
    record = Recording(path, {"a": 1})
    record.point(lambda: 2, seed=1)
    record.point(lambda: 3, seed=2)
    after = json.loads(path.read_text())
    assert after["points"][0] == document["points"][0]
    assert [p["labels"] for p in after["points"]] == [{"seed": 0}, {"seed": 1}, {"seed": 2}]


def test_changing_a_value_that_was_returned_does_not_change_the_file(path):
    record = Recording(path, {})
    record.point(lambda: [1], seed=0).append(2)
    record.point(lambda: 1, seed=1)
    assert Recording(path).value(seed=0) == [1]


def test_changing_a_value_that_was_read_does_not_change_the_file(path):
    Recording(path, {}).point(lambda: [1], seed=0)
    record = Recording(path, {})
    record.value(seed=0).append(2)
    record.point(lambda: 1, seed=1)
    assert Recording(path).value(seed=0) == [1]


@pytest.mark.parametrize("settings", [{}, {"sizes": [[k, {"k": k}] for k in range(30)]}])
def test_the_text_is_that_of_one_json_document(path, settings):
    values = [1, "é\u2028\r\n", INF, [], {}, [{"a": [k] * 30} for k in range(9)], Estimate(1, 2)]
    record = Recording(path, settings)
    for count in range(len(values) + 1):
        points = [
            {"labels": {"k": k}, "value": encode(value), "provenance": {}}
            for k, value in enumerate(values[:count])
        ]
        text = write({"settings": settings, "points": points})
        assert record.text() == text
        if count:
            assert path.read_text(encoding="utf-8") == text
        if count < len(values):
            record.take(Point({"k": count}, values[count], {}))


def test_what_could_not_be_written_is_not_taken_as_done(path, monkeypatch):
    record = Recording(path, {})
    for seed in range(2):
        record.point(lambda: 1, seed=seed)

    def full(*_, **__):
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr("gmmtf.record.replacing", full)
        with pytest.raises(OSError, match="no space"):
            record.drop(seed=0)
    record.point(lambda: 1, seed=2)
    assert [point.labels["seed"] for point in Recording(path)] == [0, 1, 2]


@pytest.mark.parametrize("bad", [NAN, [1.0, NAN], {"a": Estimate(1.0, NAN)}])
def test_a_point_that_fails_or_is_no_number_leaves_those_before(path, bad):
    record = Recording(path, {})
    record.point(lambda: 1, seed=0)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        record.point(lambda: 1 / 0, seed=1)
    with pytest.raises(ValueError, match="NaN"):
        record.point(lambda: bad, seed=2)
    assert path.read_bytes() == before
    assert len(record.points) == 1


def test_labels_compare_exactly(path):
    record = Recording(path, {})
    labels = [
        {"x": True}, {"x": 1}, {"x": "1"}, {"x": None}, {"x": 1.5}, {"x": INF}, {"x": 0},
        {"x": False}, {"y": 1}, {"x": 1, "y": 1}, {"x": 0.1 + 0.2}, {"x": 0.3}, {},
    ]  # fmt: skip
    for number, one in enumerate(labels):
        record.point(lambda number=number: number, **one)
    again = Recording(path, {})
    for number, one in enumerate(labels):
        assert again.point(never, **one) == number
    assert again.point(never, x=1.0) == 1  # the same number
    assert again.point(never, x=np.int64(1)) == 1
    assert again.point(never, x=np.bool_(True)) == 0
    assert again.value(x=INF) == 5
    assert [p.value for p in again.select(x=1)] == [1, 9]
    assert [p.value for p in again.select(x=torch.tensor(1))] == [1, 9]
    assert len(again.select()) == len(labels)


@pytest.mark.parametrize("bad", [[1, 2], {"a": 1}, Estimate(1.0), (), torch.zeros(2)])
def test_a_label_is_a_text_or_a_number(bad):
    with pytest.raises(TypeError, match="label 'size'"):
        Recording(None, {}).point(never, size=bad)
    with pytest.raises(ValueError, match="NaN"):
        Recording(None, {}).point(never, size=NAN)


def test_labels_may_have_any_name():
    record = Recording(None, {})
    record.point(lambda: 1, compute="a", seconds=2, value=3)
    assert record.value(compute="a") == 1


def test_selecting(path):
    record = Recording(path, {})
    for kind in ("a", "b"):
        for seed in (0, 1):
            record.point(lambda seed=seed: Estimate(seed, 1.0), kind=kind, seed=seed)
    assert [p.labels["seed"] for p in record.select(kind="b")] == [0, 1]
    assert record.value(kind="a", seed=1) == Estimate(1, 1.0)
    for labels, count in (({"kind": "a"}, 2), ({"kind": "c"}, 0), ({"other": 1}, 0)):
        with pytest.raises(KeyError, match=f"got {count}"):
            record.value(**labels)
    assert list(record) == record.points


def test_tables(path):
    record = Recording(path, {})
    for seed in (0, 1):
        entries = {"risk": Estimate(seed, 1.0), "step": seed}
        record.point(lambda entries=entries: entries, kind="a", seed=seed)
        record.point(lambda seed=seed: 10 * seed, kind="b", seed=seed)
    frame = record.frame(kind="a")
    assert list(frame.columns) == ["kind", "seed", "risk", "step"]
    pooled = frame.groupby("kind").risk.apply(Estimate.mean)
    assert pooled["a"] == Estimate(0.5, math.sqrt(2) / 2)
    plain = record.frame(kind="b").set_index("seed")["value"]
    assert plain.to_dict() == {0: 0, 1: 10}
    pd.testing.assert_frame_equal(frame, Recording(path).frame(kind="a"))
    record.point(lambda: {"kind": 1}, kind="c")
    with pytest.raises(ValueError, match=r"named like labels, \['kind'\]"):
        record.frame(kind="c")


def test_other_settings_are_refused_with_both_values(path):
    Recording(path, {"dim": 4, "seeds": [0], "old": None}).point(lambda: 1, seed=0)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="other settings") as raised:
        Recording(path, {"dim": 5, "seeds": (0,), "extra": INF})
    message = str(raised.value)
    assert "dim: 4 there, 5 here" in message
    assert "extra: nothing there, inf here" in message
    assert "old: None there, nothing here" in message
    assert "seeds" not in message
    assert path.read_bytes() == before


def test_a_record_opened_to_be_read_is_not_added_to(path):
    Recording(path, {"a": 1}).point(lambda: 1, seed=0)
    record = Recording(path)
    assert record.point(never, seed=0) == 1
    for change in (
        lambda: record.point(never, seed=1),
        lambda: record.add(1, 0.0, seed=1),
        lambda: record.drop(seed=0),
    ):
        with pytest.raises(ValueError, match="opened to be read"):
            change()
    with pytest.raises(FileNotFoundError):
        Recording(path.with_name("none.json"))
    with pytest.raises(ValueError, match="settings"):
        Recording(None)


def test_dropped_points_are_computed_anew(path):
    record = Recording(path, {})
    for seed in (0, 1, 2):
        record.point(lambda seed=seed: seed, kind="a", seed=seed)
    assert record.drop(kind="a", seed=1) == 1
    assert [p.value for p in Recording(path)] == [0, 2]
    assert record.point(lambda: 7, kind="a", seed=1) == 7
    assert record.drop(kind="b") == 0
    assert record.drop(kind="a") == 3
    assert Recording(path).points == []
    with pytest.raises(ValueError, match="labels"):
        record.drop()


def test_a_point_made_elsewhere_keeps_its_provenance(path):
    made = {"commit": "unknown", "note": "from an earlier file"}
    record = Recording(path, {})
    record.take(Point({"seed": 0}, (1, 2), made))
    assert Recording(path).points == [Point({"seed": 0}, [1, 2], made)]
    assert record.take(Point({"seed": 0}, 5, {})).value == [1, 2]  # the first one stays
    assert record.take(Point({"seed": 0}, 5, {}), instead_of=Point({"seed": 0}, 1, {})).value != 5


@pytest.mark.parametrize("nowhere", ["", None])
def test_without_a_file_points_stay_in_memory(tmp_path, monkeypatch, nowhere):
    monkeypatch.chdir(tmp_path)
    record = Recording(nowhere, {})
    assert record.point(lambda: 1, seed=0) == record.point(never, seed=0) == 1
    record.point(lambda: INF, seed=1)
    assert record.frame().value.tolist() == [1, INF]
    assert os.listdir(tmp_path) == []


def test_missing_folders_and_home_folders(tmp_path, monkeypatch):
    Recording(tmp_path / "a" / "b" / "points.json", {}).point(lambda: 1, seed=0)
    assert (tmp_path / "a" / "b" / "points.json").exists()
    monkeypatch.setenv("HOME", str(tmp_path))
    Recording("~/c/points.json", {}).point(lambda: 2, seed=0)
    assert Recording(str(tmp_path / "c" / "points.json")).value(seed=0) == 2


def test_a_record_of_the_earlier_form_names_the_command(path):
    path.write_text('{"provenance": {}, "settings": {}, "values": {}}')
    for settings in ({}, None):
        with pytest.raises(ValueError, match=rf"points\.json.*python {CONVERTER} ") as raised:
            Recording(path, settings)
        assert str(path) in str(raised.value)
    assert (ROOT / CONVERTER).is_file()


@pytest.mark.parametrize(
    "text",
    [
        "", "not json", "{", "{}", '{"values": 1}', "[]", "[1]", "[{}]", "5", "null", '"text"',
        '{"settings": {}, "points": [1]}', '{"settings": {}, "points": [{"labels": {}}]}',
        '{"settings": {}, "points": [{"labels": 1, "value": 1, "provenance": {}}]}',
        '{"settings": {}, "points": [{"labels": {"a": [1]}, "value": 1, "provenance": {}}]}',
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named_and_kept(path, text):
    path.write_text(text)
    for settings in ({}, None):
        with pytest.raises(ValueError, match=r"points\.json"):
            Recording(path, settings)
    assert path.read_text() == text


def test_code_that_is_no_module_is_refused_before_anything_is_computed(path):
    for name in ("gmmtf.nothing", "__main__", "no_such_package.module"):
        with pytest.raises(ValueError, match="code: expected the name of a module"):
            Recording(path, {}, code=name)


RECORDS = """
    import sys
    from gmmtf.record import Recording

    path, number, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    record = Recording(path, {"shared": True}, code="gmmtf.estimate")
    for i in range(count):
        record.point(lambda: [number, i], process=number, i=i)
        record.point(lambda: number, kind="the same", i=i)
"""


def test_several_processes_lose_nothing(path):
    count, numbers = 15, range(3)
    started = [python(RECORDS, path, number, count) for number in numbers]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    record = Recording(path)
    assert len(record.points) == count * (len(numbers) + 1)
    for number in numbers:
        found = {p.labels["i"]: p.value for p in record.select(process=number)}
        assert found == {i: [number, i] for i in range(count)}
    same = record.select(kind="the same")
    assert sorted(p.labels["i"] for p in same) == list(range(count))
    assert {p.value for p in same} <= set(numbers)


def test_of_two_processes_with_the_same_labels_the_first_stays(path):
    one, two = Recording(path, {}), Recording(path, {})

    def slow():
        two.point(lambda: "second", seed=0)  # another process is done meanwhile
        return "first"

    assert one.point(slow, seed=0) == "second"
    assert [p.value for p in Recording(path)] == ["second"]
    third = Recording(path, {})
    one.point(lambda: 1, seed=1)
    assert third.point(never, seed=1) == 1  # recorded after it was opened


def test_a_file_is_read_and_written_under_its_lock(path, monkeypatch):
    """Two processes that read, then both write, would lose a point: rarely, so it is seen here."""
    Recording(path, {}).point(lambda: 1, seed=0)
    events = []

    class Lock:
        def __init__(self, name):
            assert name == f"{path.resolve()}.lock"

        def __enter__(self):
            events.append("locked")

        def __exit__(self, *_):
            events.append("freed")

    def noted(name, function):
        def call(*arguments, **options):
            events.append(name)
            return function(*arguments, **options)

        return call

    record = Recording(path, {})
    monkeypatch.setattr("gmmtf.record.FileLock", Lock)
    monkeypatch.setattr("gmmtf.record._read", noted("read", record_module._read))
    monkeypatch.setattr("gmmtf.record.replacing", noted("written", record_module.replacing))
    record.take(Point({"seed": 1}, 2, record.points[0].provenance))
    written = events.index("written")
    assert events[written - 2 : written + 2] == ["locked", "read", "written", "freed"]


def test_a_killed_process_leaves_a_readable_file(path):
    code = """
        import sys
        from gmmtf.record import Recording

        record = Recording(sys.argv[1], {})
        for i in range(10**6):
            record.point(lambda: list(range(3000)), i=i)
    """
    for _ in range(3):
        process = python(code, path)
        seen, deadline = len(Recording(path).points) if path.exists() else 0, time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists() and len(Recording(path).points) > seen + 2:
                break
            assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        record = Recording(path, {})
        assert [p.labels["i"] for p in record] == list(range(len(record.points)))
        assert all(p.value == list(range(3000)) for p in record)
        assert len(record.points) > seen + 2
    record.point(lambda: 1, last=True)  # the lock died with its owner
    assert Recording(path).value(last=True) == 1


def test_what_recording_leaves_beside_the_file_is_ignored_by_git(path):
    Recording(path, {}).point(lambda: 1, seed=0)
    beside = {name for name in os.listdir(path.parent) if name != path.name}
    beside |= {"a.json.12345678.partial/a.json", "a.json.lock"}
    names = [f"data/results/{name}" for name in beside]
    found = subprocess.run(
        ["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode != 128:  # a checkout
        assert found.stdout.split() == names
