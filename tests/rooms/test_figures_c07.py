"""The figures of the effective picture show what they are given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from gmmtf import Estimate, MultiTokenGMM
from gmmtf.figures import COLOURS, PATTERN_COLOURS
from gmmtf_book.c07_effective_tokens import figures
from rooms.drawn import (
    Look,
    Series,
    axis_labels,
    error_bars,
    legend,
    levels,
    lines,
    named,
    notes,
    panels,
    scales,
    sides,
    tick_labels,
)

BLACK, RED, BLUE = COLOURS["theory"], COLOURS["trained"], COLOURS["same"]
CHAPTER = "07_effective_tokens"


def points(start: float) -> pd.DataFrame:
    """Points of a sweep; all numbers differ from each other's and from other sweeps'."""
    x = [start, 3 * start, 9 * start]
    return pd.DataFrame(
        {
            "x": x,
            "simulated": [Estimate(start / k, start / 100 / k) for k in (3, 5, 7)],
            "expansion": [Estimate(start / k, 0.1) for k in (11, 13, 17)],
            "integral": [Estimate(start / k, 0.2) for k in (19, 23, 29)],
            "validity": [start / k for k in (31, 37, 41)],
            "dispersion": [start / k for k in (59, 61, 43)],
            "holds": [True, True, False],
        }
    )


class StandIn:
    """A study with the points and lines of some sweeps."""

    def __init__(self, starts: dict[str, float], **plan: Any) -> None:
        self.starts, self.plan = starts, SimpleNamespace(**plan)

    def points(self, kind: str) -> pd.DataFrame:
        return points(self.starts[kind])

    def line(self, kind: str) -> tuple[list[float], list[float]]:
        start = self.starts[kind]
        return [start, 5 * start, 9 * start], [start / k for k in (43, 47, 53)]


def simulated(start: float, where: str) -> Series:
    found = points(start)
    return Series(
        found["x"].tolist(),
        [e.value for e in found["simulated"]],
        Look(RED, "", "o", filled=where == "large run"),
        f"simulation, {where}",
        pytest.approx([2 * e.standard_error for e in found["simulated"]]),
    )


RUNS = {"live": "--", "large run": "-"}
"""Where a run was computed, and the line of its theory."""


def plain(labels: dict[float, str]) -> bool:
    """Whether tick labels are plain numbers, at least two of them."""
    return len(labels) > 1 and labels == {at: f"{at:g}" for at in labels}


def test_effective_counts() -> None:
    counts = pd.DataFrame(
        [(300, 1, 500, 480), (20, 1, 400, 390), (300, 16, 70, 65), (20, 16, 9, 11)],
        columns=["t", "strength", "predicted", "measured"],
    )
    figure = figures.effective_counts(counts, 512)
    (ax,) = panels(figure)
    one, two = PATTERN_COLOURS[:2]
    assert lines(ax) == [
        Series([1, 16], [400, 9], Look(one, "-"), "$t = 20$"),
        Series([1, 16], [390, 11], Look(one, "", "o")),
        Series([1, 16], [500, 70], Look(two, "-"), "$t = 300$"),
        Series([1, 16], [480, 65], Look(two, "", "o")),
    ]
    assert levels(ax) == [("h", 512)]
    assert notes(ax) == {"all $N$": (16, 512)}
    assert axis_labels(ax) == (r"strength $\beta r^2$", "effective tokens")
    assert scales(ax) == ("log", "log")
    assert plain(tick_labels(ax.xaxis))
    assert plain(tick_labels(ax.yaxis))
    assert {1, 2, 5, 10} <= set(tick_labels(ax.xaxis))
    assert list(legend(ax)) == ["$t = 20$", "$t = 300$"]
    assert legend(ax) == named(ax)


def test_sweeps() -> None:
    live = StandIn({"tokens": 10.0, "time": 100.0, "strength": 1.0}, time=150)
    paper = StandIn({"tokens": 20.0, "time": 110.0, "strength": 2.0}, time=250)
    figure = figures.sweeps(live, paper)
    axes = panels(figure)
    kinds = {"tokens": "$N$, at $t = 250$", "time": "$t$", "strength": r"$\beta r^2$"}
    for ax, (kind, label) in zip(axes, kinds.items(), strict=True):
        assert error_bars(ax) == [
            simulated(live.starts[kind], "live"),
            simulated(paper.starts[kind], "large run"),
        ]
        assert lines(ax) == [
            Series(*study.line(kind), Look(BLACK, style), f"expansion, {where}")
            for study, (where, style) in zip((live, paper), RUNS.items(), strict=True)
        ]
        assert ax.get_xlabel() == label
        assert scales(ax) == ("linear" if kind == "time" else "log", "log")
        assert plain(tick_labels(ax.xaxis))
        assert ax.get_ylim() == axes[0].get_ylim()
        assert legend(figure) == named(ax)
    assert axes[0].get_ylabel() == "excess risk"
    assert list(legend(figure)) == [
        f"{what}, {where}" for what in ("expansion", "simulation") for where in RUNS
    ]


def test_risk_against_strength() -> None:
    live, paper = StandIn({"short": 1.0}), StandIn({"short": 2.0})
    figure = figures.risk_against_strength(live, paper)
    left, right = panels(figure)
    about_left, about_right = sides(CHAPTER, "fig-eff-short")
    assert "excess risk by simulation" in about_left
    assert "the larger of the expansion's two indicators over its limit" in about_right
    assert error_bars(left) == [simulated(1, "live"), simulated(2, "large run")]
    expected = []
    for start, (where, style) in zip((1, 2), RUNS.items(), strict=True):
        found = points(start)
        held = [e.value for e in found["expansion"]][:2]  # the third does not hold
        exact = [e.value for e in found["integral"]]
        x = found["x"].tolist()
        expected += [
            Series(x[:2], held, Look("#999999", style), f"expansion, {where}"),
            Series(x, exact, Look(BLUE, style), f"integral, {where}"),
        ]
    assert lines(left) == expected
    assert lines(right) == [
        Series(
            points(start)["x"].tolist(),
            [start / 31 / 0.05, start / 37 / 0.05, start / 41 / 0.05],
            Look(COLOURS["different"], style, "o", filled=where == "large run"),
        )
        for start, (where, style) in zip((1, 2), RUNS.items(), strict=True)
    ]
    assert levels(right) == [("h", 1)]
    assert notes(right) == {"limit": (1, 1)}
    assert axis_labels(left) == (r"strength $\beta r^2$", "excess risk")
    assert axis_labels(right) == (r"strength $\beta r^2$", "indicator / limit")
    assert scales(left) == scales(right) == ("log", "log")
    assert plain(tick_labels(left.xaxis))
    assert plain(tick_labels(right.xaxis))
    assert set(legend(figure)) == {
        f"{what}, {where}" for what in ("simulation", "expansion", "integral") for where in RUNS
    }
    assert legend(figure) == named(left)


def test_indicator() -> None:
    live = pd.DataFrame({"validity": [5e-6, 0.5], "dispersion": [0, 0], "error": [1e-9, 0.2]})
    paper = pd.DataFrame({"validity": [5e-5, 0], "dispersion": [0, 0.16], "error": [0.01, 1e5]})
    searched = pd.DataFrame(
        {"validity": [0.0, 1e9, 0.01], "dispersion": [0.008, 0, 0], "error": [0.03, 0, 7],
         "known": [True, True, False]}
    )  # fmt: skip
    figure = figures.indicator(live, paper, searched)
    (ax,) = panels(figure)
    assert lines(ax) == [
        Series([0.1, 1e3], [0.03, 1e-7], Look("#808080", "", "."), "random settings"),
        Series([1e-3, 2], [0.01, 1e3], Look(RED, "", "o"), "large run"),
        Series([1e-4, 10], [1e-7, 0.2], Look(RED, "", "o", filled=False), "live"),
    ]
    (span,) = ax.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((1, 2e3))
    assert levels(ax) == [("h", 0.05)]
    assert notes(ax) == {"5 %": (1.5e-7, 0.05), "does not hold": (1, 2e-7)}
    assert axis_labels(ax) == ("indicator / limit", "relative error")
    assert scales(ax) == ("log", "log")
    assert ax.get_xlim() == (5e-8, 2e3)
    assert list(legend(ax)) == ["random settings", "large run", "live"]
    assert legend(ax) == named(ax)


PARTS = {
    "wrong patterns": COLOURS["different"],
    "tilt": PATTERN_COLOURS[4],
    "variance": COLOURS["bayes"],
    "own token": COLOURS["oracle"],
    "product": COLOURS["start"],
    "total": COLOURS["theory"],
}


def parts(start: float) -> pd.DataFrame:
    table = pd.DataFrame(
        {name: [start + k, 2 * start + k / 3, start / 2 + k / 7] for k, name in enumerate(PARTS)},
        index=[start, 2 * start, 3 * start],
    )
    table.loc[start, "product"] *= -1
    table.loc[3 * start, "own token"] *= -1
    return table


def assert_parts(ax: Axes, table: pd.DataFrame) -> None:
    drawn = lines(ax)
    for above, below, name in zip(drawn[::2], drawn[1::2], PARTS, strict=True):
        assert (above.look, above.label) == (Look(PARTS[name], "-"), name)
        assert (below.look, below.label) == (Look(PARTS[name], ":"), "")
        assert above.x == below.x == table.index.tolist()
        part = table[name].to_numpy()
        np.testing.assert_equal(above.y, np.where(part > 0, part, np.nan))
        np.testing.assert_equal(below.y, np.where(part < 0, -part, np.nan))
    widths = {line.get_label(): line.get_linewidth() for line in ax.lines}
    assert max(widths, key=widths.__getitem__) == "total"


def test_excess_parts() -> None:
    tables = {"strength": parts(1.0), "other strength": parts(10.0)}
    figure = figures.excess_parts(tables)
    for ax, (label, table) in zip(panels(figure), tables.items(), strict=True):
        assert_parts(ax, table)
        assert axis_labels(ax) == (label, "excess risk")
        assert scales(ax) == ("linear", "log")
        top = table["total"].max()
        assert ax.get_ylim() == pytest.approx((top / 5000, 2 * top))
        assert legend(figure) == named(ax)
    assert list(legend(figure)) == list(PARTS)


def test_predicted_curves() -> None:
    def law(dim: int, n_tokens: int) -> MultiTokenGMM:
        return MultiTokenGMM(n_patterns=2, dim=dim, n_tokens=n_tokens, radius=2.0, sigma=0.3)

    def descent(*excess: float) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(step=4 * k, excess_given_set=Estimate(each, 0.1))
            for k, each in enumerate(excess)
        ]

    live, paper = (
        StandIn({"curve": start}, main=law(*size))
        for start, size in ((1.0, (8, 16)), (2.0, (32, 64)))
    )
    descents = {
        "huge": descent(0.7, 0.5, 0.2),
        "live": descent(0.8, 0.3, 0.1),
        "paper": descent(0.5, 0.4),
    }
    figure = figures.predicted_curves(live, paper, descents)
    (ax,) = panels(figure)
    names = ["$d = 8$, $N = 16$", "$d = 32$, $N = 64$", "$d = N = 10^9$, $M = 64$, $K = 8$"]
    steps = ([0, 4, 8], [0, 4], [0, 4, 8])
    shares = ([1, 0.375, 0.125], [1, 0.8], [1, 0.5 / 0.7, 0.2 / 0.7])
    for k, line in enumerate(lines(ax)):
        look = Look(PATTERN_COLOURS[k], ("-", "--", "-.")[k])
        assert line == Series(steps[k], pytest.approx(shares[k]), look, names[k])
    assert len(lines(ax)) == 3
    for k, (marks, start, unit) in enumerate(zip(error_bars(ax), (1, 2), (0.8, 0.5), strict=True)):
        found = points(start)
        assert marks == Series(
            found["x"].tolist(),
            pytest.approx([e.value / unit for e in found["simulated"]]),
            Look(PATTERN_COLOURS[k], "", "os"[k]),
            y_half=pytest.approx([2 * e.standard_error / unit for e in found["simulated"]]),
        )
    assert axis_labels(ax) == ("step", "excess risk / its start")
    assert scales(ax) == ("symlog", "log")
    assert ax.get_xlim() == (-0.3, 1000)
    assert ax.get_ylim()[0] < 0.06, "the names have room below"
    assert plain(tick_labels(ax.yaxis))
    assert tick_labels(ax.xaxis) == {at: str(at) for at in (0, 5, 10, 30, 100, 300)}
    assert ax.get_xaxis().get_transform().linthresh == 5
    # Each name stands at the end of its own curve.
    ends = {line.label: (line.x[-1], line.y[-1]) for line in lines(ax)}
    said = {note.replace("\n", " "): at for note, at in notes(ax).items()}
    assert said.pop("lines: computed without a token markers: simulated") == (1, 1)
    assert said == ends


def test_one_run_is_drawn_once() -> None:
    law = MultiTokenGMM(n_patterns=2, dim=8, n_tokens=16, radius=2.0, sigma=0.3)
    study = StandIn({"curve": 1.0}, main=law)
    descent = [SimpleNamespace(step=k, excess_given_set=Estimate(1 / (k + 1))) for k in range(3)]
    figure = figures.predicted_curves(
        study, study, dict.fromkeys(("live", "paper", "huge"), descent)
    )
    (ax,) = panels(figure)
    assert (len(lines(ax)), len(error_bars(ax)), len(notes(ax))) == (2, 1, 3)


def test_many_tokens() -> None:
    sweep = pd.DataFrame(
        {"N": [10, 1000], "fixed": [Estimate(0.5), Estimate(0.2)], "best": [Estimate(0.4), 0.1]}
    )
    by_dimension = pd.DataFrame({"d": [8, 64], "best": [Estimate(0.6), Estimate(0.12)]})
    figure = figures.many_tokens(sweep, by_dimension)
    left, right = panels(figure)
    about_left, about_right = sides(CHAPTER, "fig-eff-floor")
    assert "excess risk against the number of tokens" in about_left
    assert "against $d = r^2$" in about_right
    assert lines(left) == [
        Series([10, 1000], [0.5, 0.2], Look(RED, "-"), "one trained weight"),
        Series([10, 1000], [0.4, 0.1], Look(BLUE, "-"), "best weight at each $N$"),
    ]
    law = pytest.approx([0.6, 0.15])  # eight times the dimension, a quarter of the floor
    assert lines(right) == [
        Series([8, 64], [0.6, 0.12], Look(BLUE, "-"), "floor, best weight"),
        Series([8, 64], law, Look(BLACK, "--"), r"$\propto d^{-2/3}$"),
    ]
    assert axis_labels(left) == ("$N$", "excess risk")
    assert axis_labels(right) == ("$d = r^2$", r"excess risk, $N \to \infty$")
    assert scales(left) == scales(right) == ("log", "log")
    assert plain(tick_labels(left.yaxis))
    for ax in (left, right):
        assert list(legend(ax)) == [line.label for line in lines(ax)]
        assert legend(ax) == named(ax)
