"""The figures of the interventions show what they are given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmtf import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS
from gmmtf_book.c06_mean_denoising import figures
from rooms.drawn import (
    Look,
    Series,
    areas,
    bars,
    caption,
    colour_bars,
    error_bar,
    error_bars,
    legend,
    levels,
    lines,
    named,
    panels,
    picture,
    scales,
    tick_labels,
    titles,
)

BLACK = COLOURS["theory"]
TIMES = (100, 300, 900)
STYLES = {
    "uniform": ("uniform", COLOURS["start"], "s"),
    "other": ("another data point's", COLOURS["different"], "x"),
    "trained": ("trained", COLOURS["trained"], "o"),
    "same": ("same pattern", COLOURS["oracle"], "^"),
    "twin": ("twin's", PATTERN_COLOURS[4], "D"),
}
KEYS = [
    *[("oracle", name) for name in STYLES],
    *[("bayes", "trained"), ("map", "same"), ("map", "own"), ("map", "limit")],
    *[("parts", name) for name in ("gap", "limit", "tokens")],
]


def table(start: int) -> pd.DataFrame:
    """Numbers that all differ; the trained head's excess passes below same-pattern's at t = 600."""
    number = count(start)
    rows = {
        (*key, t): {
            "simulated": Estimate(next(number) / 100, next(number) / 10000),
            "predicted": Estimate(next(number) / 100, next(number) / 10000),
        }
        for key in KEYS
        for t in TIMES
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").sort_index()
    same = [frame.predicted["oracle", "same", t].value for t in TIMES]
    for t, value, factor in zip(TIMES, same, (3, 2, 1 / 2), strict=True):
        frame.loc[("oracle", "trained", t), "predicted"] = Estimate(factor * value, 0.001)
    return frame


@pytest.fixture
def runs() -> dict[str, pd.DataFrame]:
    return {"this run": table(50), "recorded": table(500)}


def values(frame: pd.DataFrame, side: str, *key: str) -> list[float]:
    return [e.value for e in frame[side][key]]


def assert_curve(ax: Axes, frame: pd.DataFrame, key: tuple[str, str], look: tuple[str, str, str],
                 line_colour: str = "") -> None:  # fmt: skip
    """Markers with two errors of simulation and prediction together, and the predicted line."""
    label, colour, marker = look
    halves = [
        2 * math.hypot(s.standard_error, p.standard_error)
        for s, p in zip(frame.simulated[key], frame.predicted[key], strict=True)
    ]
    assert error_bar(ax, label) == Series(
        list(TIMES),
        values(frame, "simulated", *key),
        Look(colour, "", marker),
        label,
        pytest.approx(halves),
    )
    predicted = values(frame, "predicted", *key)
    assert Series(list(TIMES), predicted, Look(line_colour or colour, "-")) in lines(ax)


def assert_panels(
    figure: Figure, runs: Mapping[str, pd.DataFrame], ylabel: str, scale: str
) -> list[tuple[Axes, pd.DataFrame]]:
    assert titles(figure) == list(runs)
    each = panels(figure)
    assert each[0].get_ylabel() == ylabel
    for ax in each:
        assert ax.get_xlabel() == "$t$"
        assert scales(ax) == ("linear", scale)
    return list(zip(each, runs.values(), strict=True))


def test_given_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = {name: torch.rand(2, 5, 5, generator=generator) for name in STYLES}
    labels = torch.tensor([[2, 0, 1, 0, 2], [0, 0, 0, 1, 1]])
    figure = figures.given_maps(maps, labels)
    order = [1, 3, 2, 0, 4]  # pattern by pattern, and as they were within one
    shown = ("trained", "same", "other", "twin")
    assert titles(figure) == ["trained", "same pattern", "another data point's", "twin's"]
    top = np.quantile(np.concatenate([maps[name][0].flatten() for name in shown]), 0.995)
    for ax, name in zip(panels(figure), shown, strict=True):
        expected = [[float(maps[name][0, row, column]) for column in order] for row in order]
        assert picture(ax).tolist() == expected, "queries are rows, from the top"
        assert ax.images[0].get_clim() == (0, pytest.approx(top))
        assert sorted(levels(ax)) == [("h", 1.5), ("h", 2.5), ("v", 1.5), ("v", 2.5)]
        assert tick_labels(ax.xaxis) == tick_labels(ax.yaxis) == {}
    assert [ax.get_xlabel() for ax in panels(figure)] == ["", "", "key token", "key token"]
    assert [ax.get_ylabel() for ax in panels(figure)] == ["query token", "", "query token", ""]
    (bar,) = colour_bars(figure)
    assert bar.get_ylabel() == "attention"


def test_one_row() -> None:
    attention = torch.tensor([[0.1, 0.4, 0.2, 0.0, 0.3], *[[0.2] * 5] * 4], dtype=torch.float64)
    labels = torch.tensor([2, 0, 1, 0, 2])
    figure = figures.one_row(attention, labels)
    (ax,) = panels(figure)
    near = pytest.approx
    assert bars(ax) == [
        Series(near([3]), [0.1], Look(COLOURS["trained"]), "itself: 0.100"),
        Series(near([4]), [0.3], Look(COLOURS["oracle"]), "its pattern, with itself: 0.40"),
        Series(near([0, 2, 1]), [0.4, 0.2, 0], Look(COLOURS["start"]), "other patterns: 0.60"),
    ]
    # squares: 0.01 + 0.16 + 0.04 + 0.09; shares 0.4, 0.2, 0.4 against 0, 0, 1
    assert titles(figure) == ["sum of squares 0.300, so 3 tokens\nmismatch 0.560"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key tokens, pattern by pattern", "attention")
    assert legend(figure) == named(ax)
    (alone,) = panels(figures.one_row(attention, labels, query=2))
    assert [each.label for each in bars(alone)] == ["itself: 0.200", "other patterns: 0.80"]


def test_risks_of_maps(runs: dict[str, pd.DataFrame]) -> None:
    figure = figures.risks_of_maps(runs)
    for ax, frame in assert_panels(figure, runs, "excess over the oracle's risk", "log"):
        shown = ("uniform", "other", "trained", "same")
        for name in shown:
            assert_curve(ax, frame, ("oracle", name), STYLES[name])
        gap = values(frame, "predicted", "parts", "gap")
        dotted = Series(list(TIMES), gap, Look(COLOURS["bayes"], ":"), "Bayes estimate")
        assert lines(ax)[-1] == dotted
        assert len(lines(ax)) == 5
        assert ax.get_ylim() == (5e-4, 4)
        assert named(ax) == legend(figure)
    assert list(legend(figure)) == ["Bayes estimate", *[STYLES[name][0] for name in shown]]
    assert "Dotted: the Bayes estimate's" in caption("06_mean_denoising", "fig-mean-risks")


def test_excess_parts(runs: dict[str, pd.DataFrame]) -> None:
    figure = figures.excess_parts(runs)
    parts = {
        "gap": ("labels not readable", COLOURS["bayes"]),
        "limit": ("bias", COLOURS["different"]),
        "tokens": ("finite $N$", COLOURS["start"]),
    }
    for ax, frame in assert_panels(figure, runs, "excess over the oracle's risk", "linear"):
        floor = np.zeros(3)
        for area, (name, look) in zip(areas(ax), parts.items(), strict=True):
            top = floor + values(frame, "predicted", "parts", name)
            assert area == (*look, list(TIMES), pytest.approx(floor), pytest.approx(top))
            floor = top
        for name in ("trained", "same"):
            assert_curve(ax, frame, ("oracle", name), STYLES[name])
        assert len(error_bars(ax)) == len(lines(ax)) == 2
        assert levels(ax) == [("v", pytest.approx(600))]
        assert ax.get_ylim()[0] == 0
        assert named(ax) == legend(figure)
    assert list(legend(figure)) == [*[label for label, _ in parts.values()], "trained",
                                    "same pattern"]  # fmt: skip
    first, second = panels(figure)
    assert first.get_ylim() != second.get_ylim()


def test_twin_ratio(runs: dict[str, pd.DataFrame]) -> None:
    figure = figures.twin_ratio(runs)
    for ax, frame in assert_panels(figure, runs, "excess, twin's map / own map", "linear"):
        twin, own = (frame.loc[("oracle", name)] for name in ("twin", "trained"))
        ratio = pd.concat({("oracle", "ratio"): twin / own})
        assert_curve(ax, ratio, ("oracle", "ratio"), STYLES["twin"])
        assert levels(ax) == [("h", 1)]
        assert (len(lines(ax)), ax.get_legend()) == (1, None)
    assert figure.legends == []


def test_attention_mass(runs: dict[str, pd.DataFrame]) -> None:
    figure = figures.attention_mass(runs)
    blue = COLOURS["same"]
    for ax, frame in assert_panels(figure, runs, "share of the attention", "linear"):
        assert_curve(ax, frame, ("map", "same"), ("same pattern", blue, "o"), BLACK)
        assert_curve(ax, frame, ("map", "own"), ("itself", COLOURS["different"], "^"), BLACK)
        limit = values(frame, "predicted", "map", "limit")
        band = Series(list(TIMES), limit, Look(blue, "-"), "softmax limit")
        assert lines(ax)[-1] == band
        assert ax.lines[-1].get_linewidth() > 3 * ax.lines[1].get_linewidth(), "seen behind them"
        assert len(lines(ax)) == 3
        assert ax.get_ylim() == (0, 1.03)
        assert named(ax) == legend(figure)
    assert list(legend(figure)) == ["softmax limit", "same pattern", "itself"]
    assert "Pale bands: the limit weights" in caption("06_mean_denoising", "fig-mean-mass")


def test_distances(runs: dict[str, pd.DataFrame]) -> None:
    figure = figures.distances(runs)
    for ax, frame in assert_panels(figure, runs, "mean squared distance", "log"):
        oracle = ("head to the oracle", COLOURS["oracle"], "o")
        assert_curve(ax, frame, ("oracle", "trained"), oracle)
        assert_curve(ax, frame, ("bayes", "trained"), ("head to Bayes", COLOURS["bayes"], "s"))
        gap = values(frame, "predicted", "parts", "gap")
        assert lines(ax)[-1] == Series(list(TIMES), gap, Look(BLACK, ":"), "Bayes to oracle")
        assert len(lines(ax)) == 3
        assert ax.get_ylim() == (5e-4, 0.2)
        assert named(ax) == legend(figure)
    assert list(legend(figure)) == ["Bayes to oracle", "head to the oracle", "head to Bayes"]


def counts_table(start: int, counts: tuple[int, ...]) -> pd.DataFrame:
    number = count(start)
    rows = {
        (t, name, n): {
            "simulated": Estimate(next(number) / 100, next(number) / 10000),
            "predicted": Estimate(next(number) / 100, next(number) / 10000),
        }
        for t in (50, 400, 800)
        for name in ("trained", "same")
        for n in counts
    }
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()


def test_errors_by_count() -> None:
    sizes = {"this run": (2, 5, 16), "recorded": (4, 20, 64)}
    runs: dict[str, Any] = {
        title: counts_table(50 + 100 * k, n) for k, (title, n) in enumerate(sizes.items())
    }
    figure = figures.errors_by_count(runs)
    assert titles(figure) == list(runs)
    assert figure.legends == []
    colours = (PATTERN_COLOURS[0], PATTERN_COLOURS[1], PATTERN_COLOURS[4])
    for ax, frame, n in zip(panels(figure), runs.values(), sizes.values(), strict=True):
        shares = [1 / each for each in n]
        *predicted, dashed = lines(ax)
        for line, t, colour, marker in zip(predicted, (50, 400, 800), colours, "osD", strict=True):
            key = (t, "trained")
            assert line == Series(shares, values(frame, "predicted", *key), Look(colour, "-"))
            simulated = error_bar(ax, f"$t$ = {t}")
            assert (simulated.x, simulated.look) == (shares, Look(colour, "", marker))
            assert simulated.y == values(frame, "simulated", *key)
        assert dashed == Series(shares, shares, Look(COLOURS["oracle"], "--"), "same pattern")
        assert scales(ax) == ("log", "log")
        assert ax.get_xlabel() == "$1/n_u$"
        assert tick_labels(ax.xaxis) == {1 / each: f"1/{each}" for each in n}
        assert list(legend(ax)) == ["same pattern", "$t$ = 50", "$t$ = 400", "$t$ = 800"]
        assert legend(ax) == named(ax)
    assert panels(figure)[0].get_ylabel() == r"error of the output / $\tau^2$"


@pytest.mark.parametrize(
    "draw", [figures.risks_of_maps, figures.twin_ratio, figures.attention_mass, figures.distances]
)
def test_panels_share_their_scale(
    draw: Callable[[Mapping[str, Any]], Figure], runs: dict[str, pd.DataFrame]
) -> None:
    first, second = panels(draw(runs))
    assert first.get_ylim() == second.get_ylim()
