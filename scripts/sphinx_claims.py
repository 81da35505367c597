"""Sphinx extension: the account of claims as cards, and its numbers in the prose of other pages.

The record is ``data/results/claims.json``. One page has the cards, any page has a number, which is
named by its claim, its own name and a format::

    ```{claim-cards}
    ```

    It is {claimed}`F2A over_linear:.0%` of the linear filter's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from claims_account import STATUSES, load_claims, number_of, required, with_numbers

COLOURS = {
    "confirmed": "success",
    "confirmed in our reading": "success-line",
    "deviates": "warning",
    "not testable": "secondary",
    "not yet": "secondary-line",
}
ACCOUNT = Path("data", "results", "claims.json")

logger = logging.getLogger(__name__)


def shown(number: dict[str, Any], claim: dict[str, Any]) -> str:
    """Return one number of the evidence as MyST: its value, what it is, and what it must be."""
    value = "holds" if number["value"] is None else f"{number['value']:.3g}".replace("-", "−")
    return (
        f"**{value}** {with_numbers(number['what'], claim['numbers'])} ({required(number)}; "
        f"{number['run']}, {{doc}}`chapter {number['chapter'].split('_')[0].lstrip('0')} "
        f"<{number['chapter']}>`)"
    )


def card(claim: dict[str, Any]) -> str:
    """Return the card of a claim as MyST; its texts may hold inline MyST such as math and links."""
    decides, *others = [shown(number, claim) for number in claim["evidence"]] or [""]
    more = {0: "", 1: ", and another number"}.get(len(others), f", and {len(others)} more numbers")
    done = with_numbers(claim["done"], claim["numbers"]) or "–"
    if claim["chapter"]:
        done += f" {{doc}}`{claim['chapter']}`"
    lines = [
        f"({anchor(claim['id'])})=",
        ":::::{card}",
        ":class-card: claim",
        "",
        "::::{card-header}",
        f"**{claim['id']}** {badge(claim['status'])}",
        "::::",
        f"> {claim['claim']} *({claim['source']})*",
        "",
        with_numbers(claim["number"], claim["numbers"]),
        "",
        *(["::::{container} decides", decides, "::::", ""] if decides else []),
        f"::::{{dropdown}} What we did{more}",
        done,
        "",
        *(f"- {number}" for number in others),
        "::::",
        ":::::",
        "",
    ]
    return "\n".join(lines)


def badge(status: str) -> str:
    """Return a status as MyST, in its colour."""
    return f"{{bdg-{COLOURS[status]}}}`{status}`"


def anchor(claim: str) -> str:
    """The name that the card of a claim is linked by."""
    return f"claim-{claim.lower()}"


def verdicts(claims: list[dict[str, Any]]) -> str:
    """Return one line for each status, with links to its cards, as MyST."""
    lines = []
    for status in STATUSES:
        ids = [claim["id"] for claim in claims if claim["status"] == status]
        if ids:
            links = " ".join(f"{{ref}}`{name} <{anchor(name)}>`" for name in ids)
            lines.append(f"- {badge(status)} {links}")
    return "\n".join(lines) + "\n\n"


class ClaimCards(SphinxDirective):
    """Draw the verdicts, and one card for each claim."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the lines and the cards."""
        path = Path(self.env.srcdir) / ACCOUNT
        self.env.note_dependency(str(path))
        claims = load_claims(path)
        text = verdicts(claims) + "\n".join(map(card, claims))
        holder = nodes.container()
        source = StringList(text.splitlines(), source=str(self.env.doc2path(self.env.docname)))
        self.state.nested_parse(source, self.content_offset, holder)
        return list(holder.children)


class ClaimedNumber(SphinxRole):
    """A number of the account in the prose of another page."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as text, or an error."""
        path = Path(self.env.srcdir) / ACCOUNT
        self.env.note_dependency(str(path))
        try:
            return [nodes.Text(number_of(load_claims(path), self.text))], []
        except ValueError as error:
            logger.warning("no number of the account: %s", error, location=self.get_location())
            return [], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("claim-cards", ClaimCards)
    app.add_role("claimed", ClaimedNumber())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
