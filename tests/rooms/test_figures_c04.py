"""What the figures of chapter 4 show of what they are given."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import LogNorm
from matplotlib.contour import ContourSet

from gmmtf import Estimate
from gmmtf.curve import Curve
from gmmtf.figures import COLOURS, PATTERN_COLOURS, use_style
from gmmtf_book.c04_training import figures, landscape_figures
from gmmtf_book.c04_training.figures import Panel
from rooms import drawn
from rooms.curves import made
from rooms.drawn import Look, Series

STEPS = [0, 1, 10, 100]
TICKS = {0: "0", 1: "1", 10: "10", 100: "100"}
BLACK = COLOURS["theory"]


@pytest.fixture(autouse=True)
def style():
    use_style()


def values(estimates: list[Estimate]) -> list[float]:
    return [each.value for each in estimates]


def two_errors(estimates: list[Estimate]) -> Any:
    return pytest.approx([2 * each.standard_error for each in estimates])


def same_series(found: Series, x: Any, y: Any, look: Look, label: str = "") -> None:
    assert (found.look, found.label) == (look, label)
    np.testing.assert_allclose(found.x, x)
    np.testing.assert_allclose(found.y, y)


def made_panels() -> dict[str, Panel]:
    return {
        "here": Panel(
            made(0),
            made(1, [0, 2, 50, 100]),
            made(4, [0, 3, 60, 100]),
            bayes=0.2,
            oracle=0.1,
            linear=0.25,
        ),
        "recorded": Panel(
            made(2, [0, 1, 20]),
            made(3, [0, 1, 5, 20]),
            made(5, [0, 4, 20]),
            bayes=0.4,
            oracle=0.3,
            linear=0.47,
        ),
    }


def test_losses_are_the_bayes_risk_plus_the_excess():
    panels = made_panels()
    figure = figures.loss_curves(panels)
    assert drawn.titles(figure) == ["here", "recorded"]
    for ax, panel in zip(drawn.panels(figure), panels.values(), strict=True):
        predicted, simulated = drawn.lines(ax)
        for found, curve, look in (
            (predicted, panel.predicted, Look(BLACK, "-")),
            (simulated, panel.simulated, Look(COLOURS["trained"], "", "o")),
        ):
            risks = panel.bayes + np.array(values(curve.excess))
            same_series(found, curve.steps, risks, look, found.label)
        assert [predicted.label, simulated.label] == ["predicted", "simulated"]
        assert drawn.levels(ax) == [("h", panel.linear), ("h", panel.bayes), ("h", panel.oracle)]
        named = drawn.named(ax)
        assert named["linear filter"] == Look(COLOURS["linear"], "-.")
        assert named["Bayes"] == Look(COLOURS["bayes"], "--")
        assert named["oracle"] == Look(COLOURS["oracle"], ":")
        assert list(named) == ["predicted", "simulated", "linear filter", "Bayes", "oracle"]
        assert drawn.legend(figure) == named
        assert drawn.scales(ax) == ("symlog", "linear")
        assert ax.get_ylim()[0] == 0
    left, right = drawn.panels(figure)
    assert drawn.axis_labels(left) == ("step", "risk per coordinate")
    assert drawn.axis_labels(right) == ("step", "")
    assert drawn.tick_labels(left.xaxis) == TICKS
    assert drawn.tick_labels(right.xaxis) == {0: "0", 1: "1", 10: "10"}
    assert right.get_xlim() == (-0.15, 26)


def test_excess_and_score_error_have_two_standard_errors_and_lines_of_their_own():
    panels = made_panels()
    figure = figures.excess_curves(panels)
    assert drawn.titles(figure) == ["here", "recorded"]
    for ax, panel in zip(drawn.panels(figure), panels.values(), strict=True):
        run, theory = panel.simulated, panel.predicted
        score, excess = drawn.error_bars(ax)
        score_look, excess_look = (
            Look(COLOURS["different"], "", "s"),
            Look(COLOURS["trained"], "", "o"),
        )
        same_series(
            score, run.steps, values(run.score), score_look, "score-matching error, simulated"
        )
        same_series(excess, run.steps, values(run.excess), excess_look, "excess risk, simulated")
        assert score.y_half == two_errors(run.score)
        assert excess.y_half == two_errors(run.excess)
        score_line, excess_line, limit = drawn.lines(ax)
        same_series(limit, panel.limit.steps, values(panel.limit.excess), Look(BLACK, "--"),
                    "in the limit")  # fmt: skip
        assert drawn.levels(ax) == [("h", pytest.approx(panel.linear - panel.bayes))]
        assert drawn.named(ax)["linear filter"] == Look(COLOURS["linear"], "-.")
        same_series(score_line, theory.steps, values(theory.score), Look(BLACK, "-"))
        same_series(excess_line, theory.steps, values(theory.excess), Look(BLACK, "-"), "predicted")
        assert drawn.scales(ax) == ("symlog", "log")
        assert drawn.legend(figure) == drawn.named(ax)
        assert len(drawn.legend(figure)) == 5
    left, right = drawn.panels(figure)
    assert drawn.axis_labels(left) == ("step", "per coordinate")
    assert drawn.axis_labels(right) == ("step", "")
    assert drawn.tick_labels(left.xaxis) == TICKS


def test_the_weight_has_queries_in_rows_and_its_parts_their_names():
    products = torch.tensor([[5.0, -1.0, 0.1], [-2.0, 6.0, 0.2], [0.3, 0.4, -8.0]])
    norms = {
        "block": torch.tensor([1.0, 2.0, 3.0]),
        "complement": torch.tensor([0.1, 0.2, 0.4]),
        "outside": torch.tensor([0.01, 0.03, 0.05]),
        "noise of the batches": torch.tensor([0.02, 0.04, 0.06]),
    }
    figure = figures.learned_weight(products, 2, [1, 10, 50], norms)
    left, right = sorted(drawn.panels(figure), key=lambda ax: ax.get_position().x0)
    np.testing.assert_array_equal(drawn.picture(left), products.numpy())
    assert left.images[0].get_clim() == (-8, 8)
    red, blue = drawn.pixels(left)[1, 1], drawn.pixels(left)[2, 2]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert drawn.axis_labels(left) == ("key direction", "query direction")
    assert left.get_title() == "patterns | complement"
    assert sorted(drawn.levels(left)) == [("h", 1.5), ("v", 1.5)]
    (bar,) = drawn.colour_bars(figure)
    assert bar.get_ylabel() == r"$r^2\,W$"
    looks = [
        Look(COLOURS["same"], "", "o"), Look(COLOURS["different"], "", "s"),
        Look(COLOURS["trained"], "", "D"), Look(BLACK, "-"),
    ]  # fmt: skip
    for (name, part), look in zip(norms.items(), looks, strict=True):
        same_series(drawn.line(right, name), [1, 10, 50], part, look, name)
    assert drawn.legend(right) == drawn.named(right) == dict(zip(norms, looks, strict=True))
    assert drawn.scales(right) == ("symlog", "log")
    assert drawn.axis_labels(right) == ("step", r"norm of the part of $r^2\,W$")
    assert drawn.tick_labels(right.xaxis) == {0: "0", 1: "1", 10: "10"}


def test_attention_is_sorted_by_pattern_with_queries_in_rows():
    labels = torch.tensor([1, 0, 1, 2])
    maps = {"before": torch.arange(16.0).view(4, 4) / 20, "after": torch.arange(16.0).view(4, 4).T}
    figure = figures.attention_maps(maps, labels)
    assert drawn.titles(figure) == ["before", "after"]
    order = [1, 0, 2, 3]
    for ax, matrix in zip(drawn.panels(figure), maps.values(), strict=True):
        np.testing.assert_array_equal(drawn.picture(ax), matrix.numpy()[np.ix_(order, order)])
        assert ax.images[0].get_clim() == (0, 15)
        assert drawn.levels(ax) == [("h", 0.5), ("v", 0.5), ("h", 2.5), ("v", 2.5)]
        assert ax.get_xlabel() == "key token"
    assert [ax.get_ylabel() for ax in drawn.panels(figure)] == ["query token", ""]
    (bar,) = drawn.colour_bars(figure)
    assert bar.get_ylabel() == "attention"
    assert bar.get_ylim() == (0, 15)


def test_products_have_a_row_for_each_run_and_a_column_for_each_query():
    rows = {"above": (made(0), made(1, [0, 5, 100])), "below": (made(2), made(3, [0, 7, 100]))}
    figure = figures.product_curves(rows, [0.05, 0.15, 0.8], [2, 0])
    assert drawn.titles(figure) == [
        rf"{title}, query $\pi$ = {pi}" for title in rows for pi in ("0.8", "0.05")
    ]
    panels = drawn.panels(figure)
    queries = [(curves, u) for curves in rows.values() for u in (2, 0)]
    for ax, ((simulated, predicted), u) in zip(panels, queries, strict=True):
        markers, theory = drawn.lines(ax)[::2], drawn.lines(ax)[1::2]
        for v in range(3):
            kind, marker = ("same", "o") if u == v else ("different", "s")
            look = Look(COLOURS[kind], "", marker)
            found = simulated.products[:, u, v]
            same_series(markers[v], simulated.steps, found, look, markers[v].label)
            assert markers[v].label in ("", f"{kind} pattern, simulated")
            found = predicted.products[:, u, v]
            same_series(theory[v], predicted.steps, found, Look(BLACK, "-"), theory[v].label)
        assert drawn.named(ax) == drawn.legend(figure)
        assert drawn.levels(ax) == [("h", 0)]
        assert drawn.scales(ax) == ("linear", "linear")
    assert drawn.legend(figure) == {
        "different pattern, simulated": Look(COLOURS["different"], "", "s"),
        "predicted": Look(BLACK, "-"),
        "same pattern, simulated": Look(COLOURS["same"], "", "o"),
    }
    product = r"$\mu_u^{\!\top} W \mu_v$"
    assert [drawn.axis_labels(ax) for ax in panels] == [
        ("", product), ("", ""), ("step", product), ("step", ""),
    ]  # fmt: skip
    assert panels[0].get_ylim() == panels[1].get_ylim()


SAME, DIFFERENT = [-4.0, 0.0, 8.0], [-3.0, 5.0]


def height(same: float, different: float) -> float:
    """A surface that is a plane, so that its contours lie on it."""
    return 10 + same + 0.5 * different


def made_slice() -> tuple[dict[str, Curve], plt.Figure]:
    surface = [[height(x, y) for x in SAME] for y in DIFFERENT]
    paths = {"first": made(0), "second": made(1, [0, 1])}
    return paths, landscape_figures.landscape_slice(SAME, DIFFERENT, surface, paths)


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
    figure = landscape_figures.strength_profile(lines, simulated)
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
    assert "linear between $-5$ and $5$" in drawn.caption("04_training", "fig-train-profile")
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
    figure = landscape_figures.descents_from(paths)
    (ax,) = drawn.panels(figure)
    looks = zip(PATTERN_COLOURS, ("-", "-", "--"), "osD", strict=False)
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
    one, several = ax.lines[0].get_linewidth(), drawn_width(ax, PATTERN_COLOURS[1])
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
