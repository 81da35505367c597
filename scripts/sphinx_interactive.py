"""Sphinx extension: a figure with the class ``interactive-NAME`` gets the scripts that move it.

In a page::

    ```{figure} images/interactive_noise.svg
    :figclass: interactive-noise
    :alt: what the picture shows
    What to try.
    ```

The scripts stand in ``book/_static/figures``. They replace the picture where scripts run, and are
loaded by the pages that hold such a figure and by no other.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

PREFIX = "interactive-"
FOLDER = "figures"
SHARED = ("frame", "plot", "law")
FIGURES = {
    "noise": ("noise-risks", "noise"),
    "query": ("query-average", "query"),
    "training": ("training-flow", "training-data", "training"),
}
"""Scripts of each figure, in the order in which they are loaded."""


def scripts_of(names: list[str]) -> list[str]:
    """Return the files that a page with these figures loads, in order."""
    found = [*SHARED, *(file for name in names for file in FIGURES[name])]
    return [f"{FOLDER}/{file}.js" for file in found]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Add scripts and style to a page that holds a figure of the list."""
    figures = [] if tree is None else list(tree.findall(nodes.figure))
    classes = [name for figure in figures for name in figure.get("classes", [])]
    names = sorted({c.removeprefix(PREFIX) for c in classes if c.startswith(PREFIX)})
    if not names:
        return
    app.add_css_file(f"{FOLDER}/figures.css")
    for script in scripts_of(names):
        app.add_js_file(script, loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
