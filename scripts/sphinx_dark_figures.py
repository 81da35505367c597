"""Sphinx extension: figures follow the page into dark mode.

A browser tells a picture in a page whether the page is dark. After the build each SVG of the book
gets a style that uses it: black and grey ink turn light and white paper dark, while the colours of
the data, and pixels such as those of attention maps, stay what they are. Glyphs, such as digits,
turn with the ink.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

INK = re.compile(r"(?P<what>fill|stroke): (?P<grey>#(?P<level>[0-9a-f]{2})(?P=level){2})\b")
"""A grey of matplotlib's inline styles, ``fill: #262626``."""

PAPER, LIGHT = 0x12, 0xE6
"""What white turns to, which is the grey of the dark page, and what black turns to."""

READ_ON_BOTH = range(0x78, 0xA8)  # greys that are seen on white and on the dark page


GLYPHS = f'[id^="axes_glyphs_"] image{{filter:invert({1 - PAPER / 255:.3f})}}'
"""A style for the panels of ``gmmtf.figures.as_glyphs``, whose white turns to that of the page."""


def dark(level: int) -> str:
    """The colour on the dark page of a grey, from 0 (black) to 255."""
    return "#" + 3 * f"{round(LIGHT + (PAPER - LIGHT) * level / 255):02x}"


def with_dark_mode(svg: str) -> str:
    """Return a picture that turns dark with the page."""
    inks = {match.group("what", "grey") for match in INK.finditer(svg)}
    # Text and markers that name no colour of their own are black.
    rules = [f"svg{{fill:{dark(0)}}}"]
    for what, grey in sorted(inks):
        level = int(grey[1:3], 16)
        if level not in READ_ON_BOTH:
            rules.append(f'[style*="{what}: {grey}"]{{{what}:{dark(level)}!important}}')
    if "axes_glyphs_" in svg:
        rules.append(GLYPHS)
    style = f"<style>@media (prefers-color-scheme: dark){{{''.join(rules)}}}</style>"
    return svg.replace("</defs>", f"{style}</defs>", 1)


def write_dark_modes(app: Sphinx, exception: Exception | None) -> None:
    """Change the pictures of the built pages."""
    if exception is not None or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir, "_images").glob("*.svg")):
        svg = path.read_text(encoding="utf-8")
        if "prefers-color-scheme" not in svg:  # of an earlier build
            path.write_text(with_dark_mode(svg), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("build-finished", write_dark_modes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
