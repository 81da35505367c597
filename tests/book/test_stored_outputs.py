"""Stored outputs: every chapter, run again, prints the check table that is stored in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from .chapters import BOOK, CHAPTERS, LONGEST_FIRST, ROOT, cells_tagged, prepare, read

TAG = "nbval-check-output"


def run_nbval(notebook: Path) -> subprocess.CompletedProcess[str]:
    """Execute a notebook cell by cell and compare the outputs of the cells tagged for it."""
    prepare()
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "tests" / "book" / "nbval.ini")]
    command += ["--nbval-lax", "--nbval-current-env", "-v", "-p", "no:xdist"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [*command, str(notebook)], capture_output=True, text=True, check=False, env=environment
    )


def change_a_digit(table: str) -> str:
    """Replace the last digit of the first value that a check table shows by another one."""
    lines = table.splitlines(keepends=True)
    for place, line in enumerate(lines[1:], start=1):
        found = re.match(r"(.*?\S\s{2,}-?[\d.]*)(\d)(e[-+]\d+)?\s{2,}", line)
        if found:
            digit = str((int(found[2]) + 1) % 10)
            lines[place] = line[: found.end(1)] + digit + line[found.end(2) :]
            return "".join(lines)
    raise AssertionError(f"no value is shown in {table!r}")


def test_the_changed_digit_is_one_of_a_value():
    table = (
        "claim   value      required    run\n"
        "hidden  -          at most 1   live  holds\n"
        "x = 4   -1.51e+04  1 to 5      live  holds\n"
        "y       2          at least 1  live  holds\n"
    )
    assert change_a_digit(table) == table.replace("-1.51e+04", "-1.52e+04")
    assert change_a_digit(table.replace("-1.51e+04", "-        ")) == table.replace(
        "-1.51e+04", "-        "
    ).replace("2   ", "3   ")
    with pytest.raises(AssertionError, match="no value is shown"):
        change_a_digit("claim  value  required    run\na      -      at most 1   live  holds\n")


def check_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return cells_tagged(notebook, TAG)


@pytest.mark.book
@pytest.mark.parametrize("chapter", LONGEST_FIRST)
def test_a_chapter_reproduces_its_stored_check_table(chapter):
    done = run_nbval(BOOK / f"{chapter}.ipynb")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.book
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_check_table_is_text_with_numbers_in_it(chapter):
    cells = check_cells(read(chapter))
    assert cells, f"{chapter} has no cell tagged {TAG}"
    for cell in cells:
        assert [output.output_type for output in cell.outputs] == ["stream"]
        assert re.search(r"\d", cell.outputs[0].text)


@pytest.mark.book
def test_a_changed_digit_in_any_stored_check_table_fails(tmp_path):
    """The stored tables stand for the runs, so that this takes seconds; then one digit differs."""
    for chapter in CHAPTERS:
        notebook = new_notebook(metadata=read(chapter).metadata)
        for count, stored in enumerate(check_cells(read(chapter)), start=1):
            source = f"print({stored.outputs[0].text!r}, end='')"
            cell = new_code_cell(source, metadata=stored.metadata)
            cell.update(outputs=stored.outputs, execution_count=count)
            notebook.cells.append(cell)
        nbformat.write(notebook, tmp_path / f"{chapter}_same.ipynb")
        for cell in notebook.cells:
            cell.outputs[0].text = change_a_digit(cell.outputs[0].text)
        nbformat.write(notebook, tmp_path / f"{chapter}_changed.ipynb")
    done = run_nbval(tmp_path)
    verdicts = re.findall(r"(\w+)_(same|changed)\.ipynb::\S+ (?:\d+ )?(PASSED|FAILED)", done.stdout)
    expected = {"same": "PASSED", "changed": "FAILED"}
    assert {chapter for chapter, _, _ in verdicts} == set(CHAPTERS), done.stdout
    assert [v for v in verdicts if expected[v[1]] != v[2]] == []


@pytest.mark.book
def test_a_changed_digit_fails_a_chapter_that_really_runs(tmp_path):
    """The same with the whole of a chapter executed: the check cell alone fails."""
    notebook = read(CHAPTERS[0])
    table = check_cells(notebook)[-1].outputs[0]
    table.text = change_a_digit(table.text)
    path = tmp_path / "changed.ipynb"
    nbformat.write(notebook, path)
    done = run_nbval(path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"\b1 failed, \d+ passed", done.stdout), done.stdout[-4000:]
