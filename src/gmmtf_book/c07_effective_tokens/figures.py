"""Figures of the effective picture against simulation (chapter 7).

Markers are simulated and lines are theory: filled markers and solid lines for the recorded run at
paper scale, open markers and dashed lines for the small live one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH

Curve = tuple[Sequence[float], Sequence[float]]
Point = Mapping[str, Any]

PART_COLOURS = {
    "wrong patterns": COLOURS["different"],
    "tilt": PATTERN_COLOURS[4],
    "variance": COLOURS["bayes"],
    "own token": COLOURS["oracle"],
    "product": COLOURS["start"],
    "total": COLOURS["theory"],
}
"""Colours of the parts of the excess risk."""


def effective_counts(
    counts: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]], n_tokens: int
) -> Figure:
    """Draw effective numbers of tokens against the strength of the weight.

    Parameters
    ----------
    counts
        By the name of a noise level: strengths βr², predicted and measured numbers.
    n_tokens
        N, drawn as a line.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    for (name, (x, predicted, measured)), colour in zip(
        counts.items(), PATTERN_COLOURS, strict=False
    ):
        axis.plot(x, predicted, color=colour, label=name)
        axis.plot(x, measured, "o", color=colour)
    axis.axhline(n_tokens, color="0.5", linestyle=":")
    axis.annotate("all $N$", (16, n_tokens), (3, 4), textcoords="offset points", color="0.3")
    axis.set(xlabel=r"strength $\beta r^2$", ylabel="effective tokens", xscale="log", yscale="log")
    _plain_ticks(axis.xaxis)
    _plain_ticks(axis.yaxis)
    axis.legend(loc="lower left")
    return figure


def _plain_ticks(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Label a logarithmic axis with plain numbers, a few to each decade."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class Sweep:
    """A sweep of one run: abscissae, ``points`` computed there, and the expansion as a curve."""

    x: Sequence[float]
    points: Sequence[Point]
    line: Curve


def sweeps(panels: Mapping[str, tuple[Sweep, Sweep]]) -> Figure:
    """Draw excess risks, simulated and by the expansion where it holds, one panel a sweep.

    Parameters
    ----------
    panels
        By the label of the abscissa: the live sweep and the recorded one.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.8), sharey=True, squeeze=False)
    for axis, (label, runs) in zip(axes[0], panels.items(), strict=True):
        for run, recorded in zip(runs, (False, True), strict=True):
            _simulated(axis, run.x, run.points, recorded=recorded)
            _expansion(axis, *run.line, recorded=recorded)
        axis.set(xlabel=label, yscale="log")
        if label != "$t$":
            axis.set_xscale("log")
            _plain_ticks(axis.xaxis, (1, 3))
    axes[0, 0].set_ylabel("excess risk")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def risk_against_strength(
    live: tuple[Sequence[float], Sequence[Point]],
    recorded: tuple[Sequence[float], Sequence[Point]],
    limit: float,
) -> Figure:
    """Compare three computations of the excess risk of a weight βP as it grows.

    The expansion is drawn on the left only where its ``validity`` is below ``limit``, and the
    validity itself on the right.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8))
    for (x, points), wide in ((live, False), (recorded, True)):
        held = [k for k, p in enumerate(points) if p["holds"]]
        _simulated(left, x, points, recorded=wide)
        expansion = [points[k]["expansion"][0] for k in held]
        _expansion(left, [x[k] for k in held], expansion, recorded=wide)
        line = "-" if wide else "--"
        left.plot(
            x,
            [p["integral"][0] for p in points],
            line,
            color=COLOURS["same"],
            label=f"integral, {_where(wide)}",
        )
        style = {"color": COLOURS["different"], "marker": "o", "linestyle": line}
        fill = None if wide else "white"
        right.plot(x, [p["validity"] for p in points], markerfacecolor=fill, **style)
    left.set(xlabel=r"strength $\beta r^2$", ylabel="excess risk", xscale="log", yscale="log")
    right.axhline(limit, color="0.5", linestyle=":")
    right.annotate("limit", (1, limit), (0, 4), textcoords="offset points", color="0.3")
    right.set(xlabel=r"strength $\beta r^2$", ylabel="last order / risk")
    right.set(xscale="log", yscale="log")
    for axis in (left.xaxis, right.xaxis):
        _plain_ticks(axis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _where(recorded: bool) -> str:
    return "paper scale" if recorded else "live"


def _simulated(axis: Axes, x: Sequence[float], points: Sequence[Point], *, recorded: bool) -> None:
    axis.errorbar(
        x,
        [p["simulated"][0] for p in points],
        [2 * p["simulated"][1] for p in points],
        fmt="o",
        color=COLOURS["trained"],
        markerfacecolor=None if recorded else "white",
        label=f"simulation, {_where(recorded)}",
        zorder=3,
    )


def _expansion(axis: Axes, x: Sequence[float], y: Sequence[float], *, recorded: bool) -> None:
    axis.plot(
        x,
        y,
        "-" if recorded else "--",
        color=COLOURS["theory"],
        linewidth=2,
        label=f"expansion, {_where(recorded)}",
    )


def indicator(live: Sequence[Point], recorded: Sequence[Point], limit: float) -> Figure:
    """Draw the expansion's error against the share of its last order, with the limit on it."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    for points, wide in ((recorded, True), (live, False)):
        axis.plot(
            [p["validity"] for p in points],
            [min(max(p["error"], 1e-7), 1e3) for p in points],
            "o",
            color=COLOURS["trained"],
            markerfacecolor=None if wide else "white",
            label=_where(wide),
        )
    axis.axvspan(limit, 1e2, color="0.92", zorder=0)
    axis.axhline(0.05, color="0.5", linestyle=":")
    axis.annotate("5 %", (1.5e-7, 0.05), (0, 4), textcoords="offset points", color="0.3")
    axis.annotate("does not hold", (limit, 2e-7), (6, 0), textcoords="offset points", color="0.3")
    axis.set(xscale="log", yscale="log", xlim=(1e-7, 1e2))
    axis.set(xlabel="last order / risk", ylabel="relative error")
    axis.legend(loc="upper left")
    return figure


def excess_parts(
    panels: Mapping[str, tuple[Sequence[float], Sequence[Mapping[str, float]]]],
) -> Figure:
    """Draw the parts of the excess risk, one panel a sweep; negative parts are drawn dotted.

    Parameters
    ----------
    panels
        By the label of the abscissa: the abscissae, and the parts as
        :func:`gmmtf_book.c07_effective_tokens.parts.decompose` returns them.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 4.2), squeeze=False)
    for axis, (label, (x, parts)) in zip(axes[0], panels.items(), strict=True):
        for name, colour in PART_COLOURS.items():
            values = [part[name] for part in parts]
            width = 3 if name == "total" else 1.8
            positive = [v if v > 0 else float("nan") for v in values]
            negative = [-v if v < 0 else float("nan") for v in values]
            axis.plot(x, positive, color=colour, linewidth=width, label=name)
            axis.plot(x, negative, ":", color=colour, linewidth=width)
        top = max(part["total"] for part in parts)
        axis.set(xlabel=label, ylabel="excess risk", yscale="log", ylim=(top / 5e3, 2 * top))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def predicted_curves(
    curves: Mapping[str, Curve], simulated: Mapping[str, Sequence[tuple[float, float, float]]]
) -> Figure:
    """Draw excess risks, as shares of their start, against the step of gradient descent (F2A).

    Parameters
    ----------
    curves
        Predicted steps and excess risks, by name.
    simulated
        By the same names: steps, simulated excess risks and their standard errors.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8))
    styles = zip(curves.items(), PATTERN_COLOURS, ("-", "--", "-."), strict=False)
    for (name, (steps, excess)), colour, line in styles:
        axis.plot(steps, [value / excess[0] for value in excess], line, color=colour, label=name)
        points = simulated.get(name, ())
        if points:
            at, values, errors = zip(*points, strict=True)
            shares = [v / excess[0] for v in values]
            bars = [2 * e / excess[0] for e in errors]
            axis.errorbar(at, shares, bars, fmt="o", color=colour)
    axis.set(xlabel="step", ylabel="excess risk / its start", yscale="log")
    axis.set_xscale("symlog", linthresh=5)
    axis.set_xlim(left=-0.3)
    ticks = (0, 5, 10, 30, 100, 300)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.legend()
    return figure


def many_tokens(sweep: Point, by_dimension: Point) -> Figure:
    """Draw excess risks against N, and the floor of the best weight against d = r² (C3)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    for name, colour in (("fixed", COLOURS["trained"]), ("best", COLOURS["same"])):
        label = {"fixed": "one trained weight", "best": "best weight at each $N$"}[name]
        left.plot(sweep["counts"], [v for v, _ in sweep[name]], "-", color=colour, label=label)
    left.set(xlabel="$N$", ylabel="excess risk", xscale="log", yscale="log")
    _plain_ticks(left.yaxis)
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    dims = by_dimension["dims"]
    floors = [v for v, _ in by_dimension["floor"]]
    right.plot(dims, floors, "-", color=COLOURS["same"], label="floor, best weight")
    law = [floors[0] * (d / dims[0]) ** (-2 / 3) for d in dims]
    right.plot(dims, law, "--", color=COLOURS["theory"], label=r"$\propto d^{-2/3}$")
    right.set(xlabel="$d = r^2$", ylabel=r"excess risk, $N \to \infty$")
    right.set(xscale="log", yscale="log")
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
