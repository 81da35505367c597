"""Figures of the benchmark."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, error_bars, error_bars_across, ticks_at

_BLUE, _ORANGE, _GREEN, _RED, _PURPLE = PATTERN_COLOURS[:5]

STYLES = {
    "zero": ("0.6", "-.", None),
    "linear": (COLOURS["linear"], "--", None),
    "token Bayes": (_BLUE, "--", None),
    "MLP": (_BLUE, "-", "o"),
    "uniform attention": (COLOURS["start"], ":", None),
    "kernel average": (COLOURS["start"], "-", "s"),
    "linear attention": (COLOURS["start"], "-", "^"),
    "head": (_RED, "-", "o"),
    "head + value": (_RED, "-", "s"),
    "two layers": (_RED, "-", "^"),
    "deep sets": (_GREEN, "-", "s"),
    "transformer": (_GREEN, "-", "^"),
    "DiT": (_GREEN, "-", "o"),
    "U-Net": (_PURPLE, "-", "D"),
    "empirical ideal": (COLOURS["theory"], "-", "x"),
}
"""Colour, line and marker of an entry: blue looks at one token, grey and red average, green are
networks that see all tokens."""


def _curves(ax: Axes, table: pd.DataFrame) -> None:
    """Draw each column of estimates against the index, where it has values."""
    for name, column in table.items():
        colour, line, marker = STYLES[str(name)]
        style = {"color": colour, "ls": line, "marker": marker, "ms": 4, "capsize": 2}
        known = column.dropna()
        error_bars(ax, known.index, known, label=str(name), **style)


def by_level(levels: pd.DataFrame, bayes: pd.Series[Any]) -> Figure:
    """Draw the excess risk of entries (columns) against the noise level (rows), and Bayes' risk."""
    figure, axis = plt.subplots(figsize=(WIDTH, 5.6))
    axis.plot(bayes.index, bayes, color=COLOURS["theory"], lw=1, label="Bayes risk itself")
    _curves(axis, levels)
    axis.set(
        xscale="log", yscale="log", ylim=(1e-4, 3), ylabel="excess risk over Bayes",
        xlabel=r"noise level $\sqrt{(1-\bar\alpha_t)/\bar\alpha_t}$",
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


def by_length(lengths: pd.DataFrame, trained_at: int) -> Figure:
    """Draw the excess risk of entries (columns) against the number of tokens (rows)."""
    figure, axis = plt.subplots(figsize=(WIDTH, 4.8))
    axis.axvline(trained_at, color="0.8", lw=1, zorder=0)
    _curves(axis, lengths)
    axis.set(xscale="log", yscale="log", xlabel="tokens per data point $N$", ylabel="excess risk")
    ticks_at(axis.xaxis, list(lengths.index))
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return figure


def rare_tokens(ratios: dict[str, pd.Series[Any]]) -> Figure:
    """Draw by how much the excess is larger on tokens of the rare pattern, one panel a task.

    ``ratios``: for each task the same entries in the same order; one without a number is left out.
    """
    figure, axes = plt.subplots(1, len(ratios), figsize=(WIDTH, 4.6), sharey=True, squeeze=False)
    for axis, (title, found) in zip(axes[0], ratios.items(), strict=True):
        for y, (name, each) in enumerate(found.items()):
            if not math.isfinite(each.value):
                continue
            colour, _, marker = STYLES[str(name)]
            style = {"fmt": marker or "|", "color": colour, "capsize": 2}
            error_bars_across(axis, [each], [y], **style)
        axis.axvline(1, color="0.8", lw=1, zorder=0)
        axis.set_xscale("log")
        ticks_at(axis.xaxis, (1, 2, 3, 4))
        axis.set_title(title)
        axis.set(ylim=(len(found) - 0.5, -0.5))
        axis.set_yticks(range(len(found)), list(found.index))
    figure.supxlabel("excess on tokens of the rare pattern / on all others", fontsize="medium")
    return figure


def by_size(excess: pd.DataFrame, seen: pd.DataFrame, linear: float) -> Figure:
    """Draw what entries reach on training sets of each size (rows), on new data and on their own.

    Above the excess risk on new data, below the loss less that of Bayes on the training data. The
    last row, of size 0, are fresh data.
    """
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 6.6), sharex=True)
    for axis, table in zip(axes, (excess, seen), strict=True):
        _curves(axis, table.reset_index(drop=True))
    axes[0].axhline(linear, color=COLOURS["linear"], ls="--", label="linear")
    axes[0].set(yscale="log", ylabel="excess risk, new data")
    axes[1].axhline(0, color="0.8", lw=1, zorder=0)
    axes[1].set(ylabel="loss less Bayes',\ntraining data", xlabel="training data points")
    names = [f"$10^{len(str(size)) - 1}$" if size else "fresh" for size in excess.index]
    axes[1].set_xticks(range(len(names)), names)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    return figure


def by_task(shares: pd.DataFrame) -> Figure:
    """Draw excess risks over that of the linear filter: a row a task, a marker an entry."""
    figure, axis = plt.subplots(figsize=(WIDTH, 5.6))
    places = range(len(shares))
    for name in shares:
        colour, _, marker = STYLES[str(name)]
        found = [float(each) for each in shares[name]]
        axis.plot(found, places, ls="", marker=marker or "|", ms=8, mew=2, color=colour, label=name)
    axis.axvline(1, color=COLOURS["linear"], ls="--", lw=1, label="linear")
    axis.set(xscale="log", xlabel="excess risk / that of the linear filter")
    axis.set_yticks(list(places), list(shares.index))
    axis.invert_yaxis()
    axis.grid(axis="y", color="0.9")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    return figure
