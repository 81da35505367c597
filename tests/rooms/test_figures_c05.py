"""The figures of tokens and patterns, and the phase diagrams, show what they are given."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_hex
from matplotlib.contour import ContourSet
from scipy.interpolate import RegularGridInterpolator

from gmmtf import Estimate
from gmmtf.figures import COLOURS, INK_OVER_PIXELS, OVER_PIXELS, PATTERN_COLOURS
from gmmtf_book.c05_tokens_and_patterns import figures, filter_figure
from rooms.drawn import (
    Look,
    Series,
    axis_labels,
    caption,
    cells,
    colour_bars,
    error_bars,
    legend,
    lines,
    named,
    panels,
    scales,
    scatters,
    sides,
    source,
    tick_labels,
    titles,
)
from rooms.drawn import levels as drawn_levels

BLACK, RED = COLOURS["theory"], COLOURS["trained"]
CHAPTER = "05_tokens_and_patterns"


def series(start: float) -> SimpleNamespace:
    """A family of three cases; all numbers differ from each other's and from other families'."""
    return SimpleNamespace(
        x=[start, 2 * start, 4 * start],
        simulated=[Estimate(start / 100 + k, (start + k) / 1000) for k in (0.3, 0.1, 0.2)],
        predicted=[start / 100 + k for k in (0.35, 0.15, 0.25)],
    )


@pytest.fixture
def panel_pair() -> tuple[figures.Panel, figures.Panel]:
    law = {"best head": ([1.0, 9.0], [0.5, 0.4]), "law": ([1.0, 8.0], [0.2, 0.1])}
    first = figures.Panel("$K$", recorded=(512, series(2)), live=(64, series(3)), laws=law)
    second = figures.Panel(
        "$M$", recorded=(512, series(5)), live=(64, series(7)), ylabel="share", log_y=False
    )
    return first, second


def test_excess_panels(panel_pair: tuple[figures.Panel, figures.Panel]) -> None:
    figure = figures.excess_panels(*panel_pair)
    left, right = panels(figure)
    dashed = [
        Series([1, 9], [0.5, 0.4], Look(PATTERN_COLOURS[4], "--"), "best head"),
        Series([1, 8], [0.2, 0.1], Look(PATTERN_COLOURS[9], "--"), "law"),
    ]
    for ax, recorded, live, laws in ((left, 2, 3, dashed), (right, 5, 7, [])):
        runs = [(recorded, 512, "recorded", "-"), (live, 64, "live", ":")]
        assert (
            lines(ax)
            == [
                Series(
                    series(start).x,
                    series(start).predicted,
                    Look(BLACK, style),
                    f"expansion, $N = {n}$, {run}",
                )
                for start, n, run, style in runs
            ]
            + laws
        )
        assert error_bars(ax) == [
            Series(
                series(start).x,
                [e.value for e in series(start).simulated],
                Look(RED, "", "o", filled=run == "recorded"),
                f"simulation, $N = {n}$, {run}",
                pytest.approx([2 * e.standard_error for e in series(start).simulated]),
            )
            for start, n, run, _ in runs
        ]
    assert axis_labels(left) == ("$K$", "excess risk")
    assert axis_labels(right) == ("$M$", "share")
    assert (scales(left), scales(right)) == (("log", "log"), ("log", "linear"))
    assert tick_labels(left.xaxis) == {x: str(x) for x in (2, 3, 4, 6, 8, 12)}
    assert tick_labels(right.xaxis) == {x: str(x) for x in (5, 7, 10, 14, 20, 28)}
    plain = tick_labels(left.yaxis)
    assert plain == {y: f"{y:g}" for y in plain}
    assert {0.1, 0.2, 0.5} <= {round(y, 9) for y in plain}
    # Names that both panels share stand in the legend once.
    assert list(legend(figure)) == [
        "expansion, $N = 512$, recorded",
        "expansion, $N = 64$, live",
        "best head",
        "law",
        "simulation, $N = 512$, recorded",
        "simulation, $N = 64$, live",
    ]
    assert legend(figure) == named(left) | named(right)


def test_a_panel_has_the_limit_and_a_live_run_where_they_are_given() -> None:
    both = figures.Panel(
        "$K$", (512, series(2)), (64, series(3)), limit=([2.0, 5.0, 16.0], [0.3, 0.2, 0.1])
    )
    alone = figures.Panel("$M$", (512, series(5)))
    left, right = panels(figures.excess_panels(both, alone))
    assert lines(left)[2:] == [
        Series([2, 5, 16], [0.3, 0.2, 0.1], Look(BLACK, "--"), "limit"),
    ]
    assert [line.get_linewidth() for line in left.lines if line.get_label() == "limit"] == [1.2]
    assert [line.label for line in lines(right)] == ["expansion, $N = 512$, recorded"]
    assert [bar.label for bar in error_bars(right)] == ["simulation, $N = 512$, recorded"]
    assert list(tick_labels(left.xaxis)) == [2, 3, 4, 6, 8, 12]
    assert list(tick_labels(right.xaxis)) == [5, 10, 20]


def test_captions_name_the_sides() -> None:
    said, code = caption(CHAPTER, "fig-tok-k"), source(CHAPTER, "fig-tok-k")
    assert said.index("left for a fixed number of patterns") < said.index("right for $K = M$")
    assert code.index('"K": f"$K$') < code.index('"K = M": "$K = M$"')
    code = source(CHAPTER, "fig-tok-pi")
    assert code.index('"pi_min": r"tokens') < code.index('"inclusion": r"data points')
    for name in ("fig-tok-pi", "fig-tok-own", "fig-tok-learned"):
        left, right = sides(CHAPTER, name)
        assert "rare tokens" in left
        assert "rare data points" in right
        assert "sharey=True" in source(CHAPTER, name)
    assert "of all tokens" in caption(CHAPTER, "fig-tok-pi")
    assert 'what="rare"' not in code
    assert "of the rarest pattern's tokens alone" in caption(CHAPTER, "fig-tok-own")
    assert 'what="rare", share=True' in source(CHAPTER, "fig-tok-own")
    assert '("tokens", "data"), labels.values()' in source(CHAPTER, "fig-tok-learned")


def test_panels_may_share_their_ordinate(
    panel_pair: tuple[figures.Panel, figures.Panel],
) -> None:
    alike = [replace(panel, log_y=True) for panel in panel_pair]
    left, right = panels(figures.excess_panels(*alike, sharey=True))
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_ylabel(), right.get_ylabel()) == ("excess risk", "")
    left, right = panels(figures.excess_panels(*alike))
    assert left.get_ylim() != right.get_ylim()


def cells_of_a_map() -> pd.DataFrame:
    """A map whose ratio is a power of N and K, with 1 between its cells."""
    rows = [(k, n, 0.9 * k**0.5 * 16 / n, n < 9 * k) for k in (1, 2, 4) for n in (8, 16, 32, 64)]
    table = pd.DataFrame(rows, columns=["K", "N", "ratio", "simulated"])
    return table.assign(**{
        "K/M": table["K"] / 4, "N/d": table["N"] / 32, "beyond": table["N"] * 3 / (32 * table["K"])
    })  # fmt: skip


def test_filter_panels() -> None:
    table = cells_of_a_map()
    simulated = table.iloc[[1, 6]].assign(found=[Estimate(1.1, 0.02), Estimate(0.6, 0.01)])
    mixed = table.sample(frac=1, random_state=0)
    figure = filter_figure.filter_panels(mixed, simulated)
    dotted = mixed[mixed["N"] < 9 * mixed["K"]]
    left, right = panels(figure)
    x, y, shown = cells(left)
    assert x == pytest.approx([0.25 / 2**0.5, 0.25 * 2**0.5, 0.5 * 2**0.5, 2**0.5])
    assert y == pytest.approx([2**k / 2**0.5 for k in (-2, -1, 0, 1, 2)])
    assert shown == pytest.approx(table["ratio"].to_numpy().reshape(3, 4).T)
    levels, points, colour = level_line(left)
    assert (levels, colour) == ([1], INK_OVER_PIXELS)
    at = RegularGridInterpolator(([0.25, 0.5, 1, 2], [0.25, 0.5, 1]), shown, bounds_error=False)
    values = at(points[:, ::-1])
    assert values[np.isfinite(values)] == pytest.approx(1, abs=1e-6)
    assert np.isfinite(values).sum() >= 3
    # The boundary is where N is K d/(M - 1): N/d = (K/M) M/(M - 1).
    assert lines(left) == [
        Series([0.25, 0.5, 1], pytest.approx([1 / 3, 2 / 3, 4 / 3]), Look(INK_OVER_PIXELS, "--")),
        Series(dotted["K/M"].tolist(), dotted["N/d"].tolist(), Look(INK_OVER_PIXELS, "", ".")),
    ]
    ((places, colours),) = scatters(left)
    assert places.tolist() == [[0.25, 0.5], [0.5, 1.0]]
    assert colours == [1.1, 0.6]
    for each in (left.collections[0], left.collections[-1]):
        assert isinstance(each.norm, LogNorm)
        assert (each.norm.vmin, each.norm.vmax) == (0.1, 10)
    assert left.collections[0].get_cmap() == left.collections[-1].get_cmap()
    assert axis_labels(left) == ("$K/M$", "$N/d$")
    assert scales(left) == scales(right) == ("log", "log")
    assert (left.get_xlim(), left.get_ylim()) == ((x[0], x[-1]), (y[0], y[-1]))
    (bar,) = colour_bars(figure)
    assert bar.get_xlabel() == "head / linear filter"
    assert tick_labels(bar.xaxis) == {r: f"{r:g}" for r in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)}


def test_filter_panels_collapsed() -> None:
    table = cells_of_a_map()
    simulated = table.iloc[[1, 6]].assign(found=[Estimate(1.1, 0.02), Estimate(0.6, 0.01)])
    _, right = panels(filter_figure.filter_panels(table, simulated))
    beyond = table["beyond"].tolist()
    ends = [min(beyond), max(beyond)]
    assert lines(right) == [
        Series(beyond, table["ratio"].tolist(), Look(BLACK, "", "."), "map"),
        Series(ends, [1 / at for at in ends], Look(BLACK, "--"), "rough estimate"),
    ]
    assert error_bars(right) == [
        Series(
            [beyond[1], beyond[6]],
            [1.1, 0.6],
            Look(RED, "", "o", filled=False),
            "simulated",
            pytest.approx([0.04, 0.02]),
        )
    ]
    assert drawn_levels(right) == [("h", 1)]
    assert right.get_ylabel() == "head / linear filter"
    assert "K d}{M - 1}" in right.get_xlabel()
    assert legend(right) == named(right)
    assert {"map", "rough estimate", "linear filter", "simulated"} == set(legend(right))
    left_said, right_said = sides(CHAPTER, "fig-tok-filter")
    assert "solid line: they are level; dashed: the boundary" in left_said
    assert "in units of the boundary" in right_said
    assert "filter_panels(cells, simulated)" in source(CHAPTER, "fig-tok-filter")


SWEPT = {
    "tokens, target": ("target", "tokens needed", "best head", "law"),
    "tokens, K = M": ("$K = M$", "tokens needed", "best head", "law"),
    "share, K = M": ("$K = M$", "training time", "counted", "first step"),
    "share, r^2/d": ("$r^2/d$", "training time", "counted", "first step"),
    "noticed, long": (r"$\pi_{\min}$", "steps until noticed", "$r = 64$", "first step"),
    "noticed, short": (r"$\pi_{\min}$", "steps until noticed", "$r = 4$", "first step"),
}


@pytest.mark.parametrize(
    ("figure_name", "pair", "said"),
    [
        (
            "fig-tok-tokens",
            ("tokens, target", "tokens, K = M"),
            "Tokens per data point that the best head needs, against the target (left) and against "
            "$K = M$ (right)",
        ),
        (
            "fig-tok-times",
            ("share, K = M", "share, r^2/d"),
            "until the excess is down to a tenth of its start, in natural steps of $K = M = 4$, "
            "$r^2 = d$: against $K = M$ (left) and against $r^2/d$ at a fixed dimension (right)",
        ),
        (
            "fig-tok-noticed",
            ("noticed, long", "noticed, short"),
            "for long patterns (left, far above $\\pi^*$) and short ones (right, below $\\pi^*$)",
        ),
    ],
    ids=["tokens", "times", "noticed"],
)
def test_law_panels(figure_name: str, pair: tuple[str, str], said: str) -> None:
    assert said in caption(CHAPTER, figure_name)
    assert f'law_panels(paper, "{pair[0]}", "{pair[1]}")' in source(CHAPTER, figure_name)
    found = {
        pair[0]: ([2.0, 0.5], [30.0, 10.0], [35.0, 12.0]),
        pair[1]: ([3.0, 7.0], [4.0, 6.0], [5.0, 8.0]),
    }
    figure = figures.law_panels(SimpleNamespace(swept=found.__getitem__), *pair)
    for ax, name in zip(panels(figure), pair, strict=True):
        x, points, predicted = found[name]
        xlabel, ylabel, label, line = SWEPT[name]
        assert lines(ax) == [
            Series(x, points, Look(PATTERN_COLOURS[0], "", "o"), label),
            Series(x, predicted, Look(BLACK, "--"), line),
        ]
        assert axis_labels(ax) == (xlabel, ylabel)
        assert scales(ax) == ("log", "log")
        assert tick_labels(ax.xaxis) == {at: f"{at:g}" for at in x}
        assert list(legend(ax)) == [label, line]
        assert legend(ax) == named(ax)


def test_many_decades_have_one_label_each() -> None:
    found = {
        "share, K = M": ([2.0, 4.0], [1.0, 900.0], [1.0, 800.0]),
        "share, r^2/d": ([2.0, 4.0], [1.0, 90000.0], [1.0, 80000.0]),
    }
    figure = figures.law_panels(SimpleNamespace(swept=found.__getitem__), *found)
    few, many = (list(tick_labels(ax.yaxis)) for ax in panels(figure))
    assert {1, 2, 5, 10, 20} <= {round(y, 9) for y in few}
    assert {1, 10, 100, 1000} <= {round(y, 9) for y in many}
    assert not {2, 5, 20} & {round(y, 9) for y in many}


def level_line(ax: Axes) -> tuple[list[float], np.ndarray, str]:
    """Levels of the contour of a panel, its points, and its colour."""
    (contour,) = [each for each in ax.collections if isinstance(each, ContourSet)]
    points = np.concatenate([path.vertices for path in contour.get_paths()])
    return list(contour.levels), points, to_hex(contour.get_edgecolor()[0])


def test_phase_diagrams() -> None:
    x, tokens = [0.01, 0.02, 0.08], [4, 16, 64, 256]
    whole = pd.DataFrame(
        [[0.9, 0.8, 0.7], [0.6, 0.5, 0.1], [0.4, 0.03, 0.02], [0.2, 0.025, np.nan]], tokens, x
    )
    rare = 1 - whole * 0.9
    figure = figures.phase_diagrams(
        {"all tokens": whole, "rare": rare},
        0.3,
        label=r"$\pi_{\min}$",
        marks={"all tokens": [(0.02, 16, 0.55), (0.01, 64, 0.35)]},
        edges={"rare": [0.07, 0.05, 0.03, 0.015]},
    )
    left, right = panels(figure)
    assert titles(figure) == ["all tokens", "rare"]
    for ax, table in ((left, whole), (right, rare)):
        along, up, shown = cells(ax)
        # Edges lie in the middle of two centres on the logarithmic axis.
        assert along[1:3] == pytest.approx([0.01 * 2**0.5, 0.02 * 2])
        assert up == pytest.approx([2, 8, 32, 128, 512])
        assert np.array_equal(shown, table, equal_nan=True)
        assert (ax.get_xlim(), ax.get_ylim()) == ((along[0], along[-1]), (up[0], up[-1]))
        levels, points, colour = level_line(ax)
        assert (levels, colour) == ([0.3], OVER_PIXELS)
        at = RegularGridInterpolator(
            (tokens, x), table.to_numpy(), bounds_error=False, fill_value=None
        )
        # Contours cross the lines between centres where linear interpolation says so.
        values = at(points[:, ::-1])
        assert np.isfinite(values).sum() >= 3
        assert values[np.isfinite(values)] == pytest.approx(0.3, abs=1e-6)
        assert scales(ax) == ("log", "log")
        assert ax.get_xlabel() == r"$\pi_{\min}$"
        assert tick_labels(ax.xaxis) == {0.01: "0.01", 0.02: "0.02", 0.08: "0.08"}
        scale = ax.collections[0].norm
        assert isinstance(scale, LogNorm)
        assert (scale.vmin, scale.vmax) == (0.01, 1)
    assert left.get_ylabel() == "$N$"
    assert tick_labels(left.yaxis) == {4: "4", 16: "16", 64: "64", 256: "256"}
    assert [(places.tolist(), number) for places, number in scatters(left)] == [
        ([[0.02, 16]], [0.55]),
        ([[0.01, 64]], [0.35]),
    ]
    assert scatters(right) == []
    for mark in left.collections[2:]:  # marks have the colours of the cells
        assert (mark.norm.vmin, mark.norm.vmax) == (0.01, 1)
        assert isinstance(mark.norm, LogNorm)
        assert mark.get_cmap() == left.collections[0].get_cmap()
    assert lines(left) == []
    assert lines(right) == [Series([0.07, 0.05, 0.03, 0.015], tokens, Look(INK_OVER_PIXELS, "--"))]
    (bar,) = colour_bars(figure)
    assert bar.get_ylabel() == "excess risk / its start"
    assert tick_labels(bar.yaxis) == {s: f"{s:g}" for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)}
    said = caption(CHAPTER, "fig-tok-phase")
    assert "of all tokens (left) and of the rarest pattern's tokens (right)" in said
    assert "Dashed, right" in said
    code = source(CHAPTER, "fig-tok-phase")
    assert "{whole: diagrams.all, rare: diagrams.rare}" in code
    assert "edges={rare: diagrams.edge}" in code
    assert 'marks={whole: diagrams.marks("all"), rare: diagrams.marks("rare")}' in code


def test_phase_diagrams_with_many_cells_have_few_ticks() -> None:
    x, tokens = [float(2**k) for k in range(9)], [3**k for k in range(10)]
    table = pd.DataFrame(np.linspace(1, 0.01, 90).reshape(10, 9), tokens, x)
    figure = figures.phase_diagrams({"best head": table}, 0.05, label="$r$")
    (ax,) = panels(figure)
    assert tick_labels(ax.xaxis) == {1: "1", 4: "4", 16: "16", 64: "64", 256: "256"}
    assert tick_labels(ax.yaxis) == {1: "1", 9: "9", 81: "81", 729: "729", 6561: "6561"}
