"""The style of figures, and estimates drawn with their errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import IPython
import matplotlib
import matplotlib.pyplot as plt
import matplotlib_inline.backend_inline as inline
import pytest
import seaborn as sns

from gmmtf import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, error_bars, log_ticks, ticks_at, use_style
from rooms.drawn import Look, tick_labels
from rooms.drawn import error_bars as drawn_bars


@pytest.fixture(autouse=True)
def own_style() -> Iterator[None]:
    with matplotlib.rc_context():
        yield
    plt.close("all")


def test_error_bars_are_two_standard_errors_long() -> None:
    _, ax = plt.subplots()
    estimates = (each for each in (Estimate(5.0, 0.1), Estimate(7.0, 0.25), Estimate(6.0)))
    error_bars(ax, (x for x in (1, 2, 4)), estimates, fmt="s", color="#102030", label="found")
    (drawn,) = drawn_bars(ax)
    x, y, look = [1.0, 2.0, 4.0], [5.0, 7.0, 6.0], Look("#102030", "", "s")
    assert (drawn.x, drawn.y, drawn.look, drawn.label) == (x, y, look, "found")
    assert drawn.x_half is None
    assert drawn.y_half == pytest.approx([0.2, 0.5, 0])


def test_ticks_at_some_values_alone() -> None:
    _, ax = plt.subplots()
    ax.plot([0.1, 300], [2, 9])
    ax.set(xscale="log", yscale="log")
    ticks_at(ax.xaxis, [50.0, 0.25, 200], fontsize=5)
    assert tick_labels(ax.xaxis) == {0.25: "0.25", 50: "50", 200: "200"}
    assert {label.get_fontsize() for label in ax.get_xticklabels()} == {5}
    assert list(ax.get_xticks(minor=True)) == []
    assert tick_labels(ax.yaxis) != {}


def test_logarithmic_ticks_are_plain_numbers() -> None:
    _, ax = plt.subplots()
    ax.loglog([0.02, 30], [0.3, 40])
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis, (1, 3))
    ax.set(xlim=(0.02, 30), ylim=(0.3, 40))
    across = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
    up = (0.3, 1, 3, 10, 30)
    for axis, expected in ((ax.xaxis, across), (ax.yaxis, up)):
        labels = tick_labels(axis)
        assert list(labels) == pytest.approx(expected)
        assert list(labels.values()) == [f"{value:g}" for value in expected]
    ax.set_xlim(1, 9)  # less than a decade, where matplotlib would label minor ticks
    assert tick_labels(ax.xaxis) == {1: "1", 2: "2", 5: "5"}


def test_style() -> None:
    use_style()
    settings = matplotlib.rcParams
    assert settings["figure.constrained_layout.use"], "legends outside the axes need it"
    assert not settings["axes.spines.top"]
    assert not settings["axes.spines.right"]
    assert not settings["legend.frameon"]
    assert settings["svg.hashsalt"] == "gmmtf", "identifiers in SVG would change from run to run"
    assert settings["svg.fonttype"] == "path"
    assert settings["xtick.bottom"], "ticks are drawn"
    assert settings["font.size"] == sns.plotting_context("notebook")["font.size"]
    cycle = [matplotlib.colors.to_hex(c) for c in settings["axes.prop_cycle"].by_key()["color"]]
    assert cycle == list(PATTERN_COLOURS)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the notebook was asked to draw."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(inline, "set_matplotlib_formats", lambda *f, **kw: calls.append((*f, kw)))
    return calls


def test_notebooks_show_svg_without_a_date(
    asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IPython, "get_ipython", object)
    use_style()
    assert asked == [("svg", {"metadata": {"Date": None}})]


@pytest.mark.parametrize("loaded", [True, False])
def test_scripts_start_no_shell(
    asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    if not loaded:
        monkeypatch.delitem(sys.modules, "IPython")
    use_style()
    assert asked == []


def test_colours_tell_things_apart() -> None:
    told_apart = ("bayes", "trained", "oracle", "theory", "start", "different")
    assert len({COLOURS[name] for name in told_apart}) == len(told_apart)
    assert COLOURS["same"] != COLOURS["different"]
    assert len(set(PATTERN_COLOURS)) == len(PATTERN_COLOURS) == 10
    assert sns.color_palette("colorblind").as_hex() == list(PATTERN_COLOURS)
    first = {"bayes": 0, "trained": 3, "oracle": 2, "start": 7, "same": 0, "different": 1}
    assert {name: PATTERN_COLOURS.index(COLOURS[name]) for name in first} == first
