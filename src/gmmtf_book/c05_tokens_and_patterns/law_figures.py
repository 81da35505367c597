"""Figures of scaling laws (chapter 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH

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
