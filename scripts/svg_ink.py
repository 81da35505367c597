"""Where the ink of an SVG of matplotlib is: boxes around its groups, in the picture's points."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"

NUMBER = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")
STEP = re.compile(r"(\w+)\(([^)]*)\)")

Matrix = NDArray[np.float64]


class Box(NamedTuple):
    """A rectangle; y grows downwards."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Its width."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Its height."""
        return self.y1 - self.y0

    @property
    def middle(self) -> float:
        """Where its middle is from left to right."""
        return (self.x0 + self.x1) / 2

    @property
    def middle_y(self) -> float:
        """Where its middle is from top to bottom."""
        return (self.y0 + self.y1) / 2

    def distance(self, other: Box) -> float:
        """How far apart two boxes are."""
        across = max(self.x0 - other.x1, other.x0 - self.x1, 0)
        return math.hypot(across, max(self.y0 - other.y1, other.y0 - self.y1, 0))


NOTHING = Box(math.inf, math.inf, -math.inf, -math.inf)


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around several."""
    x0, y0, x1, y1 = zip(NOTHING, *boxes, strict=True)
    return Box(min(x0), min(y0), max(x1), max(y1))


def matrix_of(transform: str | None) -> Matrix:
    """The matrix of an attribute such as ``translate(3 4) scale(0.1 -0.1)``."""
    matrix = np.eye(3)
    for name, written in STEP.findall(transform or ""):
        values = [float(number) for number in NUMBER.findall(written)]
        step = np.eye(3)
        if name == "translate":
            step[: len(values), 2] = values
        elif name == "scale":
            step[0, 0], step[1, 1] = values[0], values[-1]
        elif name == "rotate":
            cos, sin = math.cos(math.radians(values[0])), math.sin(math.radians(values[0]))
            step[:2, :2] = [[cos, -sin], [sin, cos]]
        elif name == "matrix":
            step[:2] = np.reshape(values, (3, 2)).T
        else:
            raise ValueError(f"transform: expected one that matplotlib writes, got {transform!r}")
        matrix = matrix @ step
    return matrix


class Ink:
    """Boxes around the elements of a picture.

    Curves are measured with the points that control them, strokes without their width.
    """

    def __init__(self, root: ET.Element) -> None:
        self._named = {str(element.get("id")): element for element in root.iter()}
        self._outlines: dict[int, Matrix] = {}

    def box(self, element: ET.Element, at: Matrix | None = None) -> Box:
        """The box around what an element draws, ``NOTHING`` if that is nothing."""
        at = np.eye(3) if at is None else at
        kind = element.tag.removeprefix(SVG)
        if kind in ("defs", "metadata"):
            return NOTHING
        at = at @ matrix_of(element.get("transform"))
        if kind == "path":
            found = _around(self._outline(element), at)
        elif kind == "use":
            place = matrix_of(f"translate({element.get('x', '0')} {element.get('y', '0')})")
            found = self.box(self._named[element.attrib[HREF][1:]], at @ place)
        elif kind in ("image", "rect"):
            x, y, w, h = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
            found = _around(np.array([[x, x + w, x, x + w], [y, y, y + h, y + h], [1.0] * 4]), at)
        else:
            found = union([self.box(child, at) for child in element])
        clip = element.get("clip-path")
        if clip is None:
            return found
        edge = self.box(self._named[clip.removeprefix("url(#").removesuffix(")")], at)
        inside = Box(*map(max, found[:2], edge[:2]), *map(min, found[2:], edge[2:]))
        return inside if inside.width >= 0 and inside.height >= 0 else NOTHING

    def _outline(self, path: ET.Element) -> Matrix:
        """The corners of the box around a path, before it is placed."""
        if id(path) not in self._outlines:
            points = np.array(NUMBER.findall(path.get("d", "")), float).reshape(-1, 2)
            if points.size:
                (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
                corners = np.array([[x0, x1, x0, x1], [y0, y0, y1, y1], [1.0] * 4])
            else:  # the glyph of a blank
                corners = np.empty((3, 0))
            self._outlines[id(path)] = corners
        return self._outlines[id(path)]


def _around(points: Matrix, at: Matrix) -> Box:
    """The box around points once they are placed."""
    if points.size == 0:
        return NOTHING
    x, y, _ = at @ points
    return Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
