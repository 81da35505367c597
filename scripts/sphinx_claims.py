"""Sphinx extension: the ``claims-table`` directive draws the table of claims from its JSON record.

Usage in a page, with the path taken from the root of the book's sources::

    ```{claims-table} data/results/claims.json
    ```
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

KEYS = ("id", "claim", "source", "done", "number", "chapter", "status")
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


def load_claims(path: Path) -> list[dict[str, str]]:
    """Read the claims and check their form.

    Raises
    ------
    ValueError
        If an entry has other keys than :data:`KEYS`, a status outside :data:`STATUSES`, or an id
        that occurred before.
    """
    claims: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
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
    return claims


class ClaimsTable(SphinxDirective):
    """Draw one row for each claim; text fields may hold inline MyST such as math and links."""

    required_arguments = 1
    has_content = False
    columns: ClassVar[dict[str, int]] = {
        "id": 5,
        "claim": 30,
        "done": 27,
        "number": 18,
        "status": 12,
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

    def cell(self, claim: dict[str, str], key: str) -> nodes.Element:
        """Return the content of one cell, parsed as MyST; empty fields show a dash."""
        text = claim[key] or "–"
        if key == "id":
            text = f"**{text}**"
        if key == "claim":
            text += f" *({claim['source']})*"
        if key == "done" and claim["chapter"]:
            text += f" {{doc}}`{claim['chapter']}`"
        holder = nodes.container()
        lines = StringList([text], source=str(self.env.doc2path(self.env.docname)))
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder

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
