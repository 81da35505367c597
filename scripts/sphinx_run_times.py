"""Sphinx extension: the table of execution times names chapters by their titles.

MyST-NB's table names the files of the chapters, and has columns that say nothing to a reader. In a
container of the class ``run-times`` only titles and seconds are left::

    ::::{container} run-times
    ```{nb-exec-table}
    ```
    ::::
"""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


class RunTimes(SphinxPostTransform):
    """Leave the chapter, by its title, and its seconds."""

    default_priority = 9  # after the table is made (8), before its links are resolved (10)
    kept: ClassVar[dict[int, str]] = {0: "Chapter", 3: "Seconds"}

    def run(self, **_: object) -> None:
        """Change the tables of a page."""
        for box in self.document.findall(nodes.container):
            if "run-times" in box["classes"]:
                for table in box.findall(nodes.table):
                    self.shorten(table)

    def shorten(self, table: nodes.table) -> None:
        """Drop columns, and let links show titles."""
        group = next(table.findall(nodes.tgroup))
        columns = list(group.findall(nodes.colspec))
        for position, column in enumerate(columns):
            if position not in self.kept:
                group.remove(column)
        for row in list(table.findall(nodes.row)):
            row[:] = [row[position] for position in self.kept]
        for cell, name in zip(next(group.findall(nodes.row)), self.kept.values(), strict=True):
            cell[:] = [nodes.paragraph(text=name)]
        for link in table.findall(pending_xref):
            link["refexplicit"] = False


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_post_transform(RunTimes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
