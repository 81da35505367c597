"""One panel of a figure of matplotlib, made narrower while its letters keep their size.

What is drawn in the panel's coordinates is squeezed: curves, bars, areas, images, ticks, and the
places of markers. Letters, markers and legends keep their shape and move with what they stand at. A
panel without numbers below it, such as rows of digits, is a picture, and is made lower as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from xml.etree import ElementTree as ET

from svg_ink import HREF, SVG, Box, Ink

POINT = re.compile(r"(-?[\d.]+(?:e-?\d+)?) (-?[\d.]+(?:e-?\d+)?)")
WORDS = re.compile(r'<g id="(text_[^"]*)">\s*<!-- (.*?) -->')
"""The name of a text's group, and what it says."""
COMMAND = re.compile(r"\\[a-z]+")  # of TeX, in a power of ten

CLEAR = 3.0
"""Points between the labels of two ticks."""

Move = Callable[[float], float]


def squeeze(
    group: ET.Element, frame: Box, width: float, root: ET.Element, words: Mapping[str, str]
) -> Box | None:
    """Make the panel of a group narrower, in place, and return its frame.

    ``words``: what texts say, by the names of their groups. None where the names below the panel
    would touch; numbers that would are left out.
    """
    ink = Ink(root)
    share = width / frame.width
    lower = share if _is_picture(group, frame, ink) else 1.0
    x, y = _map(frame.x0, frame.x1, share), _map(frame.y0, frame.y1, lower)
    _Squeezed(x, y, frame, ink, root).move(group)
    found = Box(frame.x0, frame.y0, x(frame.x1), y(frame.y1))
    return found if _thin_out(group, Ink(root), words) else None


def _map(low: float, high: float, share: float) -> Move:
    """Squeeze what is between two places, and move what is beyond them with its end."""

    def moved(at: float) -> float:
        return min(at, low) + share * (min(max(at, low), high) - low) + max(at - high, 0)

    return moved


class _Squeezed:
    """Moves the elements of one panel."""

    def __init__(self, x: Move, y: Move, frame: Box, ink: Ink, root: ET.Element) -> None:
        self.x, self.y, self.frame, self.ink = x, y, frame, ink
        self.named = {str(element.get("id")): element for element in root.iter()}
        self.done: set[str] = set()

    def move(self, element: ET.Element) -> None:
        """Move an element with all that it holds."""
        name, kind = str(element.get("id")), element.tag.removeprefix(SVG)
        clip = element.get("clip-path", "").removeprefix("url(#").removesuffix(")")
        if clip and clip not in self.done:
            self.done.add(clip)
            for each in self.named[clip]:
                self._area(each)
        if name.startswith(("text_", "legend_")):
            self._rigid(element, name)
        elif kind == "path":
            element.set("d", POINT.sub(self._point, element.get("d", "")))
        elif kind == "use":
            self._use(element)
        elif kind in ("image", "rect"):
            self._area(element)
        elif kind not in ("defs", "metadata"):
            for child in element:
                self.move(child)

    def _point(self, match: re.Match[str], down: float = 0.0) -> str:
        x, y = map(float, match.groups())
        return f"{self.x(x):.3f} {self.y(y + down) - down:.3f}"

    def _use(self, element: ET.Element) -> None:
        """Move a marker; an area is written as a marker at the left end of the figure."""
        x, y = float(element.get("x", "0")), float(element.get("y", "0"))
        if x > 0:
            element.set("x", f"{self.x(x):.3f}")
            element.set("y", f"{self.y(y):.3f}")
            return
        name = element.attrib[HREF][1:]
        if name not in self.done:
            self.done.add(name)
            shape = self.named[name]
            shape.set("d", POINT.sub(lambda m: self._point(m, y), shape.get("d", "")))

    def _area(self, element: ET.Element) -> None:
        """Squeeze an image or the rectangle that clips: images are written upside down."""
        box = self.ink.box(element)
        width, height = self.x(box.x1) - self.x(box.x0), self.y(box.y1) - self.y(box.y0)
        if element.tag == f"{SVG}image":
            # From the pixels' own places to those in the narrower panel.
            element.set("preserveAspectRatio", "none")
            before = element.get("transform", "")
            across, down = width / box.width, height / box.height
            dx, dy = self.x(box.x0) - across * box.x0, self.y(box.y0) - down * box.y0
            matrix = f"matrix({across:.6f} 0 0 {down:.6f} {dx:.3f} {dy:.3f})"
            element.set("transform", f"{matrix} {before}".strip())
        else:
            for key, value in zip(
                ("x", "y", "width", "height"),
                (self.x(box.x0), self.y(box.y0), width, height), strict=True,
            ):  # fmt: skip
                element.set(key, f"{value:.3f}")

    def _rigid(self, element: ET.Element, name: str) -> None:
        """Move letters or a legend with the side that they are held by."""
        box = self.ink.box(element)
        dx = self.x(box.middle) - box.middle
        # See gmmtf.figures.name_at; a title may begin at the left end of its panel.
        title = abs(box.x0 - self.frame.x0) < 3 and box.y1 <= self.frame.y0
        if title or name.startswith("text_left"):
            dx = self.x(box.x0) - box.x0
        elif name.startswith("text_right"):
            dx = self.x(box.x1) - box.x1
        elif name.startswith("legend_"):
            room = self.frame.width - box.width
            at = min(max((box.x0 - self.frame.x0) / room, 0), 1) if room > 0 else 0
            dx = at * (self.x(self.frame.x1) - self.frame.x1)
        dy = self.y(box.middle_y) - box.middle_y
        before = element.get("transform", "")
        element.set("transform", f"translate({dx:.2f} {dy:.2f}) {before}".strip())


def _is_picture(group: ET.Element, frame: Box, ink: Ink) -> bool:
    """Whether an image fills a panel that has no labels below it."""
    images = [ink.box(each) for each in group.iter(f"{SVG}image")]
    filled = any(box.width > 0.9 * frame.width and box.height > 0.9 * frame.height
                 for box in images)  # fmt: skip
    return filled and not _labels(group)


def _labels(group: ET.Element) -> list[ET.Element]:
    """The labels of the ticks of the abscissa."""
    axis = next((g for g in group if str(g.get("id")).startswith("matplotlib.axis")), None)
    ticks = [] if axis is None else [g for g in axis if str(g.get("id")).startswith("xtick")]
    return [g for tick in ticks for g in tick if str(g.get("id")).startswith("text_")]


def _thin_out(group: ET.Element, ink: Ink, words: Mapping[str, str]) -> bool:
    """Leave out every second number below the panel until none touch; whether that was enough."""
    labels = sorted(_labels(group), key=lambda each: ink.box(each).x0)
    while any(ink.box(b).x0 - ink.box(a).x1 < CLEAR for a, b in pairwise(labels)):
        said = [COMMAND.sub("", words.get(str(each.get("id")), "?")) for each in labels]
        if len(labels) < 4 or any(re.search("[^\\W\\d_]|[?]", each) for each in said):
            return False
        for each in labels[1::2]:
            # The outlines of letters stay: other texts use them.
            for part in list(each.iter()):
                for glyph in part.findall(f"{SVG}use"):
                    part.remove(glyph)
        labels = labels[::2]
    return True
