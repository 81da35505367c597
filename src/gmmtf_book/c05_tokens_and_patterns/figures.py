"""Figures of excess risk against K, N, π_min and iterations, and phase diagrams (F2B, F2C, C4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from gmmtf.figures import (
    COLOURS,
    INK_OVER_PIXELS,
    OVER_PIXELS,
    PATTERN_COLOURS,
    WIDTH,
    error_bars,
    log_ticks,
    ticks_at,
)
from gmmtf_book.c05_tokens_and_patterns.compared import Series
from gmmtf_book.c05_tokens_and_patterns.summary import Study

_LAW_COLOURS = (PATTERN_COLOURS[4], PATTERN_COLOURS[9])  # that stand for nothing elsewhere
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)

Line = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """One panel of :func:`excess_panels`.

    ``recorded``, ``live``: series with the numbers of tokens N that they are named by; recorded
    ones are drawn filled and solid. ``laws``: lines by name. ``limit``: the descent in the limit
    of many tokens in a high dimension.
    """

    xlabel: str
    recorded: tuple[int, Series]
    live: tuple[int, Series] | None = None
    laws: Mapping[str, Line] = field(default_factory=dict)
    limit: Line | None = None
    ylabel: str = "excess risk"
    log_y: bool = True


def excess_panels(*panels: Panel, sharey: bool = False) -> Figure:
    """Draw simulations as points and predictions as lines on a logarithmic abscissa, by panel."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.9), squeeze=False, sharey=sharey)
    entries: dict[str, Artist] = {}
    for axis, panel in zip(axes[0], panels, strict=True):
        drawn = [panel.recorded]
        _series(axis, panel.recorded, "recorded")
        if panel.live is not None:
            drawn.append(panel.live)
            _series(axis, panel.live, "live")
        if panel.limit is not None:
            axis.plot(*panel.limit, "--", color=COLOURS["theory"], linewidth=1.2, label="limit")
        for (name, (x, y)), colour in zip(panel.laws.items(), _LAW_COLOURS, strict=False):
            axis.plot(x, y, "--", color=colour, label=name)
        axis.set(xlabel=panel.xlabel, ylabel=panel.ylabel, xscale="log")
        ticks_at(axis.xaxis, sorted({x for _, series in drawn for x in series.x}))
        if sharey:
            axis.label_outer()
        if panel.log_y:
            axis.set_yscale("log")
            log_ticks(axis.yaxis)
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    columns = 2 if len(entries) > 3 else len(entries)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)
    return figure


def _series(axis: Axes, named: tuple[int, Series], run: str) -> None:
    n, series = named
    colour, filled = COLOURS["trained"], run == "recorded"
    name, style = f"$N = {n}$, {run}", "-" if filled else ":"
    label = f"expansion, {name}"
    axis.plot(series.x, series.predicted, style, color=COLOURS["theory"], label=label)
    error_bars(
        axis, series.x, series.simulated, fmt="o", color=colour,
        markerfacecolor=colour if filled else "white", label=f"simulation, {name}",
    )  # fmt: skip


_SWEPT = {
    "tokens, target": ("target", "tokens needed", "best head", "law"),
    "tokens, K = M": ("$K = M$", "tokens needed", "best head", "law"),
    "share, K = M": ("$K = M$", "training time", "counted", "first step"),
    "share, r^2/d": ("$r^2/d$", "training time", "counted", "first step"),
    "noticed, long": (r"$\pi_{\min}$", "steps until noticed", "$r = 64$", "first step"),
    "noticed, short": (r"$\pi_{\min}$", "steps until noticed", "$r = 4$", "first step"),
}
"""Labels of the axes, of the points and of the dashed lines of the sweeps that are drawn."""


_HALO = [withStroke(linewidth=3.5, foreground=INK_OVER_PIXELS)]
"""Around what is white, for the lightest pixels."""


def law_panels(study: Study, *names: str) -> Figure:
    """Draw sweeps with their predictions on logarithmic axes, one panel each (C4)."""
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 3.6), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        xlabel, ylabel, points, line = _SWEPT[name]
        x, found, predicted = study.swept(name)
        axis.plot(x, found, "o", color=PATTERN_COLOURS[0], label=points)
        axis.plot(x, predicted, "--", color=COLOURS["theory"], label=line)
        axis.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
        ticks_at(axis.xaxis, sorted(x), fontsize="small")
        many_decades = max(found) > 1e4 * min(found)
        log_ticks(axis.yaxis, (1,) if many_decades else (1, 2, 5))
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")
    return figure


def phase_diagrams(
    panels: Mapping[str, pd.DataFrame],
    share: float,
    *,
    label: str,
    marks: Mapping[str, Sequence[tuple[float, float, float]]] | None = None,
    edges: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Draw excess risks as shares of their start over N and another setting, with one contour.

    All by title. ``panels``: shares, with a row for each N and a column for each abscissa, named by
    ``label``; NaN where there is none. The contour is drawn at ``share``. ``marks``: simulated
    cells (abscissa, N, share), filled in the colour of their own share. ``edges``: abscissa of a
    predicted boundary for each N, drawn dashed.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.7), squeeze=False, sharey=True)
    look: dict[str, Any] = {"norm": LogNorm(0.01, 1), "cmap": "cividis"}
    mesh = None
    for axis, (title, table) in zip(axes[0], panels.items(), strict=True):
        x, tokens = (np.asarray(v, float).tolist() for v in (table.columns, table.index))
        sides, levels = cell_edges(x), cell_edges(tokens)
        mesh = axis.pcolormesh(sides, levels, table, rasterized=True, **look)
        line = axis.contour(x, tokens, table, levels=[share], colors=OVER_PIXELS, linewidths=2.5)
        line.set_path_effects(_HALO)
        if edges is not None and title in edges:
            axis.plot(edges[title], tokens, "--", color=INK_OVER_PIXELS, linewidth=2)
        for at, n, found in (marks or {}).get(title, ()):
            circle = axis.scatter(at, n, c=[found], s=70, edgecolors=OVER_PIXELS, zorder=3, **look)
            circle.set_path_effects(_HALO)
        axis.set(xlabel=label, xscale="log", yscale="log", title=title)
        axis.set(xlim=(sides[0], sides[-1]), ylim=(levels[0], levels[-1]))
        ticks_at(axis.xaxis, _thinned(x))
        ticks_at(axis.yaxis, _thinned(tokens))
    axes[0][0].set_ylabel("$N$")
    assert mesh is not None  # there is at least one panel
    bar = figure.colorbar(mesh, ax=axes[0], label="excess risk / its start")
    bar.set_ticks(_SHARES, labels=[f"{value:g}" for value in _SHARES])
    return figure


def cell_edges(centres: Sequence[float]) -> list[float]:
    """Where cells around increasing positive numbers begin and end on a logarithmic axis."""
    logs = np.log(np.array(centres, dtype=float))
    inner = (logs[1:] + logs[:-1]) / 2
    edges = np.concatenate([[2 * logs[0] - inner[0]], inner, [2 * logs[-1] - inner[-1]]])
    return [float(edge) for edge in np.exp(edges)]


def _thinned(values: Sequence[float]) -> list[float]:
    """About five of many values, for ticks."""
    step = max(1, (len(values) - 1) // 4)
    return [float(value) for value in values[::step]]
