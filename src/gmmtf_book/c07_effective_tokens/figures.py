"""Figures of the effective picture against simulation (chapter 7).

Markers are simulated and lines are theory: filled markers and solid lines for the recorded
large run, open markers and dashed lines for the small live one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmtf import MultiTokenGMM
from gmmtf.descent import DescentRecord
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, error_bars, log_ticks, name_at, ticks_at
from gmmtf_book.c07_effective_tokens.limits import strain
from gmmtf_book.c07_effective_tokens.runs import HUGE, Study

PART_COLOURS = {
    "wrong patterns": COLOURS["different"],
    "tilt": PATTERN_COLOURS[4],
    "variance": COLOURS["bayes"],
    "own token": COLOURS["oracle"],
    "product": COLOURS["start"],
    "total": COLOURS["theory"],
}
"""Colours of the parts of the excess risk."""


def effective_counts(counts: pd.DataFrame, n_tokens: int) -> Figure:
    """Draw effective numbers of tokens against the strength of the weight, of N in all."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    for (t, group), colour in zip(counts.groupby("t"), PATTERN_COLOURS, strict=False):
        axis.plot(group["strength"], group["predicted"], color=colour, label=f"$t = {t}$")
        axis.plot(group["strength"], group["measured"], "o", color=colour)
    axis.axhline(n_tokens, color="0.5", linestyle=":")
    axis.annotate("all $N$", (16, n_tokens), (3, 4), textcoords="offset points", color="0.3")
    axis.set(xlabel=r"strength $\beta r^2$", ylabel="effective tokens", xscale="log", yscale="log")
    log_ticks(axis.xaxis)
    log_ticks(axis.yaxis)
    axis.legend(loc="lower left")
    return figure


def sweeps(live: Study, paper: Study) -> Figure:
    """Draw excess risks, simulated and by the expansion where it holds, one panel a sweep."""
    labels = {
        "tokens": f"$N$, at $t = {paper.plan.time}$",
        "time": "$t$",
        "strength": r"$\beta r^2$",
    }
    figure, axes = plt.subplots(1, len(labels), figsize=(WIDTH, 3.8), sharey=True)
    for axis, (kind, label) in zip(axes, labels.items(), strict=True):
        for study, recorded in ((live, False), (paper, True)):
            _simulated(axis, study.points(kind), recorded=recorded)
            _expansion(axis, *study.line(kind), recorded=recorded)
        axis.set(xlabel=label, yscale="log")
        if kind != "time":
            axis.set_xscale("log")
            log_ticks(axis.xaxis, (1, 3))
    axes[0].set_ylabel("excess risk")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def risk_against_strength(live: Study, paper: Study) -> Figure:
    """Compare three computations of the excess risk of a weight βP as it grows.

    The expansion is drawn on the left only where it holds, and the larger of its indicators over
    its limit, which decides on that, on the right.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8))
    for study, wide in ((live, False), (paper, True)):
        points = study.points("short")
        held = points[points["holds"]]
        _simulated(left, points, recorded=wide)
        _expansion(left, held["x"], held["expansion"].map(float), recorded=wide,
                   color="0.6", linewidth=6, zorder=0)  # fmt: skip
        line = "-" if wide else "--"
        exact = points["integral"].map(float)
        label = f"integral, {_where(wide)}"
        left.plot(points["x"], exact, line, color=COLOURS["same"], label=label)
        fill = None if wide else "white"
        right.plot(points["x"], strain(points), marker="o", linestyle=line,
                   color=COLOURS["different"], markerfacecolor=fill)  # fmt: skip
    left.set(xlabel=r"strength $\beta r^2$", ylabel="excess risk", xscale="log", yscale="log")
    right.axhline(1, color="0.5", linestyle=":")
    right.annotate("limit", (1, 1), (0, 4), textcoords="offset points", color="0.3")
    right.set(xlabel=r"strength $\beta r^2$", ylabel="indicator / limit")
    right.set(xscale="log", yscale="log")
    for axis in (left.xaxis, right.xaxis):
        log_ticks(axis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _where(recorded: bool) -> str:
    return "large run" if recorded else "live"


def _simulated(axis: Axes, points: Any, *, recorded: bool) -> None:
    error_bars(
        axis, points["x"], points["simulated"], fmt="o", color=COLOURS["trained"],
        markerfacecolor=None if recorded else "white",
        label=f"simulation, {_where(recorded)}", zorder=3,
    )  # fmt: skip


def _expansion(axis: Axes, x: Any, y: Any, *, recorded: bool, **style: Any) -> None:
    line, label = "-" if recorded else "--", f"expansion, {_where(recorded)}"
    axis.plot(x, y, line, label=label, **{"color": COLOURS["theory"], "linewidth": 2, **style})


def indicator(live: Any, recorded: Any, searched: Any) -> Figure:
    """Draw the expansion's error against the larger of its indicators over its limit.

    ``searched``: random settings of the recorded run, drawn as small dots where the error is known.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    known = searched[searched["known"]]
    axis.plot(strain(known).clip(1e-7, 1e3), known["error"].clip(1e-7, 1e3), ".", color="0.5",
              markersize=2, zorder=1, label="random settings", rasterized=True)  # fmt: skip
    for points, wide in ((recorded, True), (live, False)):
        axis.plot(
            strain(points).clip(1e-7, 1e3),
            points["error"].clip(1e-7, 1e3),
            "o",
            color=COLOURS["trained"],
            markerfacecolor=None if wide else "white",
            label=_where(wide),
        )
    axis.axvspan(1, 2e3, color="0.92", zorder=0)
    axis.axhline(0.05, color="0.5", linestyle=":")
    axis.annotate("5 %", (1.5e-7, 0.05), (0, 4), textcoords="offset points", color="0.3")
    axis.annotate("does not hold", (1, 2e-7), (6, 0), textcoords="offset points", color="0.3")
    axis.set(xscale="log", yscale="log", xlim=(5e-8, 2e3))
    axis.set(xlabel="indicator / limit", ylabel="relative error")
    axis.legend(loc="upper left")
    return figure


def excess_parts(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the parts of the excess risk, one panel a sweep; negative parts are drawn dotted.

    ``panels``: by the label of the abscissa, a table with a row a point.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 4.2), squeeze=False)
    for axis, (label, table) in zip(axes[0], panels.items(), strict=True):
        for name, colour in PART_COLOURS.items():
            style: Any = {"color": colour, "linewidth": 3 if name == "total" else 1.8}
            part = table[name]
            axis.plot(table.index, part.where(part > 0), label=name, **style)
            axis.plot(table.index, (-part).where(part < 0), ":", **style)
        top = table["total"].max()
        axis.set(xlabel=label, ylabel="excess risk", yscale="log", ylim=(top / 5e3, 2 * top))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def predicted_curves(
    live: Study, paper: Study, descents: Mapping[str, Sequence[DescentRecord]]
) -> Figure:
    """Draw excess risks, as shares of their start, against the step of gradient descent (F2A)."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    # Where both runs are one it is drawn once.
    runs: dict[str, Any] = {
        _named(study.plan.main): (name, study.points("curve"))
        for name, study in (("live", live), ("paper", paper))
    }
    runs[f"$d = N = 10^9$,\n$M = {HUGE.n_patterns}$, $K = {HUGE.k}$"] = ("huge", None)
    styles = zip(runs.items(), PATTERN_COLOURS, ("-", "--", "-."), "os ", strict=False)
    for (label, (name, points)), colour, line, marker in styles:
        steps = [record.step for record in descents[name]]
        excess = [record.excess_given_set.value for record in descents[name]]
        shares = [value / excess[0] for value in excess]
        axis.plot(steps, shares, line, color=colour, lw=2, label=label.replace("\n", " "))
        if points is None:
            name_at(axis, label, (steps[-1], shares[-1]), (-4, -6))
            continue
        error_bars(axis, points["x"], points["simulated"] / excess[0], fmt=marker, color=colour)
        name_at(axis, label.replace(", ", ",\n"), (steps[-1], shares[-1]), (7, 0))
    kinds = "lines: computed without a token\nmarkers: simulated"
    name_at(axis, kinds, (1, 1), (-1, -1), xycoords="axes fraction")
    axis.set(xlabel="step", ylabel="excess risk / its start", yscale="log")
    axis.set_xscale("symlog", linthresh=5)
    axis.set(xlim=(-0.3, 1000), ylim=(axis.get_ylim()[0] / 2, None))  # room for the names
    ticks_at(axis.xaxis, (0, 5, 10, 30, 100, 300))
    log_ticks(axis.yaxis)
    return figure


def _named(mixture: MultiTokenGMM) -> str:
    return f"$d = {mixture.dim}$, $N = {mixture.n_tokens}$"


def many_tokens(sweep: Any, by_dimension: Any) -> Figure:
    """Draw excess risks against N, and the floor of the best weight against d = r² (C3)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    for name, colour in (("fixed", COLOURS["trained"]), ("best", COLOURS["same"])):
        label = {"fixed": "one trained weight", "best": "best weight at each $N$"}[name]
        left.plot(sweep["N"], sweep[name].map(float), "-", color=colour, label=label)
    left.set(xlabel="$N$", ylabel="excess risk", xscale="log", yscale="log")
    log_ticks(left.yaxis)
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    dims, floors = by_dimension["d"], by_dimension["best"].map(float)
    right.plot(dims, floors, "-", color=COLOURS["same"], label="floor, best weight")
    law = floors.iloc[0] * (dims / dims.iloc[0]) ** (-2 / 3)
    right.plot(dims, law, "--", color=COLOURS["theory"], label=r"$\propto d^{-2/3}$")
    right.set(xlabel="$d = r^2$", ylabel=r"excess risk, $N \to \infty$")
    right.set(xscale="log", yscale="log")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
