"""Figures of excess risk against K, N, π_min and iterations, and phase diagrams (F2B, F2C, C4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from gmmtf.estimate import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH

_LAW_COLOURS = (PATTERN_COLOURS[4], PATTERN_COLOURS[9])  # that stand for nothing elsewhere


@dataclass(frozen=True)
class Series:
    """One series of points with the line of their prediction.

    ``simulated``: drawn with two standard errors; ``predicted``: at the same abscissae; ``filled``:
    filled markers and a solid line, or hollow ones and a dotted line.
    """

    x: Sequence[float]
    simulated: Sequence[Estimate]
    predicted: Sequence[float]
    filled: bool = True


@dataclass(frozen=True)
class Panel:
    """One panel of :func:`excess_panels`: series by name, and laws by name, drawn as lines."""

    xlabel: str
    ylabel: str
    series: Mapping[str, Series]
    laws: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    log_y: bool = True


def excess_panels(panels: Sequence[Panel]) -> Figure:
    """Draw simulated points and predicted lines on a logarithmic abscissa, one panel each."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.9), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for name, series in panel.series.items():
            _series(axis, name, series)
        for (name, (x, y)), colour in zip(panel.laws.items(), _LAW_COLOURS, strict=False):
            axis.plot(x, y, "--", color=colour, label=name)
        axis.set(xlabel=panel.xlabel, ylabel=panel.ylabel, xscale="log")
        _ticks(axis, sorted({float(x) for s in panel.series.values() for x in s.x}))
        if panel.log_y:
            axis.set_yscale("log")
            _plain_log_y(axis)
    entries: dict[str, Artist] = {}
    for axis in axes[0]:
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    columns = 2 if len(entries) > 3 else len(entries)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)
    return figure


def _series(axis: Axes, name: str, series: Series) -> None:
    axis.plot(
        series.x,
        series.predicted,
        "-" if series.filled else ":",
        color=COLOURS["theory"],
        label=f"predicted, {name}",
    )
    axis.errorbar(
        series.x,
        [each.value for each in series.simulated],
        [2 * each.standard_error for each in series.simulated],
        fmt="o",
        color=COLOURS["trained"],
        markerfacecolor=COLOURS["trained"] if series.filled else "white",
        label=f"simulated, {name}",
    )


def descent_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    marks: Mapping[str, tuple[Sequence[float], Sequence[Estimate]]],
) -> Figure:
    """Draw predicted excess risks against the step, with simulated marks of the same name."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.9))
    for (name, (steps, excess)), colour in zip(curves.items(), PATTERN_COLOURS, strict=False):
        axis.plot(steps, excess, color=colour)
        axis.annotate(
            name,
            (steps[-1], excess[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
        at, values = marks[name]
        spread = [2 * each.standard_error for each in values]
        axis.errorbar(at, [each.value for each in values], spread, fmt="o", color=colour)
    axis.set(xlabel="step", ylabel="excess risk", yscale="log")
    _plain_log_y(axis)
    return figure


def phase_diagrams(
    tokens: Sequence[float],
    panels: Mapping[str, tuple[str, Sequence[float], Sequence[Sequence[float]]]],
    share: float,
    marks: Mapping[str, Sequence[tuple[float, float, float]]] | None = None,
    edges: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> Figure:
    """Draw excess risks as shares of their start over N and another setting, with one contour.

    Parameters
    ----------
    tokens
        Numbers of tokens, the ordinate of every panel.
    panels
        By title: label and values of the abscissa, and the shares ``[len(tokens)][len(abscissa)]``;
        NaN where there is none.
    share
        Where the contour is drawn.
    marks
        By title: simulated cells (abscissa, N, share), filled in the colour of their own share.
    edges
        By title: abscissae and numbers of tokens of a predicted boundary, drawn dashed.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.7), squeeze=False, sharey=True)
    norm = LogNorm(0.01, 1)
    mesh = None
    for axis, (title, (label, x, values)) in zip(axes[0], panels.items(), strict=True):
        table = np.array(values, dtype=float)
        sides, levels = _cell_edges(x), _cell_edges(tokens)
        mesh = axis.pcolormesh(sides, levels, table, norm=norm, cmap="cividis", rasterized=True)
        axis.contour(x, tokens, table, levels=[share], colors="white", linewidths=2.5)
        if edges is not None and title in edges:
            axis.plot(*edges[title], "--", color=COLOURS["theory"], linewidth=2)
        for at, n, found in (marks or {}).get(title, ()):
            axis.scatter(
                at, n, c=[found], norm=norm, cmap="cividis", s=70, edgecolors="white", zorder=3
            )
        axis.set(xlabel=label, xscale="log", yscale="log", title=title)
        axis.set(xlim=(sides[0], sides[-1]), ylim=(levels[0], levels[-1]))
        _ticks(axis, _thinned(x))
        axis.set_yticks(chosen := _thinned(tokens), [f"{value:g}" for value in chosen])
        axis.yaxis.set_minor_locator(NullLocator())
    axes[0][0].set_ylabel("$N$")
    assert mesh is not None  # there is at least one panel
    bar = figure.colorbar(mesh, ax=axes[0], label="excess risk / its start")
    bar.set_ticks(ticks := [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], labels=[f"{v:g}" for v in ticks])
    return figure


def _cell_edges(centres: Sequence[float]) -> list[float]:
    """Where cells around increasing positive numbers begin and end on a logarithmic axis."""
    logs = np.log(np.array(centres, dtype=float))
    inner = (logs[1:] + logs[:-1]) / 2
    edges = np.concatenate([[2 * logs[0] - inner[0]], inner, [2 * logs[-1] - inner[-1]]])
    return [float(edge) for edge in np.exp(edges)]


def _thinned(values: Sequence[float]) -> list[float]:
    """About five of many values, for ticks."""
    step = max(1, (len(values) - 1) // 4)
    return [float(value) for value in values[::step]]


def _ticks(axis: Axes, values: Sequence[float]) -> None:
    axis.set_xticks(values, [f"{value:g}" for value in values])
    axis.xaxis.set_minor_locator(NullLocator())


def _plain_log_y(axis: Axes) -> None:
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
