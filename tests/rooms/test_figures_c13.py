"""Figures of chapter 13: the slice, the line and the descents from other starts."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.contour import ContourSet

from gmmtf import Estimate
from gmmtf.curve import Curve
from gmmtf.figures import COLOURS, PATTERN_COLOURS, use_style
from gmmtf_book.c13_landscape import figures
from rooms import drawn
from rooms.curves import made
from rooms.drawn import Look, same_series, two_errors, values

TICKS = {0: "0", 1: "1", 10: "10", 100: "100"}
BLACK = COLOURS["theory"]


@pytest.fixture(autouse=True)
def style():
    use_style()


SAME, DIFFERENT = [-4.0, 0.0, 8.0], [-3.0, 5.0]


def height(same: float, different: float) -> float:
    """A surface that is a plane, so that its contours lie on it."""
    return 10 + same + 0.5 * different


def made_slice() -> tuple[dict[str, Curve], plt.Figure]:
    surface = [[height(x, y) for x in SAME] for y in DIFFERENT]
    paths = {"first": made(0), "second": made(1, [0, 1])}
    return paths, figures.landscape_slice(SAME, DIFFERENT, surface, paths)


def test_contours_have_the_same_product_as_abscissa_and_are_darker_where_it_is_higher():
    _, figure = made_slice()
    (ax,) = drawn.panels(figure)
    filled, lines = (each for each in ax.collections if isinstance(each, ContourSet))
    expected = np.geomspace(height(-4, -3), height(8, 5), 16)
    np.testing.assert_allclose(filled.levels, expected)
    np.testing.assert_allclose(lines.levels, expected[::2])
    assert filled.filled
    assert not lines.filled
    for level, path in list(zip(lines.levels, lines.get_paths(), strict=True))[1:]:
        x, y = path.vertices.T
        np.testing.assert_allclose(height(x, y), level)
        assert len(x) > 1
    assert isinstance(filled.norm, LogNorm)
    shades = filled.to_rgba(filled.levels)[:, 0]
    assert (np.diff(shades) < 0).all()
    assert {text.get_text() for text in ax.texts} <= {f"{level:.2g}" for level in lines.levels}
    assert ax.texts
    assert drawn.axis_labels(ax) == (
        "product of a pattern with itself", "product of two different patterns",
    )  # fmt: skip
    assert (ax.get_xlim(), ax.get_ylim()) == ((-4, 8), (-3, 5))
    assert drawn.scales(ax) == ("linear", "linear")


def test_paths_begin_at_their_large_marker():
    paths, figure = made_slice()
    (ax,) = drawn.panels(figure)
    series = drawn.lines(ax)
    assert len(series) == 6
    for k, ((name, path), marker) in enumerate(zip(paths.items(), "os", strict=True)):
        colour = PATTERN_COLOURS[k]
        products = path.products.numpy()
        own = np.eye(3, dtype=bool)
        same, different = products[:, own].mean(1), products[:, ~own].mean(1)
        line, points, begin = series[3 * k : 3 * k + 3]
        same_series(line, same, different, Look(colour, "-"))
        same_series(points, same, different, Look(colour, "", marker), name)
        same_series(begin, same[:1], different[:1], Look(colour, "", marker))
    sizes = [each.get_markersize() for each in ax.lines[1::3] + ax.lines[2::3]]
    assert min(sizes[2:]) > 2 * max(sizes[:2])
    assert drawn.legend(figure) == drawn.named(ax)
    assert list(drawn.legend(figure)) == ["first", "second"]
    assert figure.legends[0].get_title().get_text() == "simulated descent from"


def test_the_profile_has_lines_by_name_and_markers_of_the_first():
    lines = {
        "here": {-20.0: Estimate(0.5, 0.1), 0.0: Estimate(0.4, 0.1), 20.0: Estimate(0.1, 0.1)},
        "recorded": {-100: Estimate(0.7, 0.1), 0: Estimate(0.6, 0.1), 100: Estimate(0.3, 0.1)},
    }
    simulated = {-20: Estimate(0.55, 0.02), 3: Estimate(0.35, 0.03), 20: Estimate(0.12, 0.01)}
    figure = figures.strength_profile(lines, simulated)
    (ax,) = drawn.panels(figure)
    for (name, line), dashes in zip(lines.items(), ("-", "--"), strict=True):
        found = drawn.line(ax, name)
        same_series(found, list(line), values(list(line.values())), Look(BLACK, dashes), name)
    marks = drawn.error_bar(ax, "here, simulated")
    look = Look(COLOURS["trained"], "", "o")
    same_series(marks, [-20, 3, 20], [0.55, 0.35, 0.12], look, "here, simulated")
    assert marks.y_half == pytest.approx([0.04, 0.06, 0.02])
    assert drawn.levels(ax) == [("v", 0)]
    assert drawn.named(ax)["$W = 0$"].colour == COLOURS["start"]
    assert drawn.legend(figure) == drawn.named(ax)
    assert len(drawn.legend(figure)) == 4
    assert drawn.scales(ax) == ("symlog", "linear")
    assert ax.xaxis.get_transform().linthresh == 5  # the caption says so
    assert "linear between $-5$ and $5$" in drawn.caption("13_landscape", "fig-landscape-profile")
    assert drawn.axis_labels(ax) == (r"$\beta r^2$", "excess risk")
    assert drawn.tick_labels(ax.xaxis) == {
        -100: "-100", -10: "-10", 0: "0", 10: "10", 100: "100",
    }  # fmt: skip
    assert ax.get_ylim()[0] == 0


def test_descents_end_in_the_marker_of_their_check():
    paths = {
        "zero": [(made(0, [0, 1, 100]), Estimate(0.3, 0.02))],
        "negative": [
            (made(1, [0, 1, 100]), Estimate(0.4, 0.03)), (made(3, [0, 1, 20]), Estimate(0.6, 0.01))
        ],
        "different": [(made(2, [0, 1, 60]), Estimate(0.5, 0.04))],
    }  # fmt: skip
    figure = figures.descents_from(paths)
    (ax,) = drawn.panels(figure)
    grey = "#808080"  # of several
    colours = (PATTERN_COLOURS[0], grey, PATTERN_COLOURS[2])
    looks = zip(colours, ("-", "-", "--"), "osD", strict=True)
    each = [
        (name if k == 0 else "", path, check, look)
        for (name, descents), look in zip(paths.items(), looks, strict=False)
        for k, (path, check) in enumerate(descents)
    ]
    series = zip(each, drawn.lines(ax), drawn.error_bars(ax), strict=True)
    for (label, path, check, (colour, dashes, marker)), line, mark in series:
        same_series(line, path.steps, values(path.excess), Look(colour, dashes), label)
        same_series(mark, path.steps[-1:], [check.value], Look(colour, "", marker))
        assert mark.y_half == two_errors([check])
    one, several = ax.lines[0].get_linewidth(), drawn_width(ax, grey)
    assert several < one
    assert drawn.legend(figure) == drawn.named(ax)
    assert list(drawn.legend(figure)) == list(paths)
    assert figure.legends[0].get_title().get_text() == "descent from"
    assert drawn.scales(ax) == ("symlog", "log")
    assert drawn.axis_labels(ax) == ("step", "excess risk")
    assert drawn.tick_labels(ax.xaxis) == TICKS
    assert ax.get_xlim() == (-0.15, 130)


def drawn_width(ax: plt.Axes, colour: str) -> float:
    """Width of the first line of a colour."""
    return next(
        line.get_linewidth()
        for line in ax.lines
        if line.get_color() == colour and line.get_linestyle() != "None"
    )
