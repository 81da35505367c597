"""Sweeps: one row a run, done once, whatever becomes of it; the runs are done in this process."""

from __future__ import annotations

import functools
import io
import json
import math
import sys
from dataclasses import replace
from importlib import import_module
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.model_selection import ParameterGrid
from tqdm import tqdm

from core import swept
from gmmtf import Estimate, sweep
from gmmtf.provenance import FIELDS, code_digest
from gmmtf.record import Point, Recording
from gmmtf.sweep import RESERVED, has_failed
from gmmtf.workers import FAILURE, Task, failure

MODULE = import_module("gmmtf.sweep")  # the package's attribute is the function


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    """Do the runs in this process."""
    monkeypatch.setattr(
        MODULE, "in_processes", lambda task, runs, _: (task.run(run) for run in runs)
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "there" / "sweep.json"


def calls(folder) -> dict[int, int]:
    return {int(file.name): len(file.read_text()) for file in folder.iterdir()}


def test_a_grid_becomes_a_table_of_all_combinations(path):
    grid = {"x": np.array([0.5, 2.0]), "seed": range(3)}
    frame = sweep(swept.square, grid, path, fixed={"offset": 1.0}).frame()
    assert list(frame.columns) == ["x", "seed", "square", "estimate"]
    expected = [
        (x, s, x * x + 1, Estimate(float(s), 0.5)) for x, s in product([0.5, 2.0], range(3))
    ]
    assert [tuple(row) for row in frame.itertuples(index=False)] == expected
    assert frame.groupby("x")["square"].nunique().to_dict() == {0.5: 1, 2.0: 1}


@pytest.mark.parametrize("grid", [
    [{"x": 1}, {"x": 2, "seed": 1}],
    ParameterGrid([{"x": [1]}, {"x": [2], "seed": [1]}]),
    ({"x": x, **more} for x, more in [(torch.tensor(1), {}), (np.int64(2), {"seed": 1})]),
])  # fmt: skip
def test_settings_may_be_listed(grid):
    record = sweep(swept.square, grid, None)
    assert [p.labels for p in record] == [{"x": 1}, {"x": 2, "seed": 1}]
    assert record.value(seed=1)["estimate"] == Estimate(1.0, 0.5)


def test_a_row_says_what_it_was_computed_with(path):
    sweep(swept.square, {"x": [3]}, path, device="cuda:1")
    stored = json.loads(path.read_text())
    digest = code_digest("core.swept")
    assert stored["settings"] == {"function": "core.swept.square", "function's code": digest}
    (point,) = stored["points"]
    assert tuple(point["provenance"]) == FIELDS
    assert point["provenance"]["code"] == f"core.swept:{digest}"
    assert point["provenance"]["device"] == "cuda:1"
    assert point["value"]["estimate"] == {"value": 0.0, "standard_error": 0.5}


def test_finished_runs_are_not_done_again_and_a_grid_may_grow(path, tmp_path):
    fixed = {"folder": str(tmp_path)}
    for grid in ([1, 2], [2, 1], [2.0, 3], [3]):
        record = sweep(swept.inverse, {"x": grid}, path, fixed=fixed)
    path.rename(tmp_path.parent / "moved.json")
    (path.parent / "sweep.json.lock").unlink()
    path.parent.rmdir()
    assert calls(tmp_path) == {1: 1, 2: 1, 3: 1}
    assert record.frame()["value"].tolist() == [1, 1 / 2, 1 / 3]


def test_what_was_done_is_kept_when_the_sweep_is_stopped(path):
    grid = {"kind": ["exit", "interrupt", "surrogate"]}
    with pytest.raises(KeyboardInterrupt):
        sweep(swept.odd, grid, path)
    assert [p.labels["kind"] for p in Recording(path)] == ["exit"]


def test_a_failed_run_is_a_row_that_stops_no_other(path):
    with pytest.warns(RuntimeWarning, match=r"^1 of 3 runs failed.*retry_failed=True") as told:
        record = sweep(swept.inverse, {"x": [1, 0, 2]}, path)
    assert told[0].filename == __file__
    assert [has_failed(p) for p in Recording(path)] == [False, True, False]
    frame = record.frame()
    assert list(frame.columns) == ["x", "value", *FAILURE]
    assert frame["error"].dropna().tolist() == ["ZeroDivisionError"]
    row = frame.loc[1]
    assert math.isnan(row["value"])
    assert row["message"] == "division by zero"
    assert row["traceback"].startswith("Traceback")
    assert "return 1 / x" in row["traceback"]
    assert not has_failed(Point({}, {"error": "a number", "message": "of its own"}, {}))


def test_failed_runs_are_done_again_only_when_asked_for(path, tmp_path):
    def run(message: str, **options: bool) -> list[str]:
        """The rows, in their order, with the error of those that failed."""
        with pytest.warns(RuntimeWarning, match=message):
            record = sweep(swept.from_file, grid, path, fixed={"folder": str(tmp_path)}, **options)
        return [str(p.value["error"] if has_failed(p) else p.value) for p in record]

    grid = {"x": [0, 1, 2]}
    (tmp_path / "0.txt").write_text("zero")
    assert run("^2 of 3") == ["zero", *["FileNotFoundError"] * 2]
    (tmp_path / "0.txt").write_text("another")
    (tmp_path / "1.txt").write_text("one")
    (tmp_path / "2.txt").mkdir()
    assert run("^2 of 3") == ["zero", *["FileNotFoundError"] * 2]
    assert run("^1 of 3", retry_failed=True) == ["zero", "one", "IsADirectoryError"]
    (tmp_path / "2.txt").rmdir()
    (tmp_path / "2.txt").write_text("two")
    grid = {"x": [0, 1]}
    sweep(swept.from_file, grid, path, fixed={"folder": str(tmp_path)}, retry_failed=True)
    assert has_failed(Recording(path).select(x=2)[0])  # no part of that grid


def test_a_value_that_another_process_recorded_meanwhile_stays(path, monkeypatch):
    def slow(task, runs, n_workers):
        for run in runs:
            made = task.run(run)
            other = Recording(path, {"function": "core.swept.inverse", "function's code": digest})
            other.take(Point(run, "first", {}))
            yield made

    digest = code_digest("core.swept")
    monkeypatch.setattr(MODULE, "in_processes", slow)
    record = sweep(swept.inverse, {"x": [1, 2]}, path)
    assert record.frame()["value"].tolist() == ["first", "first"]


@pytest.mark.parametrize(("kind", "error", "message"), [
    ("exit", "SystemExit", "left"),
    ("textless", "Textless", "<exception str() failed>"),
    ("surrogate", "OSError", "\\udcff.txt"),
    ("nan", "ValueError", "value: expected numbers, got NaN"),
    ("object", "TypeError", "value: expected a number, text, list, object or Estimate"),
    ("label", "ValueError", "value: expected entries with other names than settings: ['kind']"),
])  # fmt: skip
def test_what_no_row_can_hold_is_a_failure(path, kind, error, message):
    with pytest.warns(RuntimeWarning, match="^1 of 1"):
        sweep(swept.odd, {"kind": [kind]}, path)
    value = Recording(path).frame().loc[0]
    assert value["error"] == error
    assert value["message"].startswith(message)
    assert error in value["traceback"]


def test_settings_on_disk_that_differ_are_named(path, monkeypatch):
    sweep(swept.square, {"x": [1]}, path, fixed={"offset": 1.0})
    with pytest.raises(ValueError, match=r"other settings \(fixed offset: 1.0 there, 2.0 here\)"):
        sweep(swept.square, {"x": [1]}, path, fixed={"offset": 2.0})
    with pytest.raises(ValueError, match=r"\(fixed offset: 1.0 there, nothing here\)"):
        sweep(swept.square, {"x": [1]}, path)
    with pytest.raises(ValueError, match=r"function: 'core.swept.square' there, 'core.swept.inv"):
        sweep(swept.inverse, {"x": [1]}, path)
    monkeypatch.setattr(MODULE, "code_digest", lambda module: "edited")
    with pytest.raises(ValueError, match=r"\(function's code: '\w+' there, 'edited' here\)"):
        sweep(swept.square, {"x": [2]}, path, fixed={"offset": 1.0})
    assert len(Recording(path).points) == 1


@pytest.mark.parametrize(("grid", "message"), [
    ({}, "grid: expected settings with names, got"),
    ([], "grid: expected at least one value"),
    (3, "grid: expected at least one value"),
    ("x", "grid: expected at least one value"),
    ([3], "grid: expected settings with names, got 3"),
    ([{}], "grid: expected settings with names"),
    ({"x": []}, "grid: 'x': expected at least one value"),
    ({"x": 3}, "grid: 'x': expected at least one value in a list, got 3"),
    ({"x": "abc"}, "grid: 'x': expected at least one value in a list, got 'abc'"),
    ({"x": np.array(3)}, "grid: 'x': expected at least one value"),
    ({"x": [[1, 2]]}, r"grid: 'x': expected a text or an integer or .*, got \[1, 2\]"),
    ({"x": [object()]}, "grid: 'x': expected a text .*, got an? object"),
    ({"x": [math.nan]}, "grid: 'x': expected a text .*, got nan"),
    ({"x": [1, 2, 1.0]}, "grid: expected each setting once, got {'x': 1.0} again"),
    ([{"x": 1, "seed": 0}, {"seed": 0, "x": 1}], "grid: expected each setting once"),
    ({1: [2]}, "grid: expected names of settings, .* got 1"),
    ({"error": [2]}, "grid: expected names of settings, other than value, error, .*got 'error'"),
    ({"y": [2]}, r"grid: square\(x.*\).* cannot be called with {'y': 2}: missing a required"),
    ([{"x": 1}, {"x": 1, "y": 2}], "grid: square.* {'x': 1, 'y': 2}: got an unexpected .*'y'"),
])  # fmt: skip
def test_a_wrong_grid_is_refused_before_anything_runs(path, grid, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        sweep(swept.square, grid, path)
    assert not path.exists()


def test_true_and_one_are_two_settings():
    assert len(sweep(swept.square, {"x": [1, True]}, None).points) == 2


@pytest.mark.parametrize(("options", "message"), [
    ({"fixed": {"x": 2}}, r"fixed: expected other arguments than the grid's, got \['x'\]"),
    ({"fixed": {"offset": object()}}, "fixed: value: expected a number, text, list"),
    ({"fixed": {"offset": math.nan}}, "fixed: value: expected numbers, got NaN"),
    ({"fixed": {"y": 1}}, "grid: square.* cannot be called with {'x': 1} and fixed {'y': 1}: got"),
    ({"n_workers": 0}, "n_workers: expected an integer of at least 1, got 0"),
    ({"n_workers": 1.5}, "n_workers: expected an integer"),
])  # fmt: skip
def test_wrong_options_are_refused_before_anything_runs(path, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        sweep(swept.square, {"x": [1]}, path, **options)
    assert not path.exists()


def of_the_script(x: int) -> int:
    return x


of_the_script.__module__ = "__main__"


def of_no_module(x: int) -> int:
    return x


of_no_module.__module__ = "no.such_module"


class Model:
    def run(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        functools.partial(swept.square, seed=1),
        functools.wraps(swept.square)(lambda x: x),
        Model().run,
        of_the_script,
        of_no_module,
    ],
)
def test_a_function_that_no_other_process_can_import_is_refused(path, function, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "of_the_script", of_the_script, raising=False)
    with pytest.raises(ValueError, match=r"^function: expected one that .* top level of a module"):
        sweep(function, {"x": [1]}, path)
    assert not path.exists()


def test_a_worker_with_other_code_says_so():
    task = Task("core.swept", "square", code_digest("core.swept"))
    assert task.load() is swept.square
    with pytest.raises(RuntimeError, match=r"^worker: has other code of core.swept, .* anew"):
        replace(task, digest="old").run({"x": 1})
    for other in (replace(task, name="cube"), replace(task, module="core.unswept")):
        with pytest.raises(RuntimeError, match=r"^worker: expected to import .* PYTHONPATH"):
            other.run({"x": 1})


def test_an_error_is_told_with_its_causes():
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError as error:
        told = failure(error)
    assert list(told) == list(FAILURE)
    assert set(RESERVED) == {"value", *told}
    assert (told["error"], told["message"]) == ("ValueError", "second")
    assert "KeyError: 'first'" in told["traceback"]


def test_a_person_sees_a_bar_that_begins_with_what_is_done(path, monkeypatch):
    assert MODULE.tqdm is tqdm  # tqdm.auto warns on the error stream of a notebook
    sweep(swept.square, {"x": [1, 2]}, path)
    shown = io.StringIO()
    monkeypatch.setattr(MODULE, "tqdm", functools.partial(tqdm, disable=False, file=shown))
    sweep(swept.square, {"x": [1, 2, 3, 4]}, path)
    assert "sweep:  50%|" in shown.getvalue()
    assert "| 2/4 [" in shown.getvalue()
    assert shown.getvalue().split("\r")[-2].strip() == ""  # nothing is left behind
