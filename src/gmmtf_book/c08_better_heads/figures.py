"""Figures of better heads: the tilt floor, and reductions of the excess risk (chapter 8)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, error_bars, name_at, ticks_at
from gmmtf_book.c08_better_heads.summary import Reduction

_KIND = {"plain": COLOURS["trained"], "tilt": PATTERN_COLOURS[0], "value": PATTERN_COLOURS[2]}

_FLOOR = {
    "limit": (r"corrected, $W = P/\tau^2$", PATTERN_COLOURS[4], "-"),
    "plain": (r"plain, $\beta r^2 = 12$", COLOURS["trained"], "-"),
    "best plain": (r"plain, best $\beta$", COLOURS["trained"], "--"),
    "corrected": (r"corrected, $\beta r^2 = 12$", PATTERN_COLOURS[0], "-"),
    "best corrected": (r"corrected, best $\beta$", PATTERN_COLOURS[0], "--"),
}


def floor_curves(exact: pd.DataFrame, simulated: pd.DataFrame) -> Figure:
    """Draw the excess risk against the number of tokens, with and without tilt correction.

    ``exact``: a row a number of tokens and a column a curve; ``simulated``: columns ``curve``,
    ``N`` and ``simulated``.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for name, (label, colour, line) in _FLOOR.items():
        axis.plot(exact.index, exact[name].map(float), line, color=colour, label=label)
    for curve, points in simulated.groupby("curve"):
        colour = _FLOOR[str(curve)][1]
        error_bars(axis, points["N"], points["simulated"], fmt="o", ms=6, color=colour)
    axis.set(xlabel="tokens per data point $N$", ylabel="excess risk", xscale="log", yscale="log")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure


def reductions(panels: Mapping[str, Mapping[str, Reduction]]) -> Figure:
    """Draw the excess risk of each kind of head over the plain head's, one panel a setting.

    All panels have the same kinds in the same order.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 4.4), sharey=True, sharex=True, squeeze=False
    )
    for axis, (title, found) in zip(axes[0], panels.items(), strict=True):
        _reductions(axis, found)
        axis.set_title(title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    figure.supxlabel("excess risk / that of the plain head", fontsize="medium")
    return figure


def _reductions(axis: Axes, found: Mapping[str, Reduction]) -> None:
    places = range(len(found))
    measured = [r.measured for r in found.values()]
    left = [e.value for e in measured]
    axis.barh(places, left, height=0.62, color=COLOURS["trained"], alpha=0.25, lw=0)
    predicted = [(r.predicted, y) for y, r in enumerate(found.values()) if r.predicted is not None]
    bars, rows = zip(*predicted, strict=True)
    axis.plot(bars, rows, "|", color=COLOURS["theory"], ms=18, mew=2, label="predicted")
    axis.errorbar(
        left, list(places), xerr=[2 * e.standard_error for e in measured],
        fmt="o", color=COLOURS["trained"], label="trained",
    )  # fmt: skip
    for row, share in enumerate(left):
        name_at(axis, f"{share:.2f}", (share, row), (9, 0), fontsize="small")
    axis.axvline(1, color="0.7", lw=1, zorder=0)
    axis.set(xlim=(0, 1.45), ylim=(len(found) - 0.5, -0.5))
    ticks_at(axis.xaxis, (0, 0.5, 1))
    axis.set_yticks(list(places), list(found))
    axis.tick_params(axis="y", length=0)


def by_noise_level(levels: pd.DataFrame) -> Figure:
    """Draw the excess risk of three kinds of heads at each noise level.

    ``levels``: a row a noise level, a column for ``predicted``, ``trained`` (with errors) and
    ``retuned`` and a kind.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for name, values in levels["predicted"].items():
        axis.plot(values, color=_KIND[str(name)], label=f"{name}, one head for all $t$")
    for name, values in levels["trained"].items():
        error_bars(axis, levels.index, values, fmt="o", ms=5, color=_KIND[str(name)])
    for name, values in levels["retuned"].items():
        axis.plot(values, "--", color=_KIND[str(name)], label=f"{name}, best at each $t$")
    axis.set(xlabel="noise level $t$", ylabel="excess risk", yscale="log")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure
