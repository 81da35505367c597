"""The figure of the best head beside the best linear filter."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from gmmtf.figures import COLOURS, INK_OVER_PIXELS, WIDTH, error_bars, log_ticks
from gmmtf_book.c05_tokens_and_patterns.figures import cell_edges

_LOOK: dict[str, Any] = {"norm": LogNorm(0.1, 10), "cmap": "PuOr_r"}  # white where both are level
_RATIOS = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def filter_panels(mapped: pd.DataFrame, simulated: pd.DataFrame) -> Figure:
    """Draw the ratio head / filter over K/M and N/d, and against N over the boundary.

    Left: a map with a line at the ratio 1, and the boundary dashed; circles are simulated cells,
    filled with the colour of their own ratio, and dots mark cells that are all simulated because
    the expansion does not hold there. Right: all cells, the simulated ones with error bars,
    and dashed the ratio of the two rough estimates, one over the abscissa. The tables are those of
    :mod:`gmmtf_book.c05_tokens_and_patterns.filter_numbers`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    _map(figure, left, mapped, simulated)
    _collapsed(right, mapped, simulated)
    return figure


def _map(figure: Figure, axis: Axes, mapped: pd.DataFrame, simulated: pd.DataFrame) -> None:
    table = mapped.pivot(index="N/d", columns="K/M", values="ratio")
    x, y = (np.asarray(v, float).tolist() for v in (table.columns, table.index))
    sides, levels = cell_edges(x), cell_edges(y)
    mesh = axis.pcolormesh(sides, levels, table, rasterized=True, **_LOOK)
    axis.contour(x, y, table, levels=[1], colors=INK_OVER_PIXELS, linewidths=2)
    boundary = (mapped["N/d"] / mapped["beyond"]).groupby(mapped["K/M"]).first()
    axis.plot(x, boundary.loc[x], "--", color=INK_OVER_PIXELS)
    dots = mapped[mapped["simulated"]]
    axis.plot(dots["K/M"], dots["N/d"], ".", color=INK_OVER_PIXELS, markersize=2)
    axis.scatter(simulated["K/M"], simulated["N/d"], c=simulated["found"].map(float), s=60,
                 edgecolors=INK_OVER_PIXELS, zorder=3, **_LOOK)  # fmt: skip
    axis.set(xlabel="$K/M$", ylabel="$N/d$", xscale="log", yscale="log")
    axis.set(xlim=(sides[0], sides[-1]), ylim=(levels[0], levels[-1]))
    log_ticks(axis.xaxis)
    log_ticks(axis.yaxis)
    bar = figure.colorbar(mesh, ax=[axis], location="top", label="head / linear filter")
    bar.set_ticks(_RATIOS, labels=[f"{value:g}" for value in _RATIOS])


def _collapsed(axis: Axes, mapped: pd.DataFrame, simulated: pd.DataFrame) -> None:
    ends = np.array([mapped["beyond"].min(), mapped["beyond"].max()])
    axis.plot(mapped["beyond"], mapped["ratio"], ".", color=COLOURS["theory"], label="map")
    error_bars(axis, simulated["beyond"], simulated["found"], fmt="o", markerfacecolor="white",
               color=COLOURS["trained"], label="simulated")  # fmt: skip
    axis.plot(ends, 1 / ends, "--", color=COLOURS["theory"], label="rough estimate")
    axis.axhline(1, color=COLOURS["linear"], linestyle="-.", label="linear filter")
    axis.set(xlabel=r"$N \;/\; \frac{K d}{M - 1}$", ylabel="head / linear filter")
    axis.set(xscale="log", yscale="log")
    for each in (axis.xaxis, axis.yaxis):
        log_ticks(each, (1,))
    axis.legend(fontsize="small")
