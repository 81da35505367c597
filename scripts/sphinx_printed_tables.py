"""Sphinx extension: a table that a cell printed is a table on the page."""

from __future__ import annotations

from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from printed_table import Table, is_number, read_table


def as_nodes(table: Table) -> list[nodes.Node]:
    """Return a table and its title; the cells of the first column name their rows."""
    numeric = [all(is_number(row[j]) for row in table.rows) for j in range(len(table.names))]
    group = nodes.tgroup(cols=len(table.names))
    for j in range(len(table.names)):
        group += nodes.colspec(colwidth=1, **({"stub": 1} if j == 0 else {}))
    head, body = nodes.thead(), nodes.tbody()
    for place, cells in ((head, [table.names]), (body, table.rows)):
        for row in cells:
            made = nodes.row()
            for cell, number in zip(row, numeric, strict=True):
                made += nodes.entry(
                    "", nodes.paragraph(text=cell), classes=["number"] if number else []
                )
            place += made
    group += [head, body]
    # Raw, since the search would take a paragraph for prose.
    title = [nodes.raw("", f"<p>{escape(table.title)}</p>", format="html")] if table.title else []
    return [*title, nodes.table("", group, classes=["printed"])]


class PrintedTables(SphinxPostTransform):
    """Replace what cells printed, where it is a table."""

    default_priority = 900
    formats = ("html",)

    def run(self, **_: object) -> None:
        """Change the outputs of a page."""
        for text in list(self.document.findall(nodes.literal_block)):
            if {"output", "stream"} <= set(text["classes"]):
                table = read_table(text.astext())
                if table is not None:
                    text.replace_self(as_nodes(table))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_post_transform(PrintedTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
