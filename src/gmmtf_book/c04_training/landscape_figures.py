"""Figures of the landscape on which gradient descent moves (C3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from gmmtf.estimate import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH

_MARKERS = "osDv^<>P"


def landscape_slice(
    same: Sequence[float],
    different: Sequence[float],
    surface: Sequence[Sequence[float]],
    paths: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> Figure:
    """Contours of the excess risk over two coordinates of W, with paths of gradient descent.

    Parameters
    ----------
    same, different
        Query-key products of a pattern with itself and with another one: the two axes.
    surface
        Excess risks, ``[different][same]``.
    paths
        By name, both coordinates along a simulated descent; the first point is marked.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    values = np.array(surface)
    levels = np.geomspace(values.min(), values.max(), 16)
    axis.contourf(same, different, values, levels=levels, cmap="Greys", norm="log", alpha=0.6)
    drawn = axis.contour(
        same, different, values, levels=levels[::2], colors="0.45", linewidths=0.6, norm="log"
    )
    axis.clabel(drawn, fmt="%.2g", fontsize="x-small")
    for (name, (x, y)), marker, colour in zip(
        paths.items(), _MARKERS, PATTERN_COLOURS, strict=False
    ):
        axis.plot(x, y, "-", color=colour, linewidth=1, alpha=0.7)
        axis.plot(x, y, marker, color=colour, markersize=4, label=name)
        axis.plot(x[0], y[0], marker, color=colour, markersize=11, markeredgecolor="white")
    axis.set(
        xlabel="product of a pattern with itself",
        ylabel="product of two different patterns",
        xlim=(min(same), max(same)),
        ylim=(min(different), max(different)),
    )
    figure.legend(
        *axis.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        title="simulated descent from",
    )
    return figure


def strength_profile(
    lines: Mapping[str, tuple[Sequence[float], Sequence[Sequence[float]]]],
    simulated: tuple[Sequence[float], Sequence[Estimate]],
) -> Figure:
    """Excess risk along the line W = βP through W = 0, from strong repulsion to strong attraction.

    Parameters
    ----------
    lines
        By name: the strengths βr², and [value, standard error] of the excess risk at each,
        computed without sampling tokens.
    simulated
        Strengths and simulated excess risks of the first of the lines.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4))
    for (name, (strengths, points)), style in zip(lines.items(), ("-", "--", ":"), strict=False):
        values = [value for value, _ in points]
        axis.plot(strengths, values, style, color=COLOURS["theory"], label=name)
    strengths, found = simulated
    axis.errorbar(
        strengths,
        [estimate.value for estimate in found],
        [2 * estimate.standard_error for estimate in found],
        fmt="o",
        markersize=4,
        color=COLOURS["trained"],
        label=f"{next(iter(lines))}, simulated",
    )
    axis.axvline(0, color=COLOURS["start"], linewidth=1.5, label="$W = 0$", zorder=0)
    axis.set_xscale("symlog", linthresh=5)
    ticks = [-100, -10, 0, 10, 100]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set(xlabel=r"$\beta r^2$", ylabel="excess risk", ylim=(0, None))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def descents_from(
    paths: Mapping[str, Mapping[str, Any]], checks: Mapping[str, tuple[float, float]]
) -> Figure:
    """Excess risk against the step of descents from several starts.

    Parameters
    ----------
    paths
        By name: curves of :mod:`gmmtf_book.c04_training.descent`, computed without sampling.
    checks
        By the same names: simulated excess risk of the last weight, and its standard error.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2))
    kinds = zip(paths.items(), _MARKERS, PATTERN_COLOURS, cycle(["-", "-", "--"]), strict=False)
    for (name, path), marker, colour, line in kinds:
        steps, values = path["step"], [value for value, _ in path["excess"]]
        axis.plot(steps, values, line, color=colour, label=name)
        value, error = checks[name]
        axis.errorbar([steps[-1]], [value], [2 * error], fmt=marker, color=colour, markersize=6)
    last = max(path["step"][-1] for path in paths.values())
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks = [0, *(10**k for k in range(6) if 10**k <= last)]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set(xlabel="step", ylabel="excess risk", yscale="log", xlim=(-0.15, 1.3 * last))
    figure.legend(
        *axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, title="descent from"
    )
    return figure
