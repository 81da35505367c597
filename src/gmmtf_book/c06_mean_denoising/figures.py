"""Figures of the attention interventions (chapter 6).

Markers are simulated, lines are predicted. ``runs`` holds recorded points of
:mod:`gmmtf_book.c06_mean_denoising.run` by title, one panel each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH
from gmmtf_book.c06_mean_denoising.series import (
    Series,
    count_series,
    limit_mass,
    parts,
    ratio,
    series,
)

Runs = Mapping[str, Mapping[str, Any]]

NAMES = {
    "uniform": "uniform",
    "other": "another data point's",
    "trained": "trained",
    "same": "same pattern",
    "twin": "twin's",
}
"""What the maps of the study are called in a legend."""

_MAP_COLOURS = {
    "uniform": COLOURS["start"],
    "other": COLOURS["different"],
    "trained": COLOURS["trained"],
    "same": COLOURS["oracle"],
    "twin": PATTERN_COLOURS[4],
}
_LEVEL_COLOURS = (PATTERN_COLOURS[0], PATTERN_COLOURS[1], PATTERN_COLOURS[4])
_TARGETS = {"oracle": "the oracle", "bayes": "Bayes"}
_MARKERS = {"uniform": "s", "other": "x", "trained": "o", "same": "^", "twin": "D"}


def given_maps(maps: Mapping[str, Tensor], labels: Tensor) -> Figure:
    """Four attention maps of one data point, tokens ordered by their pattern (F1).

    Parameters
    ----------
    maps
        Title and matrix ``[N, N]`` of each panel; all share one colour scale, which leaves out
        the largest half percent of the weights.
    labels
        Patterns of the tokens, integers ``[N]``.
    """
    order = labels.argsort(stable=True)
    edges = labels.bincount().cumsum(0)[:-1].tolist()
    top = float(np.quantile([matrix.numpy() for matrix in maps.values()], 0.995))
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.6))
    for axis, (title, matrix) in zip(axes.flat, maps.items(), strict=True):
        image = axis.imshow(
            matrix[order][:, order].numpy(), cmap="viridis", vmin=0, vmax=top, aspect="equal"
        )
        for edge in edges:
            axis.axhline(edge - 0.5, color="white", linewidth=0.4)
            axis.axvline(edge - 0.5, color="white", linewidth=0.4)
        axis.set(title=title, xticks=[], yticks=[])
    for axis in axes[1]:
        axis.set_xlabel("key token")
    for axis in axes[:, 0]:
        axis.set_ylabel("query token")
    figure.colorbar(image, ax=axes, label="attention", shrink=0.6, extend="max")
    return figure


def risks_of_maps(runs: Runs) -> Figure:
    """Draw the excess over the oracle's risk against the noise level, for four maps (C6)."""
    figure, axes = _panels(runs, sharey=True)
    for axis, values in zip(axes, runs.values(), strict=True):
        for name in ("uniform", "other", "trained", "same"):
            _draw(axis, series(values, "oracle", name), name, NAMES[name])
        found = series(values, "oracle", "trained")
        gap = parts(values)["gap"]
        axis.plot(found.times, gap, ":", color=COLOURS["bayes"], label="Bayes estimate")
        axis.set(yscale="log", ylim=(5e-4, 4))
    axes[0].set_ylabel("excess over the oracle's risk")
    _shared_legend(figure, axes[0], ncols=3)
    return figure


def excess_parts(runs: Runs, crossings: Mapping[str, float]) -> Figure:
    """Draw the parts of the trained head's excess over the oracle, and what same-pattern costs.

    ``crossings``: for each title the predicted time at which the two are equal.
    """
    figure, axes = _panels(runs)
    names = {"gap": "labels not readable", "limit": "bias", "tokens": "finite $N$"}
    colours = (COLOURS["bayes"], COLOURS["different"], COLOURS["start"])
    for axis, (title, values) in zip(axes, runs.items(), strict=True):
        trained, same = series(values, "oracle", "trained"), series(values, "oracle", "same")
        found = parts(values)
        axis.stackplot(
            trained.times,
            [found[name] for name in names],
            labels=list(names.values()),
            colors=colours,
            alpha=0.45,
            linewidth=0,
        )
        _draw(axis, trained, "trained", NAMES["trained"])
        _draw(axis, same, "same", NAMES["same"])
        axis.axvline(crossings[title], color="0.5", linestyle=":", linewidth=1)
        axis.set_ylim(0, None)
    axes[0].set_ylabel("excess over the oracle's risk")
    _shared_legend(figure, axes[0], ncols=3)
    return figure


def twin_ratio(runs: Runs) -> Figure:
    """Draw the excess with the twin's map over that with the head's own."""
    figure, axes = _panels(runs, sharey=True)
    for axis, values in zip(axes, runs.values(), strict=True):
        _draw(axis, ratio(values, "twin", "trained"), "twin", "twin's map")
        axis.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    axes[0].set_ylabel("excess, twin's map / own map")
    return figure


def attention_mass(runs: Runs) -> Figure:
    """Draw the attention to the same pattern, and to the token itself, against the noise level."""
    figure, axes = _panels(runs, sharey=True)
    for axis, values in zip(axes, runs.values(), strict=True):
        mass, own = series(values, "map", "same"), series(values, "map", "own")
        colours = {"same pattern": COLOURS["same"], "itself": COLOURS["different"]}
        for found, (label, colour), marker in zip((mass, own), colours.items(), "o^", strict=True):
            axis.errorbar(
                found.times,
                found.simulated,
                2 * found.errors,
                fmt=marker,
                ms=5,
                color=colour,
                label=label,
            )
            axis.plot(found.times, found.predicted, color=COLOURS["theory"], linewidth=1.2)
        axis.plot(
            mass.times,
            limit_mass(values),
            "--",
            color=COLOURS["same"],
            linewidth=1,
            label="softmax limit",
        )
        axis.set_ylim(0, 1.03)
    axes[0].set_ylabel("share of the attention")
    _shared_legend(figure, axes[0], ncols=3)
    return figure


def errors_by_count(runs: Runs) -> Figure:
    """Draw the error of the attention output against 1/n_u, at several noise levels."""
    figure, axes = _panels(runs, sharey=True)
    for axis, values in zip(axes, runs.values(), strict=True):
        levels = sorted({int(key.split("/")[2]) for key in values if "/counts/" in key})
        for t, colour, marker in zip(levels, _LEVEL_COLOURS, "osD", strict=False):
            found = count_series(values, t)["trained"]
            shares = 1 / found.times
            axis.errorbar(
                shares,
                found.simulated,
                2 * found.errors,
                fmt=marker,
                ms=5,
                color=colour,
                label=f"$t$ = {t}",
            )
            axis.plot(shares, found.predicted, color=colour)
        axis.plot(shares, shares, "--", color=COLOURS["oracle"], label="same pattern", zorder=0)
        axis.set(xlabel="$1/n_u$", xscale="log", yscale="log")
        axis.set_xticks(shares, [f"1/{n}" for n in found.times], fontsize="x-small")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.legend(fontsize="small")
    axes[0].set_ylabel(r"error of the output / $\tau^2$")
    return figure


def distances(runs: Runs) -> Figure:
    """Draw the trained head's distances from the oracle and from the Bayes estimate."""
    figure, axes = _panels(runs, sharey=True)
    for axis, values in zip(axes, runs.values(), strict=True):
        for group, marker in (("oracle", "o"), ("bayes", "s")):
            found = series(values, group, "trained")
            axis.errorbar(
                found.times,
                found.simulated,
                2 * found.errors,
                fmt=marker,
                ms=5,
                color=COLOURS[group],
                label=f"head to {_TARGETS[group]}",
            )
            axis.plot(found.times, found.predicted, color=COLOURS[group])
        axis.plot(
            found.times,
            parts(values)["gap"],
            ":",
            color=COLOURS["theory"],
            label="Bayes to oracle",
        )
        axis.set(yscale="log", ylim=(5e-4, 0.2))
    axes[0].set_ylabel("mean squared distance")
    _shared_legend(figure, axes[0], ncols=3)
    return figure


def _panels(runs: Runs, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(1, len(runs), figsize=(WIDTH, 3.9), sharey=sharey, squeeze=False)
    for axis, title in zip(axes[0], runs, strict=True):
        axis.set(title=title, xlabel="$t$")
    return figure, list(axes[0])


def _draw(axis: Axes, found: Series, name: str, label: str) -> None:
    colour = _MAP_COLOURS[name]
    axis.errorbar(
        found.times,
        found.simulated,
        2 * found.errors,
        fmt=_MARKERS[name],
        ms=5,
        color=colour,
        label=label,
    )
    axis.plot(found.times, found.predicted, color=colour)


def _shared_legend(figure: Figure, axis: Axes, ncols: int) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=ncols)
