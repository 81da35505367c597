"""The figures of better heads show what they are given."""

from __future__ import annotations

import pandas as pd
import pytest

from gmmtf import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS
from gmmtf_book.c08_better_heads import figures
from gmmtf_book.c08_better_heads.summary import Reduction
from rooms.drawn import (
    Look,
    Series,
    axis_labels,
    caption,
    error_bars,
    legend,
    levels,
    lines,
    named,
    panels,
    scales,
    source,
    tick_labels,
    titles,
)

BLACK, RED = COLOURS["theory"], COLOURS["trained"]
BLUE, GREEN, PINK = (PATTERN_COLOURS[k] for k in (0, 2, 4))
# Stated here as well, so that a change of one does not pass unseen.
LABELS = {
    "limit": r"corrected, $W = P/\tau^2$",
    "plain": r"plain, $\beta r^2 = 12$",
    "best plain": r"plain, best $\beta$",
    "corrected": r"corrected, $\beta r^2 = 12$",
    "best corrected": r"corrected, best $\beta$",
}


def test_floor_curves() -> None:
    sizes = [10, 1000, 10**6]
    columns = ("best plain", "plain", "limit", "corrected", "best corrected")
    exact = pd.DataFrame(
        {
            name: [Estimate((k + 2) / at, 0.1) for at in (3, 7, 11)]
            for k, name in enumerate(columns)
        },
        index=pd.Index(sizes, name="N"),
    )
    simulated = pd.DataFrame(
        [
            ("plain", 20, Estimate(0.5, 0.01)),
            ("corrected", 10, Estimate(0.4, 0.02)),
            ("plain", 40, Estimate(0.3, 0.03)),
            ("limit", 30, Estimate(0.7, 0.04)),
        ],
        columns=["curve", "N", "simulated"],
    )
    figure = figures.floor_curves(exact, simulated)
    (ax,) = panels(figure)
    looks = {
        "limit": Look(PINK, "-"),
        "plain": Look(RED, "-"),
        "best plain": Look(RED, "--"),
        "corrected": Look(BLUE, "-"),
        "best corrected": Look(BLUE, "--"),
    }
    assert lines(ax) == [
        Series(sizes, exact[name].map(float).tolist(), look, LABELS[name])
        for name, look in looks.items()
    ]
    assert error_bars(ax) == [
        Series([10], [0.4], Look(BLUE, "", "o"), y_half=pytest.approx([0.04])),
        Series([30], [0.7], Look(PINK, "", "o"), y_half=pytest.approx([0.08])),
        Series([20, 40], [0.5, 0.3], Look(RED, "", "o"), y_half=pytest.approx([0.02, 0.06])),
    ]
    assert axis_labels(ax) == ("tokens per data point $N$", "excess risk")
    assert scales(ax) == ("log", "log")
    assert list(legend(figure)) == list(LABELS.values())
    assert legend(figure) == named(ax)
    assert r"Solid, $\beta r^2 = 12$" in caption("08_better_heads", "fig-heads-floor")


def test_reductions() -> None:
    found = {
        "plain": Reduction(Estimate(1.0, 0.0), 1.05),
        "value": Reduction(Estimate(0.25, 0.01), 0.22),
        "two heads": Reduction(Estimate(0.2, 0.02), None),
        "depth 2": Reduction(Estimate(0.9, 0.04), 0.8),
    }
    other = {
        "plain": Reduction(Estimate(1.01, 0.03), 1.0),
        "value": Reduction(Estimate(0.35, 0.05), None),
        "two heads": Reduction(Estimate(0.45, 0.06), 0.4),
        "depth 2": Reduction(Estimate(0.6, 0.07), None),
    }
    figure = figures.reductions({"this run": found, "recorded": other})
    assert titles(figure) == ["this run", "recorded"]
    left, right = panels(figure)
    for ax, each, bars in ((left, found, [0, 1, 3]), (right, other, [0, 2])):
        values = list(each.values())
        assert lines(ax) == [
            Series([values[row].predicted for row in bars], bars, Look(BLACK, "", "|"), "predicted")
        ]
        assert error_bars(ax) == [
            Series(
                [r.measured.value for r in values],
                [0, 1, 2, 3],
                Look(RED, "", "o"),
                "trained",
                x_half=pytest.approx([2 * r.measured.standard_error for r in values]),
            )
        ]
        assert levels(ax) == [("v", 1)]
        (drawn,) = ax.containers[:1]
        assert [bar.get_width() for bar in drawn] == [r.measured.value for r in values]
        assert [bar.get_y() + bar.get_height() / 2 for bar in drawn] == pytest.approx(range(4))
        assert [text.get_text() for text in ax.texts] == [f"{r.measured.value:.2f}" for r in values]
        assert [text.xy for text in ax.texts] == [
            (r.measured.value, row) for row, r in enumerate(values)
        ]
        assert scales(ax) == ("linear", "linear")
        assert ax.get_xlim() == (0, 1.45)
        bottom, top = ax.get_ylim()
        assert (bottom, top) == (3.5, -0.5), "the first kind is at the top"
        assert tick_labels(ax.xaxis) == {x: f"{x:g}" for x in (0, 0.5, 1)}
        assert legend(figure) == named(ax)
    assert tick_labels(left.yaxis) == dict(enumerate(found))
    assert list(legend(figure)) == ["predicted", "trained"]
    assert figure.get_supxlabel() == "excess risk / that of the plain head"
    said = caption("08_better_heads", "fig-heads-reductions")
    assert "Upright bars: predicted without a token." in said
    assert "Points, with their numbers: trained; right with" in said
    code = source("08_better_heads", "fig-heads-reductions")
    assert code.index("live.reductions()") < code.index("paper.reductions()")


def test_by_noise_level() -> None:
    times = [10, 150, 900]
    columns: dict[tuple[str, str], list[object]] = {
        ("predicted", "plain"): [0.1, 0.2, 0.3],
        ("predicted", "tilt"): [0.11, 0.21, 0.31],
        ("predicted", "value"): [0.12, 0.22, 0.32],
        ("trained", "plain"): [Estimate(0.13, 0.01), Estimate(0.23, 0.02), Estimate(0.33, 0.03)],
        ("trained", "tilt"): [Estimate(0.14, 0.04), Estimate(0.24, 0.05), Estimate(0.34, 0.06)],
        ("trained", "value"): [Estimate(0.15, 0.07), Estimate(0.25, 0.08), Estimate(0.35, 0.09)],
        ("retuned", "plain"): [0.16, 0.26, 0.36],
        ("retuned", "value"): [0.17, 0.27, 0.37],
    }
    frame = pd.DataFrame(columns, index=pd.Index(times, name="t"))
    figure = figures.by_noise_level(frame)
    (ax,) = panels(figure)
    colours = {"plain": RED, "tilt": BLUE, "value": GREEN}
    names = {"predicted": "one head for all $t$", "retuned": "best at each $t$"}
    assert lines(ax) == [
        Series(
            times,
            columns[kind, head],
            Look(colours[head], "-" if kind == "predicted" else "--"),
            f"{head}, {names[kind]}",
        )
        for kind, head in columns
        if kind != "trained"
    ]
    assert error_bars(ax) == [
        Series(
            times,
            [e.value for e in frame["trained", head]],
            Look(colour, "", "o"),
            y_half=pytest.approx([2 * e.standard_error for e in frame["trained", head]]),
        )
        for head, colour in colours.items()
    ]
    assert axis_labels(ax) == ("noise level $t$", "excess risk")
    assert scales(ax) == ("linear", "log")
    assert list(legend(figure)) == [line.label for line in lines(ax)]
    assert legend(figure) == named(ax)
    said = caption("08_better_heads", "fig-heads-levels")
    assert "Solid: predicted best head with one set of numbers for all times" in said
    assert "Dashed: the best numbers for each time" in said
