"""Open JupyterLab on a working copy of the chapters, the folder ``lab`` of what is built.

The book's own notebooks hold the outputs that tests compare, and saving one in JupyterLab changes
outputs, counts and metadata; a working copy may be run and saved as one likes. At every start a
chapter that has changed in the book is copied anew, unless its cells were edited in the copy.

Usage: python scripts/open_lab.py [options of jupyter lab]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.sign import NotebookNotary
from nbformat.v4 import new_markdown_cell

from kernel_environment import BOOK, ROOT, build_folder, check_folder, prepare

COPIED = ".copied.json"
"""For each file of a working copy: hashes of the book's file, and of its cells, when copied."""

NOT_COPIED = ("_", ".")
"""How names begin of what belongs to the built pages, or to tools."""

MACROS = "macros-of-the-book"
"""Name of the first cell of a copy, from which jupyterlab-myst knows the book's macros."""


def update(book: Path, lab: Path) -> list[str]:
    """Bring a working copy up to date with the book.

    Returns
    -------
    list of str
        The files that have changed in the book, but stay as they were edited in the copy.
    """
    known = _read(lab / COPIED)
    kept = []
    for path in sorted(path for path in book.rglob("*") if path.is_file()):
        name = path.relative_to(book).as_posix()
        if any(part.startswith(NOT_COPIED) for part in path.relative_to(book).parts):
            continue
        copy = lab / name
        now = {"file": hashlib.sha256(path.read_bytes()).hexdigest(), "cells": cells_hash(path)}
        before = known.get(name, {})
        if copy.exists() and before.get("file") == now["file"]:
            continue
        if copy.exists() and cells_hash(copy) not in (before.get("cells"), now["cells"]):
            kept.append(name)
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            notebook = nbformat.read(path, as_version=4)
            notebook.cells.insert(0, macros_cell())
            nbformat.write(notebook, copy)
            NotebookNotary().sign(notebook)  # so that JupyterLab shows its figures
        else:
            shutil.copyfile(path, copy)  # without its mode, which may be to read only
        known[name] = now
    (lab / COPIED).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return kept


def cells_hash(path: Path) -> str:
    """Hash the cells of a notebook as they were written, without outputs; of others, the file."""
    content = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            notebook = without_macros(nbformat.reads(content.decode(), as_version=4))
        except Exception:  # no notebook any more; what it raises depends on how it is broken
            return ""
        content = repr([(cell.cell_type, cell.source) for cell in notebook.cells]).encode()
    return hashlib.sha256(content).hexdigest()


def macros_cell() -> NotebookNode:
    """Return a cell with the macros of the book's configuration in the form of MyST."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    macros = config["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
    texts = {f"\\{name}": v if isinstance(v, str) else v[0] for name, v in macros.items()}
    front = yaml.safe_dump({"math": texts}, sort_keys=False)
    cell: NotebookNode = new_markdown_cell(f"---\n{front}---\n", id=MACROS)
    return cell


def without_macros(notebook: NotebookNode) -> NotebookNode:
    """Return a chapter of the working copy as one of the book."""
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") != MACROS]
    return notebook


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def main() -> None:
    """Update the working copy and become JupyterLab; exit with 2 if there is no place for it."""
    lab = build_folder() / "lab"
    try:
        check_folder(lab, "GMMTF_BUILD")
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    prepare()
    for name in update(BOOK, lab):
        print(f"{lab / name} was edited, and the book's has changed since; delete it for a new one")
    print(f"The chapters in {lab} are copies: the book stays as it is.", flush=True)
    del os.environ["TQDM_DISABLE"]  # whoever waits for a cell likes to see how far it is
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={lab}", *sys.argv[1:]]
    os.execv(sys.executable, words)


if __name__ == "__main__":
    main()
