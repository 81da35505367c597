"""What a matplotlib figure shows, read from its artists: for tests of figures.

Everything is read as a reader of the picture sees it: panels in reading order, images from their
top left corner, names from the legend, tick labels as they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, PathCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import DrawingArea
from matplotlib.patches import Circle, Patch
from matplotlib.text import Annotation

from gmmtf import Estimate

Numbers = list[float]


@dataclass(frozen=True)
class Look:
    """How a series looks: ``style`` and ``marker`` are "" where it has no line or no marker."""

    colour: str
    style: str = ""
    marker: str = ""
    filled: bool = True


@dataclass(frozen=True)
class Series:
    """Points, in their order, with half-lengths of error bars (empty where there are none)."""

    x: Numbers
    y: Numbers
    look: Look
    label: str = ""
    y_half: Numbers | None = None
    x_half: Numbers | None = None


def caption(chapter: str, figure: str) -> str:
    """The caption of a chapter's figure, by the figure's name."""
    return str(_cell(chapter, figure).metadata["mystnb"]["figure"]["caption"])


def source(chapter: str, figure: str) -> str:
    """The code that draws a chapter's figure, by the figure's name, without line breaks."""
    return " ".join(str(_cell(chapter, figure).source).split())


def sides(chapter: str, figure: str) -> tuple[str, str]:
    """What the caption of a chapter's figure says of its left and of its right panel."""
    before, _, right = caption(chapter, figure).partition("Right:")
    return before.partition("Left:")[2], right


def panels(figure: Figure) -> list[Axes]:
    """The panels in reading order, left to right and then down; without colour bars."""
    figure.draw_without_rendering()
    each = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    places = {ax: ax.get_subplotspec() for ax in each}
    return sorted(each, key=lambda ax: (places[ax].rowspan.start, places[ax].colspan.start))


def colour_bars(figure: Figure) -> list[Axes]:
    """The axes of the colour bars; what they say is their ``label`` (x or y)."""
    figure.draw_without_rendering()
    return [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]


def lines(ax: Axes) -> list[Series]:
    """All lines and plain markers as they were drawn, without error bars and :func:`levels`."""
    barred = {part for each in _errorbars(ax) for part in (each.lines[0], *each.lines[1])}
    return [_series(each) for each in ax.lines if each not in barred and not _level(ax, each)]


def line(ax: Axes, label: str) -> Series:
    """The one line of a name."""
    return _only(lines(ax), label)


def error_bars(ax: Axes) -> list[Series]:
    """All series with error bars, as they were drawn."""
    return [_with_halves(container) for container in _errorbars(ax)]


def error_bar(ax: Axes, label: str) -> Series:
    """The one series with error bars of a name."""
    return _only(error_bars(ax), label)


def legend(owner: Figure | Axes) -> dict[str, Look]:
    """The legend of a figure or of a panel: names in their order, with what stands beside them."""
    (found,) = owner.legends if isinstance(owner, Figure) else [owner.get_legend()]
    names = [text.get_text() for text in found.get_texts()]
    keys = [_look_of_all(area.get_children()) for area in found.findobj(DrawingArea)]
    return dict(zip(names, keys, strict=True))


def named(ax: Axes) -> dict[str, Look]:
    """Everything in a panel that has a name, in the order of drawing, and how it looks.

    A right legend has these names and these looks: ``legend(figure) == named(ax)``.
    """
    return {
        label: _look_of_all(handle.lines if isinstance(handle, ErrorbarContainer) else [handle])
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }


def titles(figure: Figure) -> list[str]:
    """The panels' titles, wherever above the panel they stand."""
    places = ("left", "center", "right")
    return ["".join(ax.get_title(place) for place in places) for ax in panels(figure)]


def axis_labels(ax: Axes) -> tuple[str, str]:
    """Label of the abscissa and of the ordinate."""
    return ax.get_xlabel(), ax.get_ylabel()


def scales(ax: Axes) -> tuple[str, str]:
    """Scale of the abscissa and of the ordinate: linear, log, symlog."""
    return ax.get_xscale(), ax.get_yscale()


def tick_labels(axis: Axis) -> dict[float, str]:
    """The labels that can be read at the ticks, major and minor, by their places."""
    axis.get_figure(root=True).draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    return {
        float(tick.get_loc()): label.get_text()
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)  # below or to the left; above or to the right
        if low <= tick.get_loc() <= high and label.get_visible() and label.get_text()
    }


def picture(ax: Axes) -> np.ndarray:
    """The numbers of the one image of a panel as they are seen: first row on top, left to right.

    Numbers outside the colour scale are there as they are; what is masked is NaN.
    """
    (image,) = ax.images
    values = np.ma.filled(np.ma.asarray(image.get_array()).astype(float), np.nan)
    return _image_as_seen(ax, values)


def pixels(ax: Axes) -> np.ndarray:
    """The colours of :func:`picture`, red, green and blue from 0 to 1, ``[rows, columns, 3]``."""
    (image,) = ax.images
    return _image_as_seen(ax, np.asarray(image.to_rgba(image.get_array()))[..., :3])


def extent(ax: Axes) -> tuple[float, float, float, float]:
    """Where the one image of a panel lies in the panel's numbers: left, right, bottom, top."""
    (image,) = ax.images
    return tuple(float(side) for side in image.get_extent())


def cells(ax: Axes) -> tuple[Numbers, Numbers, np.ndarray]:
    """Edges and numbers of the cells of a ``pcolormesh``.

    The edges are those along x and along y, and the numbers have a row for each interval in y.
    """
    (mesh,) = [each for each in ax.collections if isinstance(each, QuadMesh)]
    corners = np.asarray(mesh.get_coordinates())
    values = np.ma.filled(np.ma.asarray(mesh.get_array()).astype(float), np.nan)
    x, y = corners[0, :, 0], corners[:, 0, 1]
    assert (corners[..., 0] == x).all(), "cells are not rectangles along x"
    assert (corners[..., 1] == y[:, None]).all(), "cells are not rectangles along y"
    return x.tolist(), y.tolist(), values.reshape(len(y) - 1, len(x) - 1)


def scatters(ax: Axes) -> list[tuple[np.ndarray, Any]]:
    """Clouds of points, as drawn: places ``[n, 2]``; their one colour, or their numbers or colours.

    Numbers are what a colour scale shows; several colours are a list.
    """
    found = []
    for cloud in ax.collections:
        if not isinstance(cloud, PathCollection):
            continue
        numbers = cloud.get_array()
        colours = [to_hex(colour) for colour in cloud.get_facecolors()]
        shown = colours[0] if len(colours) == 1 else colours
        places = np.asarray(cloud.get_offsets())
        found.append((places, shown if numbers is None else np.asarray(numbers).tolist()))
    return found


def bars(ax: Axes) -> list[Series]:
    """Sets of upright bars: their middles and heights."""
    return [
        Series(
            [float(bar.get_x() + bar.get_width() / 2) for bar in container],
            [float(bar.get_height()) for bar in container],
            Look(to_hex(container[0].get_facecolor())),
            _own_label(container) or _own_label(container[0]),  # a histogram names its first bar
        )
        for container in ax.containers
        if isinstance(container, BarContainer)
    ]


def areas(ax: Axes) -> list[tuple[str, str, Numbers, Numbers, Numbers]]:
    """Filled areas between two curves, as drawn: name, colour, abscissa, lower and upper edge."""
    found = []
    for area in ax.collections:
        if not isinstance(area, PolyCollection) or isinstance(area, QuadMesh):
            continue
        (path,) = area.get_paths()
        ends: dict[float, Numbers] = {}
        for x, y in path.vertices:
            ends.setdefault(float(x), []).append(float(y))
        x = sorted(ends)
        low, high = ([edge(ends[at]) for at in x] for edge in (min, max))
        found.append((_own_label(area), to_hex(area.get_facecolor()[0]), x, low, high))
    return found


def circles(ax: Axes) -> list[tuple[tuple[float, float], float, Look]]:
    """Circles as drawn: centre, radius and look."""
    return [
        (
            tuple(map(float, patch.center)),
            float(patch.radius),
            replace(_look_of_area(patch), style=patch.get_linestyle().replace("solid", "-")),
        )
        for patch in ax.patches
        if isinstance(patch, Circle)
    ]


def notes(ax: Axes) -> dict[str, tuple[float, float]]:
    """Annotations and the points that they belong to."""
    return {text.get_text(): text.xy for text in ax.texts if isinstance(text, Annotation)}


def levels(ax: Axes) -> list[tuple[str, float]]:
    """Horizontal ("h") and vertical ("v") lines through the whole panel, with their places."""
    return [level for each in ax.lines if (level := _level(ax, each))]


def _cell(chapter: str, figure: str) -> nbformat.NotebookNode:
    path = Path(__file__).parents[2] / "book" / f"{chapter}.ipynb"
    (found,) = [
        cell
        for cell in nbformat.read(path, as_version=4).cells
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure
    ]
    return found


def _errorbars(ax: Axes) -> Iterator[ErrorbarContainer]:
    return (each for each in ax.containers if isinstance(each, ErrorbarContainer))


def _level(ax: Axes, line: Line2D) -> tuple[str, float] | None:
    if line.get_transform() == ax.get_yaxis_transform(which="grid"):
        return "h", float(line.get_ydata()[0])
    if line.get_transform() == ax.get_xaxis_transform(which="grid"):
        return "v", float(line.get_xdata()[0])
    return None


def _own_label(artist: Any) -> str:
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label


def _numbers(values: Any) -> Numbers:
    return [float(value) for value in np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)]


def _series(line: Line2D) -> Series:
    x, y = line.get_data(orig=False)
    return Series(_numbers(x), _numbers(y), _look(line), _own_label(line))


def _with_halves(container: ErrorbarContainer) -> Series:
    middle, _, bars = container.lines
    points = _series(middle)
    halves: dict[str, Numbers] = {}
    # matplotlib draws the bars along x first.
    for direction, drawn in zip(
        [d for d, has in (("x", container.has_xerr), ("y", container.has_yerr)) if has],
        bars,
        strict=True,
    ):
        centres, column = (points.x, 0) if direction == "x" else (points.y, 1)
        ends = [np.sort(path[:, column]) for path in map(np.asarray, drawn.get_segments())]
        for (low, high), centre in zip(ends, centres, strict=True):
            assert np.isclose(high - centre, centre - low, rtol=1e-6), "bars are not symmetric"
        halves[f"{direction}_half"] = [float(high - low) / 2 for low, high in ends]
    label = _own_label(container)
    return Series(points.x, points.y, points.look, label, **halves)


def _look(line: Line2D) -> Look:
    style, marker = str(line.get_linestyle()), str(line.get_marker())
    face = line.get_markerfacecolor()
    filled = line.get_fillstyle() != "none" and str(face) not in ("none", "white")
    none = ("None", "none", " ", "")
    return Look(
        to_hex(line.get_color()),
        "" if style in none else style,
        "" if marker in none else marker,
        filled,
    )


def _look_of_all(artists: Iterable[Any]) -> Look:
    """Look of what stands for one series: a line, a line with its marker, a patch, a cloud."""
    flat = [a for each in artists for a in (each if isinstance(each, tuple | list) else [each])]
    looks = [_look(line) for line in flat if isinstance(line, Line2D)]
    # Error bars' ends are markers without a line; the series itself comes first.
    looks = [look for look in looks if look.marker not in ("|", "_")] or looks
    if looks:
        style = next((look.style for look in looks if look.style), "")
        marked = next((look for look in looks if look.marker), looks[0])
        return Look(looks[0].colour, style, marked.marker, marked.filled)
    return _look_of_area(flat[0])


def _look_of_area(artist: Artist) -> Look:
    if isinstance(artist, BarContainer):
        artist = artist[0]
    if isinstance(artist, Collection):
        return Look(to_hex(artist.get_facecolor()[0]))
    assert isinstance(artist, Patch)
    if artist.get_fill():
        return Look(to_hex(artist.get_facecolor()))
    # A key in a legend has the dashes of its series, but says that it is solid: without a style.
    return Look(to_hex(artist.get_edgecolor()), filled=False)


def _only(series: Iterable[Series], label: str) -> Series:
    each = list(series)
    found = [one for one in each if one.label == label]
    assert len(found) == 1, f"{label!r} occurs {len(found)} times in {[s.label for s in each]}"
    return found[0]


def _image_as_seen(ax: Axes, values: np.ndarray) -> np.ndarray:
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    # Extents are those of the array's first row at the top for the origin "upper".
    rows = (bottom, top) if image.origin == "lower" else (top, bottom)
    return _as_seen(ax, values, (left, right), rows)


def _as_seen(
    ax: Axes, values: np.ndarray, columns: tuple[float, float], rows: tuple[float, float]
) -> np.ndarray:
    """Turn an array over where the panel's axes are inverted.

    ``columns``: places of the first and the last column, ``rows``: of the first and the last row.
    """
    places = ax.transData.transform([(columns[0], rows[0]), (columns[1], rows[1])])
    if places[0, 0] > places[1, 0]:
        values = values[:, ::-1]
    return values[::-1] if places[0, 1] < places[1, 1] else values


def values(estimates: list[Estimate]) -> list[float]:
    """The values of estimates."""
    return [each.value for each in estimates]


def two_errors(estimates: list[Estimate]) -> Any:
    """What two standard errors of estimates should be, about."""
    return pytest.approx([2 * each.standard_error for each in estimates])


def same_series(found: Series, x: Any, y: Any, look: Look, label: str = "") -> None:
    """Compare a series with what it should show."""
    assert (found.look, found.label) == (look, label)
    np.testing.assert_allclose(found.x, x)
    np.testing.assert_allclose(found.y, y)
