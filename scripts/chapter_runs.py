"""One run of a chapter as a function, for sweeps: parameters in, the numbers of its prose out."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import Any

import nbformat

import run_chapter
from copy_names import copy_name
from gmmtf.provenance import code_digest

GLUED = "application/papermill.record/text/plain"


def run_copy(
    *, chapter: str, preset: str | None, output: str, code: str, **settings: Any
) -> dict[str, Any]:
    """Run a chapter into a copy in the folder ``output``; return the numbers that it glues.

    ``code`` is that of :func:`chapter_code`, so that a record holds one state of the chapter.
    """
    if code != chapter_code(chapter):
        raise RuntimeError(f"{chapter}: the notebook or its room has changed since the sweep began")
    copy = Path(output) / copy_name(chapter, preset, settings)
    run_chapter.run(run_chapter.chapter_path(chapter), copy, parameters(chapter, preset, settings))
    return {"copy": copy.name, **glued(copy)}


def parameters(chapter: str, preset: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run: those of the preset, and the settings over them."""
    return (run_chapter.load_preset(chapter, preset) if preset else {}) | settings


def chapter_code(chapter: str) -> str:
    """Return a hash of a chapter's code cells and of the code of its room."""
    cells = nbformat.read(run_chapter.chapter_path(chapter), as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    text = "\n".join([*sources, code_digest(f"gmmtf_book.c{chapter}")])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def glued(copy: Path) -> dict[str, Any]:
    """Return the numbers and texts that an executed chapter has glued, by their names."""
    found = {}
    for cell in nbformat.read(copy, as_version=4).cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name and GLUED in output.data:
                found[name] = _value(output.data[GLUED])
    return found


def _value(text: str) -> Any:
    if text in ("inf", "-inf"):
        return float(text)
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
