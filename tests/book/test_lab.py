"""JupyterLab works on copies: saving one leaves the book as its tests want it."""

from __future__ import annotations

import copy as copies
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import open_lab
import refresh_outputs
import run_chapter
from refresh_outputs import NOTEBOOK_METADATA, serialise

from .chapters import BOOK, CHAPTERS

NAME = "01_small.ipynb"


@pytest.fixture(autouse=True)
def signatures(tmp_path, monkeypatch):
    """Keep the signatures of trusted notebooks out of the home folder."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))


@pytest.fixture
def book(tmp_path) -> Path:
    """Make a book of one chapter."""
    folder = tmp_path / "book"
    folder.mkdir()
    cells = [
        new_markdown_cell("# Small", id="cell-000"),
        new_code_cell("seed = 0", id="parameters", execution_count=1),
        new_code_cell("print(seed)", id="checks", execution_count=2),
    ]
    cells[2].outputs = [new_output("stream", name="stdout", text="0\n")]
    notebook = new_notebook(cells=cells, metadata=copies.deepcopy(NOTEBOOK_METADATA))
    (folder / NAME).write_text(serialise(notebook))
    for name in ("params/01_small/smoke.yml", "_static/book.css", ".ruff_cache/x", "page.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    return folder


def save(path: Path, *, edit: str | None = None, run: bool = False) -> None:
    """Change a notebook's file as JupyterLab does when it is saved, after an edit or a run."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec.display_name = "Python 3 (ipykernel)"
    notebook.metadata.language_info = {
        "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py",
        "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3", "version": "3.13.1",
    }  # fmt: skip
    notebook.metadata["widgets"] = {"state": {}}
    for cell in notebook.cells:
        cell.metadata |= {"editable": True, "slideshow": {"slide_type": ""}}
        if cell.cell_type == "code":
            cell.metadata |= {"scrolled": True, "collapsed": False, "jupyter": {"x": 1}}
        if cell.cell_type == "code" and run:
            cell.execution_count = 17
            cell.outputs = [new_output("stream", name="stdout", text="cuda:0\n")]
    if edit is not None:
        notebook.cells[2].source = edit
    path.write_text(nbformat.writes(notebook).rstrip("\n"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def source(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def test_a_copy_may_be_edited_run_and_saved(book, tmp_path):
    lab, before = tmp_path / "lab", files(book)
    assert open_lab.update(book, lab) == []
    assert set(files(lab)) == {NAME, "params/01_small/smoke.yml", "page.md", open_lab.COPIED}
    assert source(lab / NAME)[1:] == source(book / NAME)
    save(lab / NAME, edit="seed = 5", run=True)
    edited = files(lab)
    assert files(book) == before
    assert open_lab.update(book, lab) == []  # the book has not changed
    assert files(lab) == edited
    assert files(book) == before


def change(book: Path) -> None:
    save(book / NAME, edit="new text")


def test_a_chapter_that_changed_is_copied_anew(book, tmp_path):
    lab = tmp_path / "lab"
    open_lab.update(book, lab)
    save(lab / NAME, run=True)  # opened, run, and not edited
    change(book)
    (book / "page.md").write_text("changed")
    assert open_lab.update(book, lab) == []
    assert "new text" in source(lab / NAME)
    assert (lab / "page.md").read_text() == "changed"


def test_what_was_edited_stays_and_is_named(book, tmp_path):
    lab = tmp_path / "lab"
    open_lab.update(book, lab)
    save(lab / NAME, edit="mine")
    (lab / "page.md").write_text("mine")
    change(book)
    (book / "page.md").write_text("changed")
    for _ in range(2):  # at every start
        assert open_lab.update(book, lab) == [NAME, "page.md"]
        assert "mine" in source(lab / NAME)
    (lab / NAME).unlink()
    assert open_lab.update(book, lab) == ["page.md"]
    assert "new text" in source(lab / NAME)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"cells": 3}'])
def test_a_broken_copy_stays_too(book, tmp_path, text):
    lab = tmp_path / "lab"
    open_lab.update(book, lab)
    (lab / NAME).write_text(text)
    change(book)
    assert open_lab.update(book, lab) == [NAME]
    assert (lab / NAME).read_text() == text


@pytest.mark.parametrize("text", ["", "no JSON", "[]"])
def test_without_its_list_a_copy_that_differs_stays(book, tmp_path, text):
    lab = tmp_path / "lab"
    open_lab.update(book, lab)
    (lab / open_lab.COPIED).write_text(text)
    assert open_lab.update(book, lab) == []
    save(lab / NAME, edit="mine")
    (lab / open_lab.COPIED).write_text(text)
    assert open_lab.update(book, lab) == [NAME]


def test_copies_of_files_to_read_only_can_be_written(book, tmp_path):
    for name in (NAME, "page.md"):
        (book / name).chmod(0o444)
    open_lab.update(book, tmp_path / "lab")
    for name in (NAME, "page.md"):
        assert (tmp_path / "lab" / name).stat().st_mode & 0o200
        assert not os.path.samefile(tmp_path / "lab" / name, book / name)


def test_every_chapter_comes_back_from_jupyterlab_as_it_was(tmp_path):
    open_lab.update(BOOK, tmp_path)
    for chapter in CHAPTERS:
        path = tmp_path / f"{chapter}.ipynb"
        save(path)
        stored = (BOOK / path.name).read_text(encoding="utf-8")
        back = serialise(open_lab.without_macros(nbformat.read(path, as_version=4)))
        assert back == stored, chapter


def test_the_first_cell_of_a_copy_has_the_macros_that_the_chapters_use(book, tmp_path):
    open_lab.update(book, tmp_path / "lab")
    first = source(tmp_path / "lab" / NAME)[0]
    lines = first.splitlines()
    assert lines[0] == lines[-1] == "---"
    assert lines[1] == "math:"
    assert r"  \abar: \bar{\alpha}" in lines
    assert r"  \norm: '\lVert #1 \rVert'" in lines


def test_a_chapter_is_taken_from_the_copy_into_the_book(book, tmp_path, monkeypatch, capsys):
    for module in (refresh_outputs, run_chapter):
        monkeypatch.setattr(module, "BOOK", book)
    lab = tmp_path / "lab"
    open_lab.update(book, lab)
    save(lab / NAME, edit="seed = 7")
    command = ["refresh_outputs.py", "01_small", "--no-execute", "--source", str(lab)]
    monkeypatch.setattr(sys, "argv", command)
    assert refresh_outputs.main() == 0
    assert source(book / NAME) == ["# Small", "seed = 7", "print(seed)"]
    text = (book / NAME).read_text()
    assert text == serialise(nbformat.read(book / NAME, as_version=4))
    assert open_lab.update(book, lab) == []

    before = files(book)
    (lab / NAME).unlink()
    assert refresh_outputs.main() == 2
    assert f"--source: expected {NAME} in {lab}" in capsys.readouterr().err
    assert files(book) == before


def test_jupyterlab_is_opened_on_the_copy(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setenv("GMMTF_BUILD", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(open_lab, "update", lambda book, lab: opened.append((book, lab)) or [])
    monkeypatch.setattr(os, "execv", lambda _, words: opened.append(words))
    monkeypatch.setattr(sys, "argv", ["open_lab.py", "--no-browser"])
    open_lab.main()
    lab = tmp_path / "_build" / "lab"
    assert opened[0] == (BOOK, lab)
    assert opened[1][1:] == ["-m", "jupyterlab", f"--ServerApp.root_dir={lab}", "--no-browser"]
    assert "TQDM_DISABLE" not in os.environ


def test_no_place_for_a_copy_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "_build").write_text("a file")
    monkeypatch.setenv("GMMTF_BUILD", str(tmp_path))
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("JupyterLab was started"))
    with pytest.raises(SystemExit) as stopped:
        open_lab.main()
    assert stopped.value.code == 2
    assert "GMMTF_BUILD: got " in capsys.readouterr().err
