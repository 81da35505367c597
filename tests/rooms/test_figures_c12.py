"""What the figures of chapter 12 show of what they are given."""

from __future__ import annotations

import math
from itertools import combinations

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

from gmmtf import Estimate
from gmmtf.benchmark import ENTRIES
from gmmtf.figures import COLOURS, PATTERN_COLOURS, use_style
from gmmtf_book.c12_benchmark import figures
from rooms import drawn

CHAPTER = "12_benchmark"
BLUE, _, GREEN, RED, PURPLE = PATTERN_COLOURS[:5]
GREY = COLOURS["start"]
LOOKS = {
    "zero": drawn.Look(to_hex("0.6"), "-."),
    "linear": drawn.Look(COLOURS["linear"], "--"),
    "token Bayes": drawn.Look(BLUE, "--"),
    "MLP": drawn.Look(BLUE, "-", "o"),
    "uniform attention": drawn.Look(GREY, ":"),
    "kernel average": drawn.Look(GREY, "-", "s"),
    "linear attention": drawn.Look(GREY, "-", "^"),
    "head": drawn.Look(RED, "-", "o"),
    "head + value": drawn.Look(RED, "-", "s"),
    "two layers": drawn.Look(RED, "-", "^"),
    "deep sets": drawn.Look(GREEN, "-", "s"),
    "transformer": drawn.Look(GREEN, "-", "^"),
    "DiT": drawn.Look(GREEN, "-", "o"),
    "U-Net": drawn.Look(PURPLE, "-", "D"),
    "empirical ideal": drawn.Look(COLOURS["theory"], "-", "x"),
}


@pytest.fixture(autouse=True)
def style():
    use_style()


def made(names: list[str], index: list[float]) -> pd.DataFrame:
    """Estimates that all differ, each with an error of its own."""
    table = {
        name: [Estimate(0.01 * (k + 1) + 0.001 * j, 1e-4 * (j + k + 1)) for j in range(len(index))]
        for k, name in enumerate(names)
    }
    return pd.DataFrame(table, index=index)


def shows(ax: Axes, table: pd.DataFrame, x: list[float]) -> None:
    """Each column is drawn against ``x``, with two standard errors, where it has values."""
    assert [bars.label for bars in drawn.error_bars(ax)] == list(table)
    for name, column in table.items():
        found = drawn.error_bar(ax, name)
        known = [k for k, each in enumerate(column) if isinstance(each, Estimate)]
        assert found.x == [x[k] for k in known]
        assert found.y == [column.iloc[k].value for k in known]
        errors = [2 * column.iloc[k].standard_error for k in known]
        assert found.y_half == pytest.approx(errors)
        assert found.look == LOOKS[name]


def test_entries_can_be_told_apart_and_have_the_colours_of_the_caption():
    assert set(figures.STYLES) == set(LOOKS) <= set(ENTRIES)
    for one, other in combinations(LOOKS.values(), 2):
        far = max(abs(a - b) for a, b in zip(to_rgb(one.colour), to_rgb(other.colour), strict=True))
        assert (one.style, one.marker) != (other.style, other.marker) or far > 0.15
    caption = drawn.caption(CHAPTER, "fig-bench-level")
    assert all(f"{name}: " in caption for name in ("Blue", "Orange-red", "Green"))
    learned = {name: look for name, look in LOOKS.items() if look.marker}
    dashed = {name for name, look in LOOKS.items() if not look.marker}
    assert dashed == {"zero", "linear", "token Bayes", "uniform attention"}
    assert {learned[name].colour for name in ("transformer", "DiT", "deep sets")} == {GREEN}


def test_excess_by_noise_level_and_the_risk_of_bayes():
    sigmas = [0.1, 1.0, 10.0, 100.0]
    levels = made(list(LOOKS), sigmas)
    levels.loc[1.0, "DiT"] = math.nan
    bayes = pd.Series([0.3, 0.2, 0.1, 0.05], index=sigmas)
    figure = figures.by_level(levels, bayes)
    (ax,) = drawn.panels(figure)
    shows(ax, levels, sigmas)
    risk = drawn.line(ax, "Bayes risk itself")
    assert (risk.x, risk.y) == (sigmas, bayes.tolist())
    assert risk.look == drawn.Look(COLOURS["theory"], "-")
    assert drawn.legend(figure) == drawn.named(ax)
    assert list(drawn.legend(figure)) == ["Bayes risk itself", *LOOKS]
    assert drawn.scales(ax) == ("log", "log")
    assert ax.get_ylim() == (1e-4, 3)
    assert drawn.axis_labels(ax) == (
        r"noise level $\sqrt{(1-\bar\alpha_t)/\bar\alpha_t}$", "excess risk over Bayes",
    )  # fmt: skip
    assert "Excess risk over Bayes by noise level" in drawn.caption(CHAPTER, "fig-bench-level")


def test_excess_by_number_of_tokens_and_that_of_the_training():
    sizes = [16, 64, 512]
    lengths = made(["linear", "head", "DiT"], sizes)
    figure = figures.by_length(lengths, 64)
    (ax,) = drawn.panels(figure)
    shows(ax, lengths, sizes)
    assert drawn.levels(ax) == [("v", 64)]
    assert drawn.tick_labels(ax.xaxis) == {16: "16", 64: "64", 512: "512"}
    assert drawn.legend(figure) == drawn.named(ax)
    assert list(drawn.legend(figure)) == list(lengths)
    assert drawn.scales(ax) == ("log", "log")
    assert drawn.axis_labels(ax) == ("tokens per data point $N$", "excess risk")
    assert "(vertical line)" in drawn.caption(CHAPTER, "fig-bench-length")
    assert "trained_at=64" in drawn.source(CHAPTER, "fig-bench-length")


def test_ratios_of_rare_tokens_stand_beside_their_names_in_all_panels():
    names = ["linear", "token Bayes", "head", "DiT"]
    ratios = {
        title: pd.Series([Estimate(1.5 + k + 4 * j, 0.1 * (k + 1)) for k in range(4)], index=names)
        for j, title in enumerate(("first", "second"))
    }
    ratios["second"]["token Bayes"] = Estimate(math.nan, math.nan)
    figure = figures.rare_tokens(ratios)
    first, second = drawn.panels(figure)
    assert first.get_position().x1 < second.get_position().x0
    assert drawn.titles(figure) == ["first", "second"]
    places = drawn.tick_labels(first.yaxis)
    assert list(places.values()) == names
    shared = [tick.get_loc() for tick in second.yaxis.get_major_ticks()]
    assert shared == list(places)
    for ax, found in zip((first, second), ratios.values(), strict=True):
        known = [pair for pair in found.items() if math.isfinite(pair[1].value)]
        for bars, (name, ratio) in zip(drawn.error_bars(ax), known, strict=True):
            assert [places[y] for y in bars.y] == [name]
            assert bars.x == [ratio.value]
            assert bars.x_half == pytest.approx([2 * ratio.standard_error])
            look = LOOKS[name]
            assert bars.look == drawn.Look(look.colour, "", look.marker or "|")
        assert ax.yaxis_inverted()  # the first on top
        assert drawn.levels(ax) == [("v", 1)]
        assert ax.get_xscale() == "log"
    assert figure.get_supxlabel() == "excess on tokens of the rare pattern / on all others"
    caption = drawn.caption(CHAPTER, "fig-bench-rare")
    assert "rare pattern over that on all others" in caption


def test_what_is_left_of_the_linear_filters_excess_by_task():
    names = ["kernel average", "head", "DiT"]
    shares = pd.DataFrame({n: [0.1 * (k + 1), 2.0 + k] for k, n in enumerate(names)}, ["a", "b"])
    (ax,) = drawn.panels(figures.by_task(shares))
    assert drawn.levels(ax) == [("v", 1)]
    for name, line in zip(names, drawn.lines(ax), strict=True):
        assert (line.x, line.y) == (shares[name].tolist(), [0, 1])
        assert line.look == drawn.Look(LOOKS[name].colour, "", LOOKS[name].marker)
    assert list(drawn.tick_labels(ax.yaxis).values()) == ["a", "b"]
    assert ax.yaxis_inverted()
    assert ax.get_xscale() == "log"


def test_new_data_above_and_training_data_below_by_the_size_of_the_set():
    sizes = [10, 100, 10**5, 0]
    names = ["empirical ideal", "head", "DiT"]
    excess, seen = made(names, sizes), made(names, sizes) * -1.0
    for table in (excess, seen):
        table.loc[0, "empirical ideal"] = math.nan
    figure = figures.by_size(excess, seen, 0.08)
    top, bottom = drawn.panels(figure)
    assert top.get_position().y0 > bottom.get_position().y1
    shows(top, excess, [0, 1, 2, 3])
    shows(bottom, seen, [0, 1, 2, 3])
    assert drawn.levels(top) == [("h", 0.08)]
    assert drawn.levels(bottom) == [("h", 0)]
    assert drawn.named(top)["linear"] == drawn.Look(COLOURS["linear"], "--")
    assert drawn.legend(figure) == drawn.named(top)
    assert set(drawn.legend(figure)) == {"linear", *names}
    assert drawn.tick_labels(bottom.xaxis) == {0: "$10^1$", 1: "$10^2$", 2: "$10^5$", 3: "fresh"}
    assert (drawn.scales(top), drawn.scales(bottom)) == (("linear", "log"), ("linear",) * 2)
    assert top.get_ylabel() == "excess risk, new data"
    assert drawn.axis_labels(bottom) == (
        "training data points", "loss less Bayes',\ntraining data",
    )  # fmt: skip
    caption = drawn.caption(CHAPTER, "fig-bench-sets")
    above, _, below = caption.partition("Bottom:")
    assert "Top: excess risk on new data" in above
    assert "loss less that of Bayes on the training data" in below
