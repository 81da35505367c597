"""The figures of the optimal denoisers and of the reverse process show what they are given."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from gmmtf import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS
from gmmtf_book.c03_mmse_denoiser import figures
from rooms.drawn import (
    Look,
    Series,
    areas,
    axis_labels,
    bars,
    caption,
    error_bars,
    legend,
    lines,
    named,
    notes,
    panels,
    scales,
    sides,
    tick_labels,
    titles,
)

BLACK = COLOURS["theory"]


def test_risks_over_times() -> None:
    risks = pd.DataFrame(
        {
            "oracle": [0.3, 0.2, 0.1],
            "bayes": [0.35, 0.29, 0.18],
            "linear": [0.37, 0.33, 0.25],
            "fraction": [0.0, 0.4, 0.9],
            "gap": [0.05, 0.09, 0.08],
        },
        index=pd.Index([0, 4, 9], name="t"),
    )
    losses = pd.DataFrame(
        {
            "oracle": [Estimate(0.11, 0.01), Estimate(0.31, 0.02)],
            "bayes": [Estimate(0.19, 0.03), Estimate(0.36, 0.04)],
            "linear": [Estimate(0.26, 0.015), Estimate(0.38, 0.025)],
        },
        index=[9, 0],
    )
    figure = figures.risks_over_times(risks, losses)
    left, right = panels(figure)
    about_left, about_right = sides("03_mmse_denoiser", "fig-mmse-risks")
    assert "risks of the oracle, the Bayes estimator and the best linear denoiser" in about_left
    assert "Bayes minus oracle" in about_right
    bayes, oracle, linear = COLOURS["bayes"], COLOURS["oracle"], COLOURS["linear"]
    assert lines(left) == [
        Series([0, 0.4, 0.9], [0.37, 0.33, 0.25], Look(linear, "--"), "linear filter"),
        Series([0, 0.4, 0.9], [0.35, 0.29, 0.18], Look(bayes, "-"), "Bayes"),
        Series([0, 0.4, 0.9], [0.3, 0.2, 0.1], Look(oracle, ":"), "oracle"),
    ]
    assert error_bars(left) == [
        Series([0.9, 0], [0.26, 0.38], Look(linear, "", "s"), y_half=pytest.approx([0.03, 0.05])),
        Series([0.9, 0], [0.19, 0.36], Look(bayes, "", "o"), y_half=pytest.approx([0.06, 0.08])),
        Series([0.9, 0], [0.11, 0.31], Look(oracle, "", "^"), y_half=pytest.approx([0.02, 0.04])),
    ]
    assert lines(right) == [Series([0, 0.4, 0.9], [0.05, 0.09, 0.08], Look(BLACK, "-"))]
    assert axis_labels(left) == ("$t/T$", "risk per coordinate")
    assert areas(left) == [("", bayes, [0, 0.4, 0.9], [0.3, 0.2, 0.1], [0.35, 0.29, 0.18])]
    assert areas(right) == [("", bayes, [0, 0.4, 0.9], [0, 0, 0], [0.05, 0.09, 0.08])]
    assert "shaded in both panels" in about_right
    assert axis_labels(right) == ("$t/T$", "Bayes minus oracle")
    assert (scales(left), scales(right)) == (("linear", "log"), ("linear", "linear"))
    assert right.get_ylim()[0] == 0
    for ax in (left, right):
        assert tick_labels(ax.xaxis) == {x: f"{x:g}" for x in (0, 0.25, 0.5, 0.75, 1)}
    # Each name stands at a point of its own curve.
    for found in lines(left):
        assert notes(left)[found.label] in zip(found.x, found.y, strict=True)
    assert len(notes(left)) == 3


def test_label_collapse() -> None:
    points = pd.DataFrame(
        [("far", 0.5, 0.3), ("near", 0.7, 0.4), ("far", 1.5, 0.8)],
        columns=["law", "margin", "posterior"],
    )
    curve = torch.tensor([0.125, 0.5, 0.875])
    figure = figures.label_collapse(torch.tensor([0.0, 1.0, 2.0]), curve, points)
    (ax,) = panels(figure)
    assert lines(ax) == [
        Series([0, 1, 2], [0.125, 0.5, 0.875], Look(BLACK, "-"), r"$A(\kappa)$"),
        Series([0.5, 1.5], [0.3, 0.8], Look(PATTERN_COLOURS[0], "", "o", False), "far"),
        Series([0.7], [0.4], Look(PATTERN_COLOURS[1], "", "s", False), "near"),
    ]
    assert list(legend(figure)) == [r"$A(\kappa)$", "far", "near"]
    assert legend(figure) == named(ax)
    assert axis_labels(ax) == (r"label margin $\kappa$", "posterior of the true label")
    assert scales(ax) == ("linear", "linear")
    assert ax.get_ylim() == (0, 1.03)


def test_gaps_over_times() -> None:
    names = ("e", "b", "c", "d", "a")  # in an order of their own
    rows = [(name, at, k + at) for at in (0.25, 0.75) for k, name in enumerate(names)]
    figure = figures.gaps_over_times(pd.DataFrame(rows, columns=["law", "fraction", "gap"]))
    (ax,) = panels(figure)
    # Three radii solid, wide and coloured, two scatters broken, thin and black.
    looks = [*(Look(PATTERN_COLOURS[k], "-") for k in range(3)),
             *(Look(COLOURS["theory"], style) for style in ("--", "-."))]  # fmt: skip
    assert lines(ax) == [
        Series([0.25, 0.75], [k + 0.25, k + 0.75], looks[k], name) for k, name in enumerate(names)
    ]
    assert max(line.get_linewidth() for line in ax.lines[3:]) < ax.lines[0].get_linewidth() / 2
    assert list(legend(figure)) == list(names)
    assert legend(figure) == named(ax)
    assert axis_labels(ax) == ("$t/T$", "Bayes minus oracle risk")
    assert scales(ax) == ("linear", "linear")
    assert ax.get_ylim()[0] == 0


def test_value_of_the_active_set() -> None:
    names = ("Bayes", "token by token", "told S")
    cells = [(16, 0.1, 1), (4, 0.2, 2), (16, 0.9, 3), (4, 0.8, 4)]
    gaps = pd.DataFrame(
        [
            {"n_tokens": n, "fraction": at}
            | {name: Estimate(place + k / 10, place / 100 + k) for k, name in enumerate(names)}
            for n, at, place in cells
        ]
    )
    figure = figures.value_of_the_active_set(gaps)
    few, many = panels(figure)
    said = caption("03_mmse_denoiser", "fig-mmse-sets")
    assert "few tokens (left) and with many (right)" in said
    assert titles(figure) == ["$N = 4$", "$N = 16$"]
    for ax, x, places in ((few, [0.2, 0.8], (2, 4)), (many, [0.1, 0.9], (1, 3))):
        assert error_bars(ax) == [
            Series(
                x,
                [place + k / 10 for place in places],
                Look(PATTERN_COLOURS[k], "-", "os^"[k]),
                name.replace("told S", "told $S$"),
                pytest.approx([2 * (place / 100 + k) for place in places]),
            )
            for k, name in enumerate(names)
        ]
        assert ax.get_xlabel() == "$t/T$"
        assert scales(ax) == ("linear", "linear")
    assert few.get_ylabel() == "risk above the oracle's"
    assert few.get_ylim() == many.get_ylim()
    assert few.get_ylim()[0] == 0
    assert list(legend(figure)) == ["Bayes", "token by token", "told $S$"]
    assert legend(figure) == named(few) == named(many)


def test_reverse_paths() -> None:
    generator = torch.Generator().manual_seed(0)
    first, last = torch.randn(2, 3, 4, generator=generator)  # three tokens in four dimensions
    path = SimpleNamespace(
        law=SimpleNamespace(means=torch.diag(torch.tensor([2.0, 3, 5, 7]))),
        fractions=[1.0, 0.25],
        states=[first, last],
        nearest=[torch.tensor([[0, 0, 0]]), torch.tensor([[3, 1, 2], [1, 1, 1]])],
    )
    figure = figures.reverse_paths(path, (2, 3))
    panel_of = dict(zip((2, 3), panels(figure), strict=True))
    assert titles(figure) == ["pattern 3", "pattern 4"]
    grey = to_hex("0.7")
    for panel, (pattern, ax) in enumerate(panel_of.items()):
        ends_here = {2: 2, 3: 0}[pattern]  # the token that ends at this pattern
        colour = PATTERN_COLOURS[panel]
        assert lines(ax) == [
            Series(
                [1, 0.25],
                [float(first[token, pattern]), float(last[token, pattern])],
                Look(colour if token == ends_here else grey, "-"),
            )
            for token in range(3)
        ]
        order = [line.get_zorder() for line in ax.lines]
        assert max(order) == order[ends_here] > min(order), "coloured paths lie above grey ones"
        assert ax.get_xlabel() == "$t/T$"
        noise, data = ax.get_xlim()
        assert noise > 1 > data, "noise is at the left end"
    assert panel_of[2].get_ylabel() == r"$\langle\hat\mu_u, x_t\rangle$"
    said = caption("03_mmse_denoiser", "fig-mmse-paths")
    assert "from noise (left end) to data (right end)" in said


def test_recovered_law() -> None:
    rows = [
        ("DDIM", 0, 0.2, Estimate(0.21, 0.01)),
        ("DDIM", 1, 0.3, Estimate(0.32, 0.02)),
        ("DDIM", 2, 0.5, Estimate(0.47, 0.03)),
        ("ancestral", 0, 0.2, Estimate(0.18, 0.04)),
        ("ancestral", 1, 0.3, Estimate(0.29, 0.05)),
        ("ancestral", 2, 0.5, Estimate(0.53, 0.06)),
    ]
    names = ["sampler", "pattern", "probability", "frequency"]
    figure = figures.recovered_law(pd.DataFrame(rows, columns=names))
    (ax,) = panels(figure)
    assert bars(ax) == [
        Series(pytest.approx([0, 1, 2]), [0.2, 0.3, 0.5], Look(to_hex("0.85")), r"$\pi_u$")
    ]
    one, two = Look(PATTERN_COLOURS[0], "", "o"), Look(PATTERN_COLOURS[1], "", "s")
    halves = pytest.approx([0.02, 0.04, 0.06]), pytest.approx([0.08, 0.1, 0.12])
    assert error_bars(ax) == [
        Series([-0.15, 0.85, 1.85], [0.21, 0.32, 0.47], one, "DDIM", halves[0]),
        Series([0.15, 1.15, 2.15], [0.18, 0.29, 0.53], two, "ancestral", halves[1]),
    ]
    assert tick_labels(ax.xaxis) == {0: "1", 1: "2", 2: "3"}
    assert list(legend(figure)) == [r"$\pi_u$", "DDIM", "ancestral"]
    assert legend(figure) == named(ax)
    assert axis_labels(ax) == ("pattern $u$", "frequency")
    assert scales(ax) == ("linear", "linear")
