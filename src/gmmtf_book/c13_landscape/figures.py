"""Figures of chapter 13, of the landscape on which gradient descent moves (C3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.curve import Curve
from gmmtf.estimate import Estimate
from gmmtf.figures import (
    COLOURS,
    PATTERN_COLOURS,
    WIDTH,
    error_bars,
    legend_below,
    step_axis,
    ticks_at,
)  # fmt: skip

_MARKERS = "osDv^<>P"


def coordinates(path: Curve) -> tuple[Tensor, Tensor]:
    """Mean product of a pattern with itself, and of two different ones, at each step."""
    size = path.products.shape[-1]
    trace = path.products.diagonal(dim1=1, dim2=2).sum(1)
    return trace / size, (path.products.sum((1, 2)) - trace) / (size * (size - 1))


def landscape_slice(
    same: Sequence[float],
    different: Sequence[float],
    surface: Sequence[Sequence[float]],
    paths: Mapping[str, Curve],
) -> Figure:
    """Contours of the excess risk over two coordinates of W, with paths of gradient descent.

    ``same``, ``different``: products of a pattern with itself and with another one, the two axes;
    ``surface``: excess risks, ``[different][same]``; ``paths``: by name, their first point marked.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    values = np.array(surface)
    levels = np.geomspace(values.min(), values.max(), 16)
    axis.contourf(same, different, values, levels=levels, cmap="Greys", norm="log", alpha=0.6)
    drawn = axis.contour(
        same, different, values, levels=levels[::2], colors="0.45", linewidths=0.6, norm="log"
    )
    axis.clabel(drawn, fmt="%.2g", fontsize="x-small")
    looks = zip(paths.items(), _MARKERS, PATTERN_COLOURS, strict=False)
    for (name, path), marker, colour in looks:
        x, y = coordinates(path)
        axis.plot(x, y, "-", color=colour, linewidth=1, alpha=0.7)
        axis.plot(x, y, marker, color=colour, markersize=4, label=name)
        axis.plot(x[0], y[0], marker, color=colour, markersize=11, markeredgecolor="white")
    axis.set(
        xlabel="product of a pattern with itself",
        ylabel="product of two different patterns",
        xlim=(min(same), max(same)),
        ylim=(min(different), max(different)),
    )
    legend_below(figure, axis, title="simulated descent from")
    return figure


def strength_profile(
    lines: Mapping[str, Mapping[float, Estimate]], simulated: Mapping[float, Estimate]
) -> Figure:
    """Excess risk along the line W = βP through W = 0, from strong repulsion to strong attraction.

    ``lines``: by name, excess risks by strength βr², computed without sampling tokens;
    ``simulated``: those of the first line, simulated.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4))
    for (name, line), style in zip(lines.items(), ("-", "--", ":"), strict=False):
        values = [excess.value for excess in line.values()]
        axis.plot(list(line), values, style, color=COLOURS["theory"], label=name)
    error_bars(axis, simulated, simulated.values(), fmt="o", markersize=4,
               color=COLOURS["trained"], label=f"{next(iter(lines))}, simulated")  # fmt: skip
    axis.axvline(0, color=COLOURS["start"], linewidth=1.5, label="$W = 0$", zorder=0)
    axis.set_xscale("symlog", linthresh=5)
    ticks_at(axis.xaxis, [-100, -10, 0, 10, 100])
    axis.set(xlabel=r"$\beta r^2$", ylabel="excess risk", ylim=(0, None))
    legend_below(figure, axis, ncols=2)
    return figure


_SEVERAL = "#808080"  # a grey that is read on a light and on a dark page


def descents_from(paths: Mapping[str, Sequence[tuple[Curve, Estimate]]]) -> Figure:
    """Excess risk against the step of descents from several starts, computed without sampling.

    ``paths``: by name, descents in one colour, several of a kind in grey, each with the simulated
    excess risk of its last weight.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2))
    looks = zip(paths.items(), _MARKERS, PATTERN_COLOURS, cycle(["-", "-", "--"]), strict=False)
    for (name, each), marker, colour, line in looks:
        width = 1.5 if len(each) == 1 else 0.9
        colour = colour if len(each) == 1 else _SEVERAL
        for k, (path, check) in enumerate(each):
            values = [excess.value for excess in path.excess]
            axis.plot(path.steps, values, line, color=colour, linewidth=width,
                      label=None if k else name)  # fmt: skip
            error_bars(axis, path.steps[-1:], [check], fmt=marker, color=colour, markersize=4)
    axis.set(ylabel="excess risk", yscale="log")
    step_axis(axis, max(path.steps[-1] for each in paths.values() for path, _ in each))
    legend_below(figure, axis, title="descent from")
    return figure
