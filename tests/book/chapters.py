"""The chapters under test, and how a test reads them."""

from __future__ import annotations

import nbformat
from nbformat import NotebookNode

from book_structure import read_page
from kernel_environment import BOOK, ROOT, prepare

__all__ = ["BOOK", "CHAPTERS", "ROOT", "cells_tagged", "markdown", "prepare", "read"]

CHAPTERS = sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))


def read(chapter: str) -> NotebookNode:
    """Read a chapter's notebook."""
    return nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4)


def cells_tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """Return the cells that carry a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def markdown(chapter: str) -> str:
    """Return the text of a chapter's markdown cells, with an empty line between cells."""
    return read_page(BOOK / f"{chapter}.ipynb").text
