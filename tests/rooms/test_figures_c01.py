"""The figures of the data law show what they are given."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from scipy.integrate import quad
from scipy.stats import norm

from gmmtf import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS
from gmmtf_book.c01_multi_token_gmm import figures
from rooms.drawn import (
    Look,
    Series,
    axis_labels,
    bars,
    caption,
    colour_bars,
    error_bars,
    legend,
    lines,
    named,
    panels,
    picture,
    scales,
    scatters,
    sides,
    source,
    tick_labels,
    titles,
)

BLACK, BLUE = COLOURS["theory"], COLOURS["bayes"]


def test_tokens_in_plane() -> None:
    projections = torch.arange(20.0).reshape(5, 4)
    labels = torch.tensor([1, 3, 0, 2, 1])
    clouds = {"first": (projections, labels), "second": (-projections, labels.flip(0))}
    figure = figures.tokens_in_plane(clouds, 7.0)
    left, right = panels(figure)
    assert titles(figure) == ["first", "second"]
    places = [[0, 1], [4, 5], [8, 9], [12, 13], [16, 17]]  # along the first two patterns
    by_colour = {to_hex("0.6"): [1, 3], PATTERN_COLOURS[0]: [2], PATTERN_COLOURS[1]: [0, 4]}
    for ax, sign, flipped in ((left, 1, False), (right, -1, True)):
        expected = {
            colour: [[sign * p for p in places[4 - n if flipped else n]] for n in tokens]
            for colour, tokens in by_colour.items()
        }
        shown = {colour: sorted(places.tolist()) for places, colour in scatters(ax)}
        assert shown == {colour: sorted(each) for colour, each in expected.items()}
        (crosses,) = lines(ax)
        assert sorted(zip(crosses.x, crosses.y, strict=True)) == [(0, 7), (7, 0)]
        assert crosses.look == Look(to_hex("k"), "", "+")
        assert ax.get_aspect() == 1
        assert ax.get_xlabel() == r"$\langle\hat\mu_1, x\rangle$"
        assert (ax.get_xlim(), ax.get_ylim()) == (left.get_xlim(), left.get_ylim())
    assert left.get_ylabel() == r"$\langle\hat\mu_2, x\rangle$"
    assert list(legend(figure)) == ["other patterns", "pattern 1", "pattern 2"]
    assert legend(figure) == named(left) == named(right)
    assert named(left)["pattern 2"].colour == PATTERN_COLOURS[1]


def test_token_pattern_maps() -> None:
    dense, sparse = torch.tensor([[1.0, -2], [3, 4], [5, -9]]), torch.tensor([[0.5, 7], [6, 8]])
    figure = figures.token_pattern_maps({"dense": dense, "sparse": sparse})
    assert titles(figure) == ["dense", "sparse"]
    upper, lower = panels(figure)
    assert picture(upper).tolist() == [[1, 3, 5], [-2, 4, -9]]  # a row a pattern, the first on top
    assert picture(lower).tolist() == [[0.5, 6], [7, 8]]
    for ax in (upper, lower):
        assert axis_labels(ax) == ("token $n$", "pattern $u$")
        assert tick_labels(ax.yaxis) == {0: "1", 1: "2"}
        assert ax.images[0].get_clim() == (-9, 9), "zero has the middle colour, and one scale"
        assert ax.images[0].get_cmap().name == "RdBu_r"
    (bar,) = colour_bars(figure)
    assert bar.get_ylabel() == r"$\langle\hat\mu_u, x_0^n\rangle$"
    said = caption("01_multi_token_gmm", "fig-law-map")
    assert said.index("all patterns active (top)") < said.index("active patterns (bottom)")
    assert "for law in (mixture, sparse):" in source("01_multi_token_gmm", "fig-law-map")


def test_distinct_patterns() -> None:
    counts = pd.DataFrame(
        [
            ("second law", 2, 1.5, Estimate(1.6, 0.1)),
            ("second law", 8, 2.5, Estimate(2.4, 0.2)),
            ("first law", 2, 3.5, Estimate(3.7, 0.3)),
            ("first law", 4, 4.5, Estimate(4.6, 0.05)),
        ],
        columns=["law", "n_tokens", "expected", "drawn"],
    )
    figure = figures.distinct_patterns(counts)
    (ax,) = panels(figure)
    one, two = PATTERN_COLOURS[:2]
    assert lines(ax) == [
        Series([2, 8], [1.5, 2.5], Look(one, "-"), "second law"),
        Series([2, 4], [3.5, 4.5], Look(two, "-"), "first law"),
    ]
    assert error_bars(ax) == [
        Series([2, 8], [1.6, 2.4], Look(one, "", "o"), y_half=pytest.approx([0.2, 0.4])),
        Series([2, 4], [3.7, 4.6], Look(two, "", "o"), y_half=pytest.approx([0.6, 0.1])),
    ]
    assert list(legend(figure)) == ["second law", "first law"]
    assert legend(figure) == named(ax)
    assert axis_labels(ax) == ("number of tokens $N$", "distinct patterns")
    assert scales(ax) == ("log", "linear")
    assert tick_labels(ax.xaxis) == {2.0**k: rf"$\mathdefault{{2^{{{k}}}}}$" for k in (1, 2, 3)}
    assert ax.get_ylim()[0] == 0


def test_inner_products() -> None:
    pairs = {4: torch.tensor([-0.5, 0.1, 0.12, 0.9]).double(), 16: torch.tensor([0.3]).double()}
    coherence = pd.DataFrame({"dim": [4, 9], "bound": [0.9, 0.8], "largest": [0.6, 0.4]})
    figure = figures.inner_products(pairs, coherence)
    left, right = panels(figure)
    about_left, about_right = sides("01_multi_token_gmm", "fig-law-inner")
    assert "inner products of two random unit vectors" in about_left
    assert "the largest inner product" in about_right
    assert axis_labels(left) == ("inner product", "density")
    assert axis_labels(right) == ("dimension $d$", "inner product")
    assert left.get_xlim() == (-1, 1)
    for (dim, drawn), shown, density in zip(pairs.items(), bars(left), lines(left), strict=True):
        heights, edges = np.histogram(drawn, 60, (-1, 1), density=True)
        assert shown.x == pytest.approx((edges[1:] + edges[:-1]) / 2)
        assert shown.y == pytest.approx(heights)
        assert shown.look.colour == density.look.colour
        assert shown.label == f"$d={dim}$"
        unit = math.gamma(dim / 2) / math.sqrt(math.pi) / math.gamma((dim - 1) / 2)
        exact = [unit * (1 - s * s) ** ((dim - 3) / 2) for s in density.x]
        assert density.y == pytest.approx(exact, rel=1e-3)
        assert (density.x[0], density.x[-1]) == (-1, 1)
    assert legend(left) == named(left)
    assert [look.colour for look in legend(left).values()] == list(PATTERN_COLOURS[:2])
    assert lines(right) == [
        Series([4, 9], [0.9, 0.8], Look(BLACK, "--"), "bound for the largest"),
        Series([4, 9], [0.6, 0.4], Look(BLUE, "", "o"), "largest of all pairs"),
        Series([4, 9], pytest.approx([1 / 2, 1 / 3]), Look(BLACK, ":"), r"$1/\sqrt{d}$"),
    ]
    assert scales(right) == ("log", "log")
    assert scales(left) == ("linear", "linear")
    assert legend(figure) == named(right)


def test_label_errors() -> None:
    errors = pd.DataFrame(
        [(64, 2.0, 0.2), (64, 3.0, 0.04), (8, 1.0, 0.5), (8, 4.0, 0.01), (256, 2.5, 0.1)],
        columns=["dim", "ratio", "drawn"],
    )
    errors["drawn"] = errors["drawn"].map(Estimate)
    figure = figures.label_errors(errors, n_patterns=5)
    (ax,) = panels(figure)
    exact, union, pairwise, *draws = lines(ax)
    assert draws == [
        Series([1, 4], [0.5, 0.01], Look(PATTERN_COLOURS[0], "", "o", False), "draws, $d=8$"),
        Series([2, 3], [0.2, 0.04], Look(PATTERN_COLOURS[1], "", "s", False), "draws, $d=64$"),
        Series([2.5], [0.1], Look(PATTERN_COLOURS[2], "", "^", False), "draws, $d=256$"),
    ]
    two = norm.sf(np.array(pairwise.x) / math.sqrt(2))
    assert pairwise == Series(exact.x, pytest.approx(two), Look(BLACK, ":"), "two patterns, exact")
    bound = pytest.approx(np.minimum(4 * two, 1))
    assert union == Series(exact.x, bound, Look(BLACK, "--"), "union bound")
    assert (exact.look, exact.label) == (Look(BLACK, "-"), "all $M$ patterns, exact")
    for place in (0, 40, 99):
        right, _ = quad(lambda g, r=exact.x[place]: norm.pdf(g) * norm.cdf(g + r) ** 4, -9, 9)
        assert exact.y[place] == pytest.approx(1 - right, rel=1e-5)
    assert list(legend(figure)) == [each.label for each in (exact, union, pairwise, *draws)]
    assert legend(figure) == named(ax)
    assert axis_labels(ax) == (r"$r/\sigma$", "probability of a wrong label")
    assert scales(ax) == ("linear", "log")
    assert ax.get_ylim() == (1e-4, 1.5)
