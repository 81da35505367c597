"""Fill the numbers of ``data/results/claims.json`` from the rooms and the stored check tables.

What a claim says, and which numbers stand behind it, is written by hand: each entry of its
``evidence`` names a ``chapter``, a ``number`` of that chapter's bounds, and says ``what`` it is. In
the prose ``{name:.2f}`` stands for a number. This command fills in the rest: ``value``,
``at_least``, ``at_most`` and ``run`` of the evidence, and the ``numbers`` of the prose. Bounds come
from the room's ``checks.BOUNDS``, recorded numbers from its ``summary.recorded()``, live ones from
the check table that is stored in the chapter, where None stands for a value that is not shown.

The hashes of all recorded files and shipped weights go into ``data/SHA256SUMS``: a record that
changed without this command, by a digit or by a lost point, fails a test. `sha256sum --check` reads
it too.

Example::

    python scripts/make_claims.py
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import nbformat
from nbformat import NotebookNode

from claims_account import PLACEHOLDER
from gmmtf.atomic import replacing
from gmmtf.check import Bound
from gmmtf_book import RESULTS
from kernel_environment import BOOK, ROOT

CLAIMS = RESULTS / "claims.json"
DATA = ROOT / "data"
MANIFEST = DATA / "SHA256SUMS"
DIGITS = 6


@dataclass(frozen=True)
class Row:
    """A row of a check table; the value is None if it is not shown."""

    value: float | None
    required: str
    run: str
    verdict: str


def check_table(notebook: NotebookNode) -> dict[str, Row]:
    """Return the rows of the check table that is stored in a chapter, by claim.

    Raises
    ------
    ValueError
        If there is no cell ``checks`` with a table.
    """
    cells = [cell for cell in notebook.cells if cell.id == "checks" and cell.outputs]
    if not cells:
        raise ValueError("expected a cell with the id 'checks' and a stored output")
    lines = cells[0].outputs[0].text.splitlines()
    rows = {}
    for claim, value, *rest in (re.split(r"\s{2,}", line) for line in lines[1:]):
        rows[claim] = Row(None if value == "-" else float(value), *rest)
    return rows


@cache
def stored_table(chapter: str) -> dict[str, Row]:
    """Return the check table of a chapter of the book."""
    return check_table(nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4))


@cache
def bounds(chapter: str) -> dict[str, Bound]:
    """Return the bounds of a chapter by the name of their number."""
    found: list[Bound] = import_module(f"gmmtf_book.c{chapter}.checks").BOUNDS
    return {bound.number: bound for bound in found}


@cache
def recorded(chapter: str) -> dict[str, float]:
    """Return the numbers of a chapter's recorded run; none if it has no such run."""
    name = f"gmmtf_book.c{chapter}.summary"
    summary = import_module(name) if find_spec(name) else None
    numbers: dict[str, float] = summary.recorded() if hasattr(summary, "recorded") else {}  # type: ignore[union-attr]
    return numbers


def filled(claim: dict[str, Any]) -> dict[str, Any]:
    """Return a claim with its numbers filled in.

    Raises
    ------
    ValueError
        Naming the claim, if evidence or a number of the prose is missing.
    """
    where = f"claim {claim['id']}"
    evidence = [_evidence(entry, where) for entry in claim["evidence"]]
    names = [
        match["name"]
        for text in (claim["done"], claim["number"], *(entry["what"] for entry in evidence))
        for match in PLACEHOLDER.finditer(text)
    ]
    chapters = dict.fromkeys([claim["chapter"], *(entry["chapter"] for entry in evidence)])
    numbers = {name: _number(name, evidence, list(chapters), where) for name in names}
    return {**claim, "evidence": evidence, "numbers": numbers}


def text_of(claims: list[dict[str, Any]]) -> str:
    """Return the text of the file."""
    return json.dumps(claims, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def manifest() -> str:
    """Return the hashes of what was recorded, in the format of ``sha256sum``."""
    files = [p for p in RESULTS.glob("*.json") if p != CLAIMS]
    files += DATA.glob("checkpoints/*.safetensors")
    rows = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(DATA).as_posix()}\n"
        for path in sorted(files)
    ]
    return "".join(rows)


def _evidence(entry: dict[str, Any], where: str) -> dict[str, Any]:
    chapter, number = entry["chapter"], entry["number"]
    try:
        bound = bounds(chapter)[number]
        if bound.run == "recorded":
            value: float | None = recorded(chapter)[number]
        else:
            value = stored_table(chapter)[bound.claim].value
    except (ImportError, KeyError, ValueError) as error:
        raise ValueError(f"{where}: no evidence {number!r} in {chapter} ({error!r})") from error
    limits = {"at_least": bound.at_least, "at_most": bound.at_most}
    return {
        "chapter": chapter,
        "number": number,
        "what": entry["what"],
        "value": None if value is None else _rounded(value),
        **{name: limit for name, limit in limits.items() if limit is not None},
        "run": bound.run,
    }


def _number(name: str, evidence: list[dict[str, Any]], chapters: list[str], where: str) -> float:
    """The number of the prose: of the evidence, or of the recorded runs of the claim's chapters."""
    found = {entry["value"] for entry in evidence if entry.get("number") == name}
    if not found:
        runs = [recorded(chapter) for chapter in chapters]
        found = {_rounded(run[name]) for run in runs if name in run}
    if len(found) != 1 or None in found:
        raise ValueError(f"{where}: {name!r} in its text is {sorted(map(str, found)) or 'nowhere'}")
    value: float = found.pop()
    return value


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def main() -> int:
    """Fill the files; 1 if evidence is missing."""
    claims = json.loads(CLAIMS.read_text(encoding="utf-8"))
    try:
        text = text_of([filled(claim) for claim in claims])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path, content in ((CLAIMS, text), (MANIFEST, manifest())):
        with replacing(path) as partial:
            partial.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
