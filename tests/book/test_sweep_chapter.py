"""Sweeps of a chapter: papermill for each run, its glued numbers in a row."""

from __future__ import annotations

import sys
from importlib import import_module

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import chapter_runs
import run_chapter
import sweep_chapter
from chapter_runs import chapter_code, glued, run_copy
from gmmtf.record import Recording

from .chapters import BOOK, CHAPTERS

GLUE = """
from IPython.display import display
metadata = {"scrapbook": {"name": "law-inverse"}}
data = {"application/papermill.record/text/plain": repr(factor / divisor)}
display(data, raw=True, metadata=metadata)
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Make a book of one chapter, whose runs are done in this process."""
    cells = [
        new_code_cell("divisor = 1\nfactor = 1.0", metadata={"tags": ["parameters"]}),
        new_code_cell(GLUE),
    ]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    folder = tmp_path / "book"
    (folder / "params" / "01_division").mkdir(parents=True)
    (folder / "params" / "01_division" / "smoke.yml").write_text("factor: 3.0\n")
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "01_division.ipynb")
    monkeypatch.setattr(run_chapter, "BOOK", folder)
    monkeypatch.setattr(chapter_runs, "code_digest", lambda module: module)
    monkeypatch.setattr(
        import_module("gmmtf.sweep"),
        "in_processes",
        lambda task, runs, _: (task.run(run) for run in runs),
    )
    return folder


def called(monkeypatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sweep_chapter.py", *map(str, words)])
    return sweep_chapter.main()


@pytest.mark.book
def test_a_row_holds_what_the_chapter_glued_and_a_failed_run_its_error(
    book, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "there"
    words = ["01_division", "--preset", "smoke", "--output", folder, "--grid", "divisor"]
    assert called(monkeypatch, *words, 4, 0) == 1
    said = capsys.readouterr()
    record = folder / "01_division.smoke.sweep.json"
    assert said.out == f"2 rows, 1 of them of runs that failed: {record}\n"
    assert "{'divisor': 0}: PapermillExecutionError: " in said.err
    copy = "01_division.smoke.divisor-4.ipynb"
    assert Recording(record).value(divisor=4) == {"copy": copy, "law-inverse": 0.75}
    assert (folder / copy).is_file()
    monkeypatch.setattr(run_chapter, "run", lambda *_: pytest.fail("run again"))
    assert called(monkeypatch, *words, 4) == 1

    notebook = nbformat.read(book / "01_division.ipynb", as_version=4)
    notebook.cells[1].source += "\n1"
    nbformat.write(notebook, book / "01_division.ipynb")
    capsys.readouterr()
    assert called(monkeypatch, *words, 4) == 2
    assert "other settings (fixed code: " in capsys.readouterr().err


@pytest.mark.parametrize(("words", "message"), [
    (["--grid", "divisr", "1"], "unknown parameter 'divisr'; did you mean 'divisor'?"),
    (["--grid", "divisor", "1", "x"], "parameter 'divisor': got the text 'x'"),
    (["--grid", "divisor"], "grid: 'divisor': expected at least one value"),
    (["--grid", "divisor", "1", "1"], "grid: expected each setting once"),
    (["--grid", "divisor", "1", "--preset", "smok"], "preset: 01_division has no 'smok'"),
])  # fmt: skip
def test_a_wrong_grid_is_refused_before_anything_runs(
    book, tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.setattr(run_chapter, "run", lambda *_: pytest.fail("run"))
    assert called(monkeypatch, "01_division", "--output", tmp_path / "there", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(("words", "message"), [
    ([], "the following arguments are required: --grid"),
    (["--grid", "seed", "1", "--grid", "seed", "2"], "--grid seed: given more than once"),
    (["--grid", "seed", "1", "--workers", "0"], "--workers: expected an integer of at least 1"),
    (["--grid", "seed", "1", "--workers", "2", "--scheduler", "tcp://x"], "--workers: the cluster"),
])  # fmt: skip
def test_wrong_options_are_refused(monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        called(monkeypatch, "04_training", *words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_chapter_that_changes_during_the_sweep_is_not_run(book, tmp_path):
    given = {"chapter": "01_division", "preset": None, "output": str(tmp_path)}
    with pytest.raises(RuntimeError, match=r"^01_division: .* has changed since the sweep began"):
        run_copy(**given, code="old", divisor=2)


@pytest.mark.parametrize("chapter", [CHAPTERS[0], CHAPTERS[3]])
def test_the_numbers_that_a_chapter_glues_are_found(chapter):
    found = glued(BOOK / f"{chapter}.ipynb")
    assert sum(isinstance(value, (int, float)) for value in found.values()) >= 5
    assert len(chapter_code(chapter)) == 16


def test_numbers_and_texts_come_back_as_they_were():
    values = {"8": 8, "0.5": 0.5, "'text'": "text", "-inf": float("-inf"), "1 ± 2": "1 ± 2"}
    assert {text: chapter_runs._value(text) for text in values} == values
