"""Stored outputs: every chapter, run again, prints the check table that is stored in it.

The book's build has run every chapter. What it printed is compared with what is stored, by nbval,
without running the chapters a second time.
"""

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

from .chapters import CHAPTERS, ROOT, cells_tagged, prepare, read
from .conftest import BuiltBook

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


def replayed(printed: list[str], stored: NotebookNode) -> NotebookNode:
    """A notebook whose cells print given texts and have the outputs that are stored."""
    notebook = new_notebook(metadata=stored.metadata)
    for count, (text, cell) in enumerate(zip(printed, check_cells(stored), strict=True), start=1):
        replay = new_code_cell(f"print({text!r}, end='')", metadata=cell.metadata)
        replay.update(outputs=cell.outputs, execution_count=count)
        notebook.cells.append(replay)
    return notebook


def tables(notebook: NotebookNode) -> list[str]:
    return [cell.outputs[0].text for cell in check_cells(notebook)]


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What nbval says of the one cell of each notebook, by the notebook's name."""
    return dict(re.findall(r"(\w+)\.ipynb::\S+ (?:\d+ )?(PASSED|FAILED)", done.stdout))


@pytest.mark.book
def test_the_build_printed_the_stored_check_tables(built_book: BuiltBook, tmp_path):
    executed = built_book.html.parent / "jupyter_execute" / "book"
    for chapter in CHAPTERS:
        ran = nbformat.read(executed / f"{chapter}.ipynb", as_version=4)
        nbformat.write(replayed(tables(ran), read(chapter)), tmp_path / f"{chapter}.ipynb")
    done = run_nbval(tmp_path)
    assert verdicts(done) == dict.fromkeys(CHAPTERS, "PASSED"), done.stdout[-6000:]


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
    for chapter in CHAPTERS:
        stored, printed = read(chapter), tables(read(chapter))
        nbformat.write(replayed(printed, stored), tmp_path / f"{chapter}_same.ipynb")
        for cell in check_cells(stored):
            cell.outputs[0].text = change_a_digit(cell.outputs[0].text)
        nbformat.write(replayed(printed, stored), tmp_path / f"{chapter}_changed.ipynb")
    expected = {f"{chapter}_same": "PASSED" for chapter in CHAPTERS}
    expected |= {f"{chapter}_changed": "FAILED" for chapter in CHAPTERS}
    assert verdicts(run_nbval(tmp_path)) == expected


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
