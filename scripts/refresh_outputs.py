"""Execute chapters in place and store their outputs in a stable form.

Two runs on one machine give the same file: no execution times, no metadata beyond what the book
uses, keys in a fixed order.

Examples::

    python scripts/refresh_outputs.py                      # all chapters
    python scripts/refresh_outputs.py 03_mmse_denoiser
    python scripts/refresh_outputs.py --no-execute         # only normalise the files
    python scripts/refresh_outputs.py 04_training --source _build/lab     # edited in `make lab`
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from gmmtf.atomic import replacing
from kernel_environment import BOOK, check_folder, prepare
from open_lab import without_macros
from run_chapter import chapter_path, chapters

CELL_TIMEOUT = 1800
CELL_METADATA = ("tags", "mystnb")
NAME = re.compile(r"[a-z]+(-[a-z0-9]+)*")
RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?")
"""The ids that editors give to new cells."""
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Keep of the metadata what the book uses, and name the cells that have no name yet.

    A name, such as ``checks`` or ``cell-007``, stays with its cell, wherever that moves: other
    files refer to it. A new cell gets a number that no cell has.
    """
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    taken: set[str] = set()
    unnamed = []
    for cell in notebook.cells:
        name = cell.get("id", "")
        if NAME.fullmatch(name) and not RANDOM.fullmatch(name) and name not in taken:
            taken.add(name)
        else:
            unnamed.append(cell)
    free = (name for n in range(1000) if (name := f"cell-{n:03d}") not in taken)
    for cell in unnamed:
        cell.id = next(free)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        )
    return notebook


def serialise(notebook: NotebookNode) -> str:
    """Return the text of the notebook file, in normal form."""
    text: str = nbformat.writes(normalise(notebook))
    return text + "\n"


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in the book's folder, without the times that would differ in every run."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(BOOK)}},
        record_timing=False,
        coalesce_streams=True,  # else where a printed text is cut depends on the speed
    )
    return client.execute()


def main() -> int:
    """Refresh the chapters named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("chapter", nargs="*", help="for example 04_training; default: all")
    parser.add_argument("--no-execute", action="store_true", help="normalise the files only")
    parser.add_argument(
        "--source", type=Path, default=BOOK, metavar="DIR", help="take the chapters from a copy"
    )
    arguments = parser.parse_args()
    try:
        paths = [chapter_path(name) for name in arguments.chapter or chapters()]
        check_folder(BOOK, "book")
        for path in paths:
            if not (arguments.source / path.name).is_file():
                raise ValueError(f"--source: expected {path.name} in {arguments.source}")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    prepare()
    for path in paths:
        start = time.perf_counter()
        notebook = without_macros(nbformat.read(arguments.source / path.name, as_version=4))
        if not arguments.no_execute:
            try:
                execute(notebook)
            except CellExecutionError as error:
                print(f"{error}\n{path.stem} failed; its file is unchanged", file=sys.stderr)
                return 1
        with replacing(path) as partial:  # an interruption leaves the old file
            partial.write_text(serialise(notebook), encoding="utf-8")
        print(f"{path.stem}: {time.perf_counter() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
