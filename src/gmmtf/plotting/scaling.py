"""Figures of risks and scaling laws that need no simulation (chapter 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from gmmtf.estimate import Estimate
from gmmtf.plotting.style import COLOURS, PATTERN_COLOURS, WIDTH

_MARKERS = "os^Dv"

Curve = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """What one panel of :func:`power_laws` shows.

    ``points``: computed points by name; ``laws``: predictions by name, drawn as lines. A law with
    the name of a series of points has its colour. ``log_y``: whether the ordinate is logarithmic.
    """

    xlabel: str
    ylabel: str
    points: Mapping[str, Curve]
    laws: Mapping[str, Curve] = field(default_factory=dict)
    log_y: bool = True


def risk_against_strength(
    strengths: Sequence[float],
    simulated: Sequence[Estimate],
    integral: Sequence[Estimate],
    expansion: Sequence[Estimate],
    validity: Sequence[float],
    limit: float,
) -> Figure:
    """Compare three computations of the excess risk of a weight G = βI as it grows.

    Parameters
    ----------
    strengths
        Values of βr²; all other sequences belong to them.
    validity
        Share of the expansion's last order in its risk. The expansion is drawn on the left only
        where this is below ``limit``, and the share itself on the right.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    left.errorbar(
        strengths,
        [estimate.value for estimate in simulated],
        [2 * estimate.standard_error for estimate in simulated],
        fmt="o",
        color=COLOURS["trained"],
        label="simulation",
    )
    left.plot(strengths, [e.value for e in integral], color=COLOURS["theory"], label="integral")
    held = [k for k, share in enumerate(validity) if share < limit]
    left.plot(
        [strengths[k] for k in held],
        [expansion[k].value for k in held],
        color=COLOURS["different"],
        linestyle="--",
        linewidth=3,
        label="expansion, where it holds",
    )
    left.set(xlabel=r"$\beta r^2$", ylabel="excess risk", xscale="log", yscale="log")
    right.plot(strengths, validity, "o-", color=COLOURS["different"])
    right.axhline(limit, color="0.5", linestyle=":", label="limit")
    right.set(xlabel=r"$\beta r^2$", ylabel="last order / risk", xscale="log", yscale="log")
    right.legend()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def predicted_curves(curves: Mapping[str, Curve]) -> Figure:
    """Draw excess risks, as shares of their start, against the step of gradient descent (F2A)."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    styles = zip(curves.items(), PATTERN_COLOURS, ("-", "--", "-."), strict=False)
    for (name, (steps, excess)), colour, line in styles:
        shares = [value / excess[0] for value in excess]
        axis.plot(steps, shares, line, color=colour, label=name)
    axis.set(xlabel="step", ylabel="excess risk / excess risk at the start", yscale="log")
    axis.legend()
    return figure


def power_laws(panels: Sequence[Panel]) -> Figure:
    """Draw computed points and predicted laws on logarithmic axes, one panel each (C4)."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.6), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        _panel(axis, panel)
    return figure


def _panel(axis: Axes, panel: Panel) -> None:
    colours = dict(zip(panel.points, PATTERN_COLOURS, strict=False))
    for (name, (x, y)), marker in zip(panel.points.items(), _MARKERS, strict=False):
        axis.plot(x, y, marker, color=colours[name], label=name)
    for name, (x, y) in panel.laws.items():
        shared = name in colours
        colour = colours[name] if shared else COLOURS["theory"]
        axis.plot(x, y, "--", color=colour, label=None if shared else name)
    axis.set(xlabel=panel.xlabel, ylabel=panel.ylabel, xscale="log")
    ticks = sorted({value for x, _ in panel.points.values() for value in x})
    axis.set_xticks(ticks, [f"{value:g}" for value in ticks], fontsize="small")
    axis.xaxis.set_minor_formatter(NullFormatter())
    if panel.log_y:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")
