"""What the figures of chapter 11 show of what they are given."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gmmtf import Estimate, MultiTokenGMM
from gmmtf.figures import COLOURS, PATTERN_COLOURS, use_style
from gmmtf_book.c11_sampling import figures
from rooms import drawn

CHAPTER = "11_sampling"
CORRECTED = PATTERN_COLOURS[4]
HEADS = {
    "zero": ("head at $W = 0$", COLOURS["start"], "-"),
    "plain": ("trained head", COLOURS["trained"], "-"),
    "corrected": ("tilt-corrected head", CORRECTED, "--"),
}
LAW = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=4, radius=3.0, sigma=0.1, weights=[0.2, 0.3, 0.5])


@pytest.fixture(autouse=True)
def style():
    use_style()


def two(figure: Figure):
    """The panels by what a caption calls them, which are drawn side by side."""
    left, right = drawn.panels(figure)
    assert left.get_position().x1 < right.get_position().x0
    return left, right


def estimates(*values: float) -> list[Estimate]:
    """Estimates, each with an error of its own."""
    return [Estimate(value, 0.01 * (k + 1)) for k, value in enumerate(values)]


def test_risks_on_the_left_and_prices_on_the_right():
    predicted = pd.DataFrame(
        {"plain": [0.1, 0.3, 0.2], "zero": [1.0, 4.0, 2.0], "corrected": [0.05, 0.2, 0.15],
         "labels": [0.5, 0.6, 0.7]}, index=[0, 4, 9],
    )  # fmt: skip
    simulated = pd.DataFrame({"zero": estimates(1.1, 2.1), "plain": estimates(0.11, 0.21)}, [0, 9])
    columns = {"corrected": 5.0, "zero": 100.0, "labels": 1.0, "plain": 10.0}
    prices = pd.DataFrame({name: top * np.arange(10) / 9 for name, top in columns.items()})
    figure = figures.price_curves(predicted, simulated, prices)
    left, right = two(figure)
    for who, (label, colour, stroke) in HEADS.items():
        law, *points = [each for each in drawn.lines(left) if each.look.colour == to_hex(colour)]
        assert (law.x, law.y) == ([0, 0.4, 0.9], predicted[who].tolist())
        assert law.look == drawn.Look(to_hex(colour), stroke)
        shown = [] if who == "corrected" else [([0, 0.9], [float(e) for e in simulated[who]], "o")]
        assert [(each.x, each.y, each.look.marker) for each in points] == shown
        price = drawn.line(right, label)
        assert price.x == pytest.approx([t / 10 for t in range(1, 10)])
        assert price.y == prices[who][1:].tolist()
        assert price.look == law.look
    labels = drawn.line(right, "labels: Bayes − oracle")
    assert labels.y == prices["labels"][1:].tolist()
    assert labels.look == drawn.Look(COLOURS["theory"], ":")
    assert drawn.legend(figure) == drawn.named(right)
    assert len(drawn.legend(figure)) == 4
    assert drawn.axis_labels(left) == ("$t/T$", "excess risk per coordinate")
    assert drawn.axis_labels(right) == ("$t/T$", "price up to $t$, nats per token")
    assert drawn.scales(left) == drawn.scales(right) == ("linear", "log")
    on_left, on_right = drawn.sides(CHAPTER, "fig-samp-price")
    assert "excess risk at single times" in on_left
    assert "price" in on_right


def test_scatter_on_the_left_and_distance_of_ancestral_samples_on_the_right():
    rows = [
        {
            "sampler": sampler, "d": d, "n_calls": n_calls,
            "predicted": 1 - shift / n_calls, "sliced": 1 + d / n_calls + shift,
            "scatter": Estimate(1 - shift / n_calls + d / 1000, d / 10_000 + 1 / n_calls),
        }
        for sampler, shift in (("DDIM", 0.5), ("ancestral", 2.0))
        for d in (8, 32) for n_calls in (10, 100)
    ]  # fmt: skip
    sweep = pd.DataFrame(rows)
    figure = figures.step_sweep(sweep)
    left, right = two(figure)
    for sampler, stroke in (("DDIM", "-"), ("ancestral", "--")):
        law, own = drawn.line(left, sampler), sweep[sweep["sampler"] == sampler]
        assert (law.x, law.y) == ([10, 100], own["predicted"][:2].tolist())
        assert law.look == drawn.Look(COLOURS["theory"], stroke)
    found = drawn.error_bars(left)
    groups = [own for _, own in sweep.groupby(["sampler", "d"], sort=False)]
    for bars, own, marker in zip(found, groups, "osos", strict=True):
        assert bars.x == own["n_calls"].tolist()
        assert bars.y == [e.value for e in own["scatter"]]
        assert bars.y_half == pytest.approx([2 * e.standard_error for e in own["scatter"]])
        assert bars.look == drawn.Look(COLOURS["bayes"], "", marker, filled=False)
    for curve, own, marker in zip(drawn.lines(right), groups[2:], "os", strict=True):
        assert (curve.x, curve.y) == (own["n_calls"].tolist(), own["sliced"].tolist())
        assert curve.look == drawn.Look(COLOURS["bayes"], "-", marker, filled=False)
    assert drawn.levels(left) == drawn.levels(right) == [("h", 1)]
    assert drawn.legend(figure) == {
        "DDIM": drawn.Look(COLOURS["theory"], "-"),
        "ancestral": drawn.Look(COLOURS["theory"], "--"),
        "$d = 8$": drawn.Look(COLOURS["bayes"], "", "o", filled=False),
        "$d = 32$": drawn.Look(COLOURS["bayes"], "", "s", filled=False),
    }
    assert drawn.axis_labels(left) == ("steps", r"variance within patterns / $\sigma^2$")
    assert drawn.axis_labels(right) == ("steps", "sliced distance / floor")
    assert drawn.scales(left) == drawn.scales(right) == ("log", "linear")
    assert right.get_ylim()[0] == 0
    on_left, on_right = drawn.sides(CHAPTER, "fig-samp-steps")
    assert "variance of tokens outside the patterns' span" in on_left
    assert "ancestral samples over its floor" in on_right


def tokens(first: int) -> torch.Tensor:
    """Five data points, of which the first stands near pattern ``first``; no two tokens alike."""
    labels = (torch.arange(5)[:, None] + first + torch.arange(4)) % 3
    return LAW.means[labels] + 0.01 * torch.arange(80.0).reshape(5, 4, 4)


@pytest.mark.parametrize("by_pattern", [False, True])
def test_planes_show_four_data_points_along_the_two_last_patterns(by_pattern):
    panels = {"real": tokens(0).float(), "generated": tokens(1)}
    figure = figures.token_planes(panels, LAW, by_pattern=by_pattern)
    assert drawn.titles(figure) == list(panels)
    directions = LAW.means[1:] / 3
    for ax, x, first in zip(drawn.panels(figure), panels.values(), (0, 1), strict=True):
        clouds = drawn.scatters(ax)
        assert len(clouds) == 4
        for which, (places, colours) in enumerate(clouds):
            np.testing.assert_allclose(places, x[which].double() @ directions.T, atol=1e-6)
            patterns = [PATTERN_COLOURS[(which + first + k) % 3] for k in range(4)]
            assert colours == (patterns if by_pattern else PATTERN_COLOURS[which])
        circles = drawn.lines(ax)
        assert [(*c.x, *c.y) for c in circles] == [(3, 0), (0, 3), (0, 0)]
        assert all(c.look == drawn.Look(COLOURS["theory"], "", "o", False) for c in circles)
        assert ax.get_xlabel() == r"along $\hat\mu_{M-1}$"
        assert ax.get_aspect() == 1
    first, last = drawn.panels(figure)
    assert (first.get_ylabel(), last.get_ylabel()) == (r"along $\hat\mu_M$", "")
    assert (first.get_xlim(), first.get_ylim()) == (last.get_xlim(), last.get_ylim())


def test_spread_on_the_left_and_mean_on_the_right_run_back_in_time():
    at = [1.0, 0.5, 0.1]
    real = pd.DataFrame({"fraction": at, "spread": [1.0, 5.0, 20.0], "centre": [1.1, 0.6, 0.2]})
    heads = {"bayes": ("Bayes", COLOURS["bayes"], math.nan)} | {
        who: (label, colour, k) for k, (who, (label, colour, _)) in enumerate(HEADS.items(), 1)
    }
    frames = {
        who: pd.DataFrame({
            "head": who, "fraction": at,
            "spread": [1.0 + k, 5.0 + k, 19.0 + k], "centre": [2.0 + k, 6.0 + k, 30.0 + k],
            "spread_law": [1.5 + law, 5.5 + law, 19.5 + law],
            "centre_law": [2.5 + law, 6.5 + law, 30.5 + law],
        })
        for k, (who, (_, _, law)) in enumerate(heads.items())
    }  # fmt: skip
    figure = figures.cloud_paths(pd.concat(frames.values()), real)
    left, right = two(figure)
    for ax, name in ((left, "spread"), (right, "centre")):
        noisy = drawn.line(ax, "noisy real data")
        assert (noisy.x, noisy.y) == (at, real[name].tolist())
        assert noisy.look == drawn.Look(COLOURS["theory"], ":")
        for who, (label, colour, law) in heads.items():
            points, *lines = [e for e in drawn.lines(ax) if e.look.colour == to_hex(colour)]
            assert (points.label, points.x) == (label, at)
            assert points.y == frames[who][name].tolist()
            assert (points.look.style, points.look.marker) == ("", "o")
            expected = [] if math.isnan(law) else [(at, frames[who][f"{name}_law"].tolist())]
            assert [(line.x, line.y) for line in lines] == expected
        assert ax.get_xlabel() == "$t/T$"
        assert drawn.scales(ax) == ("linear", "log")
        assert ax.xaxis_inverted()
        assert drawn.legend(figure) == drawn.named(ax)
    assert drawn.titles(figure) == [
        "variance along a pattern",
        r"$N \cdot$ mean square of the mean",
    ]
    on_left, on_right = drawn.sides(CHAPTER, "fig-samp-cloud")
    assert "variance of the tokens about their mean, along the patterns" in on_left
    assert "mean square of a coordinate of their mean" in on_right


def test_offsets_on_the_left_and_frequencies_on_the_right_of_each_run():
    times = [50, 300, 500]
    runs = {
        name: pd.DataFrame(
            {"offset": estimates(1.0 + k, 5.0 + k, 50.0 + k), "law": [1.1 + k, 5.1 + k, 40.0 + k],
             "frequency": estimates(0.01 + k / 100, 0.03 + k / 100, 0.5 + k / 100)}, times,
        )
        for k, name in enumerate(("live", "paper", "paper, corrected"))
    }  # fmt: skip
    figure = figures.finishing_curves(runs, 1000, 0.025)
    left, right = two(figure)
    at = [0.05, 0.3, 0.5]
    laws = drawn.lines(left)
    assert drawn.lines(right) == []
    colours = (COLOURS["trained"], COLOURS["bayes"], CORRECTED)
    for k, (name, run) in enumerate(runs.items()):
        assert (laws[k].x, laws[k].y) == (at, run["law"].tolist())
        assert laws[k].look == drawn.Look(to_hex(colours[k]), "-")
        for ax, column in ((left, "offset"), (right, "frequency")):
            bars = drawn.error_bar(ax, name)
            assert bars.x == at
            assert bars.y == [e.value for e in run[column]]
            assert bars.y_half == pytest.approx([2 * e.standard_error for e in run[column]])
            assert bars.look == drawn.Look(to_hex(colours[k]), "", "os^"[k], filled=k == 0)
    assert (drawn.levels(left), drawn.levels(right)) == ([("h", 1)], [("h", 0.025)])
    assert drawn.legend(figure) == drawn.named(left)
    assert list(drawn.legend(figure)) == list(runs)
    assert left.get_xlabel() == right.get_xlabel() == "handover $t/T$"
    assert drawn.titles(figure) == [
        "squared offset / law's", "error of the frequencies"
    ]  # fmt: skip
    assert (drawn.scales(left), drawn.scales(right)) == (("linear", "log"), ("linear",) * 2)
    assert right.get_ylim()[0] == 0
    on_left, on_right = drawn.sides(CHAPTER, "fig-samp-finish")
    assert "offset of the clusters" in on_left
    assert "distance of the pattern frequencies" in on_right


def test_shares_of_patterns_on_the_left_and_displacements_on_the_right():
    counts = {"Bayes": (1, 2, 5), "early": (3, 1, 4), "late": (0, 2, 6)}
    samples = {
        name: LAW.means[torch.arange(3).repeat_interleave(torch.tensor(each))].reshape(2, 4, 4)
        for name, each in counts.items()
    }
    displaced = pd.DataFrame(
        {"probability": [0.2, 0.3, 0.5], "found": [2.2, 1.7, 1.5],
         "predicted": [0.9 / p**0.5 for p in (0.2, 0.3, 0.5)]}
    )  # fmt: skip
    figure = figures.recovered_patterns(samples, LAW, displaced)
    left, right = two(figure)
    (heights,) = drawn.bars(left)
    assert heights.x == pytest.approx([1, 2, 3])
    assert heights.y == pytest.approx([0.2, 0.3, 0.5])
    looks = (("o", COLOURS["bayes"]), ("s", COLOURS["trained"]), ("^", PATTERN_COLOURS[1]))
    for (name, each), shift, (marker, colour) in zip(
        counts.items(), (-0.2, 0, 0.2), looks, strict=True
    ):
        found = drawn.line(left, name)
        assert found.x == pytest.approx([1 + shift, 2 + shift, 3 + shift])
        assert found.y == [n / 8 for n in each]
        assert found.look == drawn.Look(to_hex(colour), "", marker)
    assert drawn.legend(figure) == drawn.named(left)
    assert list(drawn.legend(figure)) == [*counts, r"$\pi_u$"]
    assert drawn.tick_labels(left.xaxis) == {1: "1", 2: "2", 3: "3"}
    law, points = drawn.lines(right)
    assert (law.x[0], law.x[-1]) == (0.2, 0.5)
    assert law.y == pytest.approx([0.9 / p**0.5 for p in law.x])
    assert law.look == drawn.Look(COLOURS["theory"], "-")
    assert (points.x, points.y) == ([0.2, 0.3, 0.5], [2.2, 1.7, 1.5])
    assert points.look == drawn.Look(COLOURS["trained"], "", "o")
    assert drawn.axis_labels(left) == ("pattern $u$", "frequency")
    assert right.get_xlabel() == r"$\pi_u$"
    assert drawn.titles(figure) == ["", "displacement of a cluster's mean"]
    assert drawn.scales(left) == drawn.scales(right) == ("linear", "linear")
    assert right.get_ylim()[0] == 0
    on_left, on_right = drawn.sides(CHAPTER, "fig-samp-rare")
    assert "pattern frequencies of generated tokens" in on_left
    assert r"displacement of a cluster's mean against $\pi_u$" in on_right
