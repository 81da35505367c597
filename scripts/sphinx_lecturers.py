"""Sphinx extension: how the chapters hang together, and the sheet of theorems, for lecturers.

Both are drawn from the pages themselves at every build, so they cannot go stale::

    ```{chapter-graph}
    ```

    ```{theorem-sheet}
    ```
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book_structure import Page, Statement, dependencies, read_pages, reduced, tools

WIDTH, LEFT, ROW = 420, 104, 32  # of the drawing: width, x of the dots, height of a page
FONT = 16


def short_title(title: str) -> str:
    """The part of a title before a colon."""
    return title.partition(":")[0]


def number_or_title(title: str) -> str:
    """The number of a chapter, or the title of a page that has none."""
    number, point, _ = title.partition(". ")
    return number if point and number.isdigit() else short_title(title)


def drawing(titles: Mapping[str, str], needs: Mapping[str, Sequence[str]]) -> str:
    """Draw the pages below each other, and an arc from each to those that build on it, as SVG.

    Lines have the colour of the text around them, so the drawing suits light and dark pages.
    """
    height = {name: ROW * (row + 0.5) for row, name in enumerate(titles)}
    parts = [
        f'<svg class="chapter-graph" viewBox="0 0 {WIDTH} {ROW * len(titles)}" role="group" '
        'aria-label="Chapters in their order; arcs lead to those that build on them" '
        f'style="width: 100%; max-width: {WIDTH * 1.2:g}px; margin-bottom: 1rem" '
        f'font-size="{FONT}">'
    ]
    for name, needed in needs.items():
        for other in needed:
            parts.append(_arc(other, name, height[other], height[name]))
    for name, title in titles.items():
        y = height[name]
        parts.append(
            f'<circle cx="{LEFT}" cy="{y:g}" r="4" fill="currentColor"/>'
            f'<a href="{escape(name)}.html" style="text-decoration: none">'
            f'<text x="{LEFT + 14}" y="{y + FONT / 3:.4g}" '
            f'fill="currentColor">{escape(short_title(title))}</text></a>'
        )
    return "\n".join([*parts, "</svg>"])


def _arc(start: str, end: str, above: float, below: float) -> str:
    reach = 16 + (below - above) / ROW * 9
    left = LEFT - 5
    tip = f"M{left - 7} {below - 4:g} L{left} {below:g} L{left - 7} {below + 4:g}"
    return (
        f'<path data-from="{escape(start)}" data-to="{escape(end)}" d="M{left} {above:g} '
        f'C{left - reach:g} {above:g} {left - reach:g} {below:g} {left} {below:g} {tip}" '
        'fill="none" stroke="currentColor" stroke-opacity="0.7" stroke-width="1.3"/>'
    )


def table(pages: Mapping[str, Page], needs: Mapping[str, Sequence[str]]) -> str:
    """Return the same in words, with the background pages that each page uses, as MyST."""
    rows = ["| Page | Builds on | Background |", "| --- | --- | --- |"]
    for name, needed in needs.items():
        before = ", ".join(f"{{doc}}`{number_or_title(pages[n].title)} <{n}>`" for n in needed)
        used = [(beginning(pages[tool].title), tool) for tool in tools(pages, name)]
        aids = "; ".join(f"{{doc}}`{title} <{tool}>`" for title, tool in used)
        rows.append(f"| {{doc}}`{name}` | {before or '–'} | {aids or '–'} |")
    return "\n".join(rows) + "\n"


def beginning(title: str) -> str:
    """The first thing that a title names."""
    return re.split(r",| and ", title)[0]


def sheet(pages: Mapping[str, Page]) -> str:
    """Return every statement of every page that has some, with its link, as MyST."""
    lines: list[str] = []
    for name, page in pages.items():
        if page.statements:
            lines += [f"**{{doc}}`{name}`**", "", *map(_item, page.statements), ""]
    return "\n".join(lines) + "\n"


def _item(statement: Statement) -> str:
    link = f"{{prf:ref}}`{statement.label}`" if statement.label else statement.kind.capitalize()
    return f"- {link}: {statement.title}" if statement.title else f"- {link}"


class _FromPages(SphinxDirective):
    """A directive that reads the book's pages."""

    has_content = False

    def pages(self) -> dict[str, Page]:
        """Read the pages, of which this page is made anew when one changes."""
        found = read_pages(Path(self.env.srcdir))
        for page in found.values():
            self.env.note_dependency(str(page.path))
        return found

    def parsed(self, text: str) -> list[nodes.Node]:
        """Parse MyST."""
        holder = nodes.container()
        source = StringList(text.splitlines(), source=str(self.env.doc2path(self.env.docname)))
        self.state.nested_parse(source, self.content_offset, holder)
        return list(holder.children)


class ChapterGraph(_FromPages):
    """Draw what builds on what, and say it in a table."""

    def run(self) -> list[nodes.Node]:
        """Return the drawing and the table."""
        pages = self.pages()
        needs = dependencies(pages)
        titles = {name: pages[name].title for name in needs}
        svg = nodes.raw("", drawing(titles, reduced(needs)), format="html")
        return [svg, *self.parsed(table(pages, needs))]


class TheoremSheet(_FromPages):
    """List the statements of the book."""

    def run(self) -> list[nodes.Node]:
        """Return the lists."""
        return self.parsed(sheet(self.pages()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("chapter-graph", ChapterGraph)
    app.add_directive("theorem-sheet", TheoremSheet)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
