"""Figures of the interventions: markers are simulated, lines are predicted.

``runs`` holds the tables of :mod:`gmmtf_book.c06_mean_denoising.tables` by title, a panel each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from gmmtf import Estimate
from gmmtf.figures import COLOURS, OVER_PIXELS, PATTERN_COLOURS, WIDTH, error_bars
from gmmtf_book.c06_mean_denoising.tables import crossing

Runs = Mapping[str, Any]  # pandas tables

STYLES = {
    "uniform": ("uniform", COLOURS["start"], "s"),
    "other": ("another data point's", COLOURS["different"], "x"),
    "trained": ("trained", COLOURS["trained"], "o"),
    "same": ("same pattern", COLOURS["oracle"], "^"),
    "twin": ("twin's", PATTERN_COLOURS[4], "D"),
}
"""Names, colours and markers of the maps of the study."""


def given_maps(maps: Mapping[str, Tensor], labels: Tensor) -> Figure:
    """Four attention maps of one data point, tokens ordered by their pattern (F1).

    ``maps`` holds those of the study, ``[batch, N, N]`` each; the first data point is shown, with
    labels ``labels[0]``. The colour scale leaves out the largest half percent of the weights.
    """
    order = labels[0].cpu().argsort(stable=True)
    edges = labels[0].cpu().bincount().cumsum(0)[:-1].tolist()
    names = ("trained", "same", "other", "twin")
    shown = {name: maps[name][0].cpu()[order][:, order].numpy() for name in names}
    top = float(np.quantile(list(shown.values()), 0.995))
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.6))
    for axis, (name, matrix) in zip(axes.flat, shown.items(), strict=True):
        image = axis.imshow(matrix, cmap="viridis", vmin=0, vmax=top, aspect="equal")
        for edge in edges:
            axis.axhline(edge - 0.5, color=OVER_PIXELS, linewidth=0.4)
            axis.axvline(edge - 0.5, color=OVER_PIXELS, linewidth=0.4)
        axis.set(title=STYLES[name][0], xticks=[], yticks=[])
    plt.setp(axes[1], xlabel="key token")
    plt.setp(axes[:, 0], ylabel="query token")
    figure.colorbar(image, ax=axes, label="attention", shrink=0.6, extend="max")
    return figure


def risks_of_maps(runs: Runs) -> Figure:
    """Draw the excess over the oracle's risk against the noise level, for four maps (C6)."""

    def draw(ax: Axes, maps: Any) -> None:
        for name in ("uniform", "other", "trained", "same"):
            _curve(ax, maps.loc["oracle", name], *STYLES[name])
        gap = maps.predicted["parts", "gap"].astype(float)
        ax.plot(gap, ":", color=COLOURS["bayes"], label="Bayes estimate")
        ax.set(yscale="log", ylim=(5e-4, 4))

    return _panels(runs, draw, "excess over the oracle's risk")


def excess_parts(runs: Runs) -> Figure:
    """Draw the parts of the trained head's excess over the oracle, and what same-pattern costs."""
    names = {"gap": "labels not readable", "limit": "bias", "tokens": "finite $N$"}
    colours = (COLOURS["bayes"], COLOURS["different"], COLOURS["start"])

    def draw(ax: Axes, maps: Any) -> None:
        law = maps.predicted.astype(float)
        areas = [law["parts", name] for name in names]
        where = areas[0].index
        ax.stackplot(where, areas, labels=names.values(), colors=colours, alpha=0.45, linewidth=0)
        for name in ("trained", "same"):
            _curve(ax, maps.loc["oracle", name], *STYLES[name])
        crossed = crossing(law["oracle", "trained"], law["oracle", "same"])
        ax.axvline(crossed, color="0.5", linestyle=":", linewidth=1)
        ax.set_ylim(0, None)

    return _panels(runs, draw, "excess over the oracle's risk", sharey=False)


def twin_ratio(runs: Runs) -> Figure:
    """Draw the excess with the twin's map over that with the head's own."""

    def draw(ax: Axes, maps: Any) -> None:
        _curve(ax, maps.loc["oracle", "twin"] / maps.loc["oracle", "trained"], *STYLES["twin"])
        ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)

    return _panels(runs, draw, "excess, twin's map / own map", legend=False)


def one_row(attention: Tensor, labels: Tensor, query: int = 0) -> Figure:
    """One query's attention to each token, ordered by pattern, and the four numbers of this row.

    ``attention`` is a map ``[N, N]`` of a data point with labels ``[N]``.
    """
    row, label = attention[query].cpu(), labels.cpu()
    shares = torch.zeros(int(label.max()) + 1).to(row).index_add(0, label, row)
    wanted = torch.eye(len(shares)).to(row)[label[query]]
    same, squares = float(shares @ wanted), float(row.square().sum())
    order = label.argsort(stable=True)
    place, itself = order.argsort(), torch.arange(len(row)) == query
    alike = label == label[query]
    figure, ax = plt.subplots(figsize=(WIDTH, 2.9))
    for name, chosen, colour in (
        (f"itself: {float(row[query]):.3f}", itself, COLOURS["trained"]),
        (f"its pattern, with itself: {same:.2f}", alike & ~itself, COLOURS["oracle"]),
        (f"other patterns: {1 - same:.2f}", ~alike, COLOURS["start"]),
    ):
        if chosen.any():
            ax.bar(place[chosen].tolist(), row[chosen].tolist(), color=colour, label=name)
    mismatch = float((shares - wanted).square().sum())
    ax.set(
        title=f"sum of squares {squares:.3f}, so {1 / squares:.0f} tokens\nmismatch {mismatch:.3f}",
        xlabel="key tokens, pattern by pattern", ylabel="attention", xticks=[],
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def attention_mass(runs: Runs) -> Figure:
    """Draw the attention to the same pattern, and to the token itself, against the noise level."""
    blue, line = COLOURS["same"], {"color": COLOURS["theory"], "linewidth": 1.2}

    def draw(ax: Axes, maps: Any) -> None:
        _curve(ax, maps.loc["map", "same"], "same pattern", blue, "o", line)
        _curve(ax, maps.loc["map", "own"], "itself", COLOURS["different"], "^", line)
        limit = maps.predicted["map", "limit"].astype(float)
        ax.plot(limit, color=blue, linewidth=6, alpha=0.5, label="softmax limit", zorder=0)
        ax.set_ylim(0, 1.03)

    return _panels(runs, draw, "share of the attention")


def errors_by_count(runs: Runs) -> Figure:
    """Draw the error of the attention output against 1/n_u, at several noise levels."""
    colours = (PATTERN_COLOURS[0], PATTERN_COLOURS[1], PATTERN_COLOURS[4])

    def draw(ax: Axes, counts: Any) -> None:
        for t, colour, marker in zip(counts.index.unique(0), colours, "osD", strict=False):
            found = counts.loc[t, "trained"]
            shares = 1 / found.index
            _curve(ax, found.set_index(shares), f"$t$ = {t}", colour, marker)
        ax.plot(shares, shares, "--", color=COLOURS["oracle"], label="same pattern", zorder=0)
        ax.set(xlabel="$1/n_u$", xscale="log", yscale="log")
        ax.set_xticks(shares, [f"1/{n}" for n in found.index], fontsize="x-small")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.legend(fontsize="small")

    return _panels(runs, draw, r"error of the output / $\tau^2$", legend=False)


def distances(runs: Runs) -> Figure:
    """Draw the trained head's distances from the oracle and from the Bayes estimate."""

    def draw(ax: Axes, maps: Any) -> None:
        for group, target, marker in (("oracle", "the oracle", "o"), ("bayes", "Bayes", "s")):
            found = maps.loc[group, "trained"]
            _curve(ax, found, f"head to {target}", COLOURS[group], marker)
        gap = maps.predicted["parts", "gap"].astype(float)
        ax.plot(gap, ":", color=COLOURS["theory"], label="Bayes to oracle")
        ax.set(yscale="log", ylim=(5e-4, 0.2))

    return _panels(runs, draw, "mean squared distance")


def _panels(
    runs: Runs, draw: Callable[[Axes, Any], None], ylabel: str, sharey: bool = True,
    legend: bool = True,
) -> Figure:  # fmt: skip
    figure, axes = plt.subplots(1, len(runs), figsize=(WIDTH, 3.9), sharey=sharey, squeeze=False)
    for ax, (title, table) in zip(axes[0], runs.items(), strict=True):
        ax.set(title=title, xlabel="$t$")
        draw(ax, table)
    axes[0, 0].set_ylabel(ylabel)
    if legend:
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _curve(
    ax: Axes, found: Any, label: str, colour: str, marker: str,
    line: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Markers with the errors of simulation and prediction together, and the predicted line."""
    errors = [each.standard_error for each in found.simulated - found.predicted]
    shown = [Estimate(s.value, e) for s, e in zip(found.simulated, errors, strict=True)]
    error_bars(ax, found.index, shown, ms=5, fmt=marker, color=colour, label=label)
    ax.plot(found.predicted.astype(float), **(line or {"color": colour}))
