"""The figures of the forward process and of the objective show what they are given."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from scipy.stats import norm

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.figures import COLOURS, PATTERN_COLOURS
from gmmtf_book.c02_ddpm_objective import figures
from rooms.drawn import (
    Look,
    Series,
    areas,
    axis_labels,
    bars,
    caption,
    legend,
    levels,
    lines,
    named,
    notes,
    panels,
    scales,
    sides,
    tick_labels,
    titles,
)

BLACK, FIRST, SECOND = COLOURS["theory"], *PATTERN_COLOURS[:2]


def test_projected_densities() -> None:
    schedule = NoiseSchedule([0.1, 0.2, 0.3, 0.4])
    mixture = MultiTokenGMM(
        n_patterns=3, dim=4, n_tokens=2, radius=3.0, sigma=0.5, weights=[0.2, 0.5, 0.3]
    )
    states = {
        3: torch.tensor([0.1, 0.2, 0.21, 1.0]),
        0: torch.tensor([-1.0, 3.0, 3.0]),
        2: torch.tensor([0.5, 1.5]),
        1: torch.tensor([2.0, -0.4, 0.7]),
    }
    figure = figures.projected_densities(states, mixture, schedule)
    axes = panels(figure)
    alpha_bars = {0: 0.9, 1: 0.72, 2: 0.504, 3: 0.3024}
    assert titles(figure) == [
        rf"$t = {t}$, $\bar\alpha_t = {text}$"
        for t, text in ((3, "0.30"), (0, "0.90"), (2, "0.50"), (1, "0.72"))
    ]
    for ax, (t, drawn) in zip(axes, states.items(), strict=True):
        heights, edges = np.histogram(drawn, 80, density=True)
        (shown,), (density,) = bars(ax), lines(ax)
        assert shown.x == pytest.approx((edges[1:] + edges[:-1]) / 2)
        assert shown.y == pytest.approx(heights)
        signal, spread = math.sqrt(alpha_bars[t]), math.sqrt(1 - 0.75 * alpha_bars[t])
        x = np.array(density.x)
        exact = 0.2 * norm.pdf(x, 3 * signal, spread) + 0.8 * norm.pdf(x, 0, spread)
        assert density.y == pytest.approx(exact, rel=1e-5)
        assert (x[0], x[-1]) == (-4, 5), "all of the density"
        assert (shown.look.colour, density.look) == (to_hex("0.6"), Look(BLACK, "-"))
        ((_, colour, x, low, high),) = areas(ax)
        assert colour == FIRST
        assert (x[0], x[-1]) == (-4, 5)
        assert low == [0] * len(x)
        assert high == pytest.approx(0.2 * norm.pdf(x, 3 * signal, spread), rel=1e-5, abs=1e-12)
        assert tick_labels(ax.yaxis) == {}
        assert scales(ax) == ("linear", "linear")
        assert ax.get_xlim() == axes[0].get_xlim()
    label = r"projection on pattern 1, $\langle\hat\mu_1, x_t\rangle$"
    assert [ax.get_xlabel() for ax in axes] == ["", "", "", label]
    for name, at in (("other patterns", 0), ("pattern 1", 3)):
        assert notes(axes[0])[name] == (at, axes[0].get_ylim()[1] / 2)
    assert "filled: the part of it that tokens of pattern 1" in caption(
        "02_ddpm_objective", "fig-ddpm-densities"
    )


def test_schedules() -> None:
    schedules = {"one": NoiseSchedule([0.1, 0.2, 0.3, 0.4]), "two": NoiseSchedule([0.5, 0.6])}
    wrong = pd.DataFrame(
        [("two", 0.0, 0.15), ("one", 0.0, 0.05), ("one", 0.5, 0.35), ("two", 0.6, 0.75)],
        columns=["schedule", "fraction", "wrong"],
    )
    figure = figures.schedules(schedules, 0.3, wrong)
    left, right = panels(figure)
    about_left, about_right = sides("02_ddpm_objective", "fig-ddpm-schedules")
    assert "log signal-to-noise ratio" in about_left
    assert "nearest pattern is not their own" in about_right
    log_snr = {"one": [0.9, 0.72, 0.504, 0.3024], "two": [0.5, 0.2]}
    for found, name, look in zip(lines(left), log_snr, (FIRST, SECOND), strict=True):
        values = [math.log(a / (1 - a)) for a in log_snr[name]]
        places = [k / len(values) for k in range(len(values))]
        assert found == Series(places, pytest.approx(values), Look(look, "-"), name)
    assert levels(left) == [("h", math.log(0.3))]
    assert lines(right) == [
        Series([0, 0.5], [0.05, 0.35], Look(FIRST, "-", "o")),
        Series([0, 0.6], [0.15, 0.75], Look(SECOND, "-", "o")),
    ]
    assert axis_labels(left) == ("$t/T$", "log signal-to-noise ratio")
    assert axis_labels(right) == ("$t/T$", "fraction of wrong labels")
    assert scales(left) == scales(right) == ("linear", "linear")
    assert (left.get_ylim(), right.get_ylim()) == ((-13, 10), (0, 1))
    assert list(legend(figure)) == ["one", "two", "threshold"]
    assert legend(figure) == named(left)
    assert legend(figure)["threshold"] == Look(BLACK, "--")


def test_excess_estimates() -> None:
    walk = pd.DataFrame(
        {
            "size": [1.0, 0.5],
            "exact": [0.7, 0.175],
            "loss minus Bayes risk": [Estimate(0.71, 0.03), Estimate(0.17, 0.02)],
            "excess risk": [Estimate(0.69, 0.004), Estimate(0.18, 0.001)],
        }
    )
    figure = figures.excess_estimates(walk)
    (ax,) = panels(figure)
    loss, excess = "standard error, loss minus Bayes risk", "standard error, excess risk"
    assert lines(ax) == [
        Series([1, 0.5], [0.7, 0.175], Look(BLACK, "-"), "excess risk"),
        Series([1, 0.5], [0.03, 0.02], Look(FIRST, "--", "o"), loss),
        Series([1, 0.5], [0.004, 0.001], Look(SECOND, "--", "s"), excess),
    ]
    assert list(legend(figure)) == ["excess risk", loss, excess]
    assert legend(figure) == named(ax)
    assert axis_labels(ax) == (r"distance $\delta$ from the optimal denoiser", "per coordinate")
    assert scales(ax) == ("log", "log")


def test_errors_over_times() -> None:
    errors = pd.DataFrame(
        [
            ("multiple of x_t", 0.0, 0.4, 7.0),
            ("head at W = 0", 0.0, 0.3, 5.0),
            ("multiple of x_t", 0.9, 0.2, 0.06),
            ("head at W = 0", 0.8, 0.1, 0.02),
        ],
        columns=["denoiser", "fraction", "excess", "score"],
    )
    figure = figures.errors_over_times(errors)
    left, right = panels(figure)
    multiple, head = "multiple of $x_t$", "head at $W = 0$"
    looks = Look(FIRST, "-", "o"), Look(SECOND, "-", "s")
    assert titles(figure) == ["excess risk", "score-matching error"]
    assert lines(left) == [
        Series([0, 0.9], [0.4, 0.2], looks[0], multiple),
        Series([0, 0.8], [0.3, 0.1], looks[1], head),
    ]
    assert lines(right) == [
        Series([0, 0.9], [7, 0.06], looks[0], multiple),
        Series([0, 0.8], [5, 0.02], looks[1], head),
    ]
    for ax in (left, right):
        assert scales(ax) == ("linear", "log")
        assert ax.get_xlabel() == "$t/T$"
    assert list(legend(figure)) == [multiple, head]
    assert legend(figure) == named(left) == named(right)
