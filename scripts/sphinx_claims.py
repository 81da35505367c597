"""Sphinx extension: the ``claims-table`` directive draws the table of claims from its JSON record.

Usage in a page, with the path taken from the root of the book's sources::

    ```{claims-table} data/results/claims.json
    ```
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

KEYS = ("id", "claim", "source", "done", "number", "evidence", "numbers", "chapter", "status")
EVIDENCE_KEYS = {"what", "value", "chapter", "number", "run"}
RUNS = ("live", "recorded")
PLACEHOLDER = re.compile(r"\{(?P<name>[^{}:]+):(?P<form>[^{}]+)\}")
"""A number in a text, ``{name:.2f}``; braces of LaTeX hold no colon."""
BOUNDS = {"at_least", "at_most"}
STATUSES = ("confirmed", "confirmed in our reading", "deviates", "not testable", "not yet")
HEADINGS = {
    "id": "Id",
    "claim": "What the paper is known to say",
    "source": "Source",
    "done": "What we did",
    "number": "Result",
    "chapter": "Chapter",
    "status": "Status",
}


def load_claims(path: Path) -> list[dict[str, Any]]:
    """Read the claims and check their form.

    The entry ``evidence`` of a claim is a list of numbers. Each says what it is, the chapter and
    the name that the number has there, its value, a bound or two, and the run that it comes from:
    ``live`` if the build computes it, ``recorded`` if it is read. The value is None where the
    chapter's check table does not show it. ``numbers`` are those that the texts hold as
    ``{name:.2f}``. All but the names and the texts is filled in by ``make_claims.py``.

    Raises
    ------
    ValueError
        If an entry has other keys than :data:`KEYS`, a status outside :data:`STATUSES`, an id that
        occurred before, or evidence that is not as said or not within its bounds.
    """
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")), path)
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"{path.name}: an entry is of another kind ({error})") from error


def _checked(claims: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    seen: set[str] = set()
    for position, claim in enumerate(claims):
        where = f"{path.name}, entry {position} (id {claim.get('id')!r})"
        if set(claim) != set(KEYS):
            raise ValueError(f"{where}: keys {sorted(claim)}, expected {sorted(KEYS)}")
        if claim["status"] not in STATUSES:
            raise ValueError(f"{where}: status {claim['status']!r}, expected one of {STATUSES}")
        if claim["id"] in seen:
            raise ValueError(f"{where}: this id occurred before")
        seen.add(claim["id"])
        for number in claim["evidence"]:
            _check_evidence(number, where)
        for text in (claim["done"], claim["number"], *(n["what"] for n in claim["evidence"])):
            with_numbers(text, claim["numbers"], where)
    return claims


def with_numbers(text: str, numbers: Mapping[str, float], where: str = "text") -> str:
    """Put numbers into a text, in which ``{name:.2f}`` stands for one.

    Raises
    ------
    ValueError
        If a number is missing.
    """

    def number(match: re.Match[str]) -> str:
        if match["name"] not in numbers:
            raise ValueError(f"{where}: no number {match['name']!r} for its text; `make claims`")
        return format(numbers[match["name"]], match["form"]).replace("%", " %")

    return PLACEHOLDER.sub(number, text)


def _check_evidence(number: dict[str, Any], where: str) -> None:
    keys = set(number) - BOUNDS
    if keys != EVIDENCE_KEYS or not set(number) & BOUNDS:
        raise ValueError(
            f"{where}: evidence with keys {sorted(number)}, expected {sorted(EVIDENCE_KEYS)} "
            "and a bound; `make claims` fills them in"
        )
    if number["run"] not in RUNS:
        raise ValueError(f"{where}: run {number['run']!r}, expected one of {RUNS}")
    if number["value"] is None:
        if number["run"] == "recorded":
            raise ValueError(f"{where}: {number['what']} is recorded, but has no value")
        return
    low, high = number.get("at_least", -math.inf), number.get("at_most", math.inf)
    if not low <= number["value"] <= high:
        raise ValueError(f"{where}: {number['what']} is {number['value']}, not in {low} to {high}")


def required(number: dict[str, Any]) -> str:
    """The bounds of a number in words."""
    if "at_least" not in number:
        return f"at most {number['at_most']:.3g}"
    if "at_most" not in number:
        return f"at least {number['at_least']:.3g}"
    return f"{number['at_least']:.3g} to {number['at_most']:.3g}"


class ClaimsTable(SphinxDirective):
    """Draw one row for each claim; text fields may hold inline MyST such as math and links."""

    required_arguments = 1
    has_content = False
    columns: ClassVar[dict[str, int]] = {
        "id": 5,
        "claim": 24,
        "done": 23,
        "number": 38,
        "status": 10,
    }

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        path = Path(self.env.srcdir) / self.arguments[0]
        self.env.note_dependency(str(path))
        table = nodes.table(classes=["claims"])
        group = nodes.tgroup(cols=len(self.columns))
        table += group
        for width in self.columns.values():
            group += nodes.colspec(colwidth=width)
        header = nodes.thead()
        header += self.row([nodes.paragraph(text=HEADINGS[key]) for key in self.columns])
        group += header
        body = nodes.tbody()
        group += body
        for claim in load_claims(path):
            body += self.row([self.cell(claim, key) for key in self.columns])
        return [table]

    def cell(self, claim: dict[str, Any], key: str) -> nodes.Element:
        """Return the content of one cell, parsed as MyST; empty fields show a dash."""
        text = with_numbers(claim[key], claim["numbers"]) or "–"
        if key == "id":
            text = f"**{text}**"
        if key == "claim":
            text += f" *({claim['source']})*"
        if key == "done" and claim["chapter"]:
            text += f" {{doc}}`{claim['chapter']}`"
        lines = [text]
        if key == "number":
            items = (self.evidence(number) for number in claim["evidence"])
            lines += ["", *(with_numbers(item, claim["numbers"]) for item in items)]
        holder = nodes.container()
        source = StringList(lines, source=str(self.env.doc2path(self.env.docname)))
        self.state.nested_parse(source, self.content_offset, holder)
        return holder

    @staticmethod
    def evidence(number: dict[str, Any]) -> str:
        """Return one number as an item of a list."""
        value = "holds" if number["value"] is None else f"{number['value']:.3g}"
        return (
            f"- {number['what']}: **{value}** ({required(number)}; {number['run']}, "
            f"{{doc}}`{number['chapter'].split('_')[0]} <{number['chapter']}>`)"
        )

    def row(self, cells: list[nodes.Element]) -> nodes.row:
        """Wrap cells into a table row."""
        row = nodes.row()
        for cell in cells:
            entry = nodes.entry()
            entry += cell.children if isinstance(cell, nodes.container) else cell
            row += entry
        return row


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("claims-table", ClaimsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
