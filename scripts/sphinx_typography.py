"""Sphinx extension: what a page leaves to chance is set as a book would set it.

A formula keeps the punctuation that touches it on its line, and a number its per cent sign; numbers
that cells computed have minus signs and powers of ten in place of ``-2.4`` and ``3e+06``; and a
table of pandas names its index in the row of the other names.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

FORMULA = r'<span class="math notranslate nohighlight">\\\([^<]{1,40}\\\)</span>'
"""A formula that is short: a longer one must be free to break, or to scroll, on a phone."""
TOUCHED = re.compile(rf"(?P<before>\(*)(?P<formula>{FORMULA})(?P<after>[.,;:?!)]*)")
PASTED = re.compile(r'(<span class="pasted-text">)([^<]*)(</span>)( (?=%))?')
TABLE = re.compile(r'<table\b[^>]*class="[^"]*\b(?:dataframe|printed)\b.*?</table>', re.S)
TEXT = re.compile(r"(?<=>)[^<>]+(?=<)")

POWER = re.compile(r"(?<![\w.])(?P<sign>-?)(?P<digits>\d+(?:\.\d+)?)e(?P<power>[+-]\d+)\b")
MINUS = re.compile(r"(?<![\w.)\]])-(?=\.?\d)")

INDEX_NAME = re.compile(
    r"(?P<open><thead>\s*<tr[^>]*>\s*)<th></th>(?P<names>(?:\s*<th>[^<]*</th>)+\s*</tr>)\s*"
    r"<tr>\s*<th>(?P<index>[^<]+)</th>(?:\s*<th></th>)+\s*</tr>(?P<close>\s*</thead>)"
)
"""The head of a table of pandas whose index has a name, which is a row of its own."""


def number(text: str) -> str:
    """Return text with its numbers as a book prints them; HTML."""

    def power(match: re.Match[str]) -> str:
        sign, digits = match["sign"], match["digits"]
        times = "" if digits == "1" else f"{digits}·"
        return f"{sign}{times}10<sup>{int(match['power'])}</sup>"

    return MINUS.sub("−", POWER.sub(power, text).replace("<sup>-", "<sup>−"))


def held(match: re.Match[str]) -> str:
    """Return a formula, in one piece with the brackets and marks that touch it."""
    if not match["before"] and not match["after"]:
        return match[0]
    return f'<span class="held">{match[0]}</span>'


def typeset(body: str) -> str:
    """Return the HTML of a page, typeset."""
    body = TOUCHED.sub(held, body)
    body = PASTED.sub(
        lambda m: f"{m[1]}{number(m[2])}{m[3]}{'&nbsp;' if m[4] else ''}", body
    )  # fmt: skip
    body = TABLE.sub(lambda m: TEXT.sub(lambda text: number(text[0]), m[0]), body)
    return INDEX_NAME.sub(r"\g<open><th>\g<index></th>\g<names>\g<close>", body)


def typeset_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Typeset a page before it is written."""
    if doctree is not None and app.builder.format == "html":
        context["body"] = typeset(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", typeset_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
