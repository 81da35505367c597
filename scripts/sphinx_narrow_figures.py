"""Sphinx extension: figures fit the column of a phone, with letters that can be read.

Each figure gets a second picture, which the browser takes in a narrow window: its panels stand
below each other, or are squeezed if they already do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from narrow_figure import narrow, stacked

NARROW = "(max-width: 600px)"
NOTE = (
    '<span class="stacked-note">On a page as narrow as this, left is above and right below.</span>'
)
IMAGE = re.compile(
    r"""<img\b[^>]*\bsrc="(?P<folder>(?:\.\./)*_images/)(?P<name>[^"/]+)\.svg"[^>]*>"""
)
FIGURE = re.compile(r'<figure\b[^>]*\bid="([^"]+)"')
PARAGRAPH = re.compile(r"<p\b.*?</p>", re.S)
TAG = re.compile(r"<[^>]*>")
SIDES = re.compile(r"\b(?:left|right)\b", re.I)


def names_sides(body: str, image: re.Match[str]) -> bool:
    """Whether a page says left or right of a figure, in its caption or where the text links it."""
    caption = body[image.end() :].partition("</figure>")[0]
    found = SIDES.search(caption) if "<figcaption" in caption else None
    names = FIGURE.findall(body[: image.start()])
    linked = f'href="#{names[-1]}"' if names else "no figure"
    return bool(found) or any(
        linked in each and SIDES.search(TAG.sub("", each)) for each in PARAGRAPH.findall(body)
    )


def write_narrow(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the narrow pictures of a page, and name them in it."""
    if doctree is None or app.builder.format != "html":
        return
    sources = {name: source for source, name in app.builder.images.items()}

    def with_narrow(match: re.Match[str]) -> str:
        source = sources.get(f"{match['name']}.svg")
        wide = Path(app.srcdir, source).read_text("utf-8") if source else ""
        picture = narrow(wide) if wide else None
        if picture is None:
            return match[0]
        name = f"{match['name']}-narrow.svg"
        folder = Path(app.outdir, "_images")
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(picture, encoding="utf-8")
        told = NOTE if names_sides(match.string, match) and stacked(wide) else ""
        return (
            f'<picture><source media="{NARROW}" srcset="{match["folder"]}{name}">'
            f"{match[0]}</picture>{told}"
        )

    context["body"] = IMAGE.sub(with_narrow, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", write_narrow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
