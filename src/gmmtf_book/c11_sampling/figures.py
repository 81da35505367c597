"""Figures of generated data points: prices of risks, samples, clouds, distances (chapter 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH

_DENOISERS = {
    "bayes": ("Bayes", COLOURS["bayes"]),
    "zero": ("head at $W = 0$", COLOURS["start"]),
    "plain": ("trained head", COLOURS["trained"]),
    "corrected": ("tilt-corrected head", PATTERN_COLOURS[4]),
}


class Priced(NamedTuple):
    """Excess risks of a head: predicted and simulated at some times, and the price so far."""

    predicted: Sequence[float]
    simulated: Sequence[Estimate] | None
    cumulative: Tensor


def price_curves(
    times: Sequence[int], n_steps: int, heads: Mapping[str, Priced], labels: Tensor
) -> Figure:
    """Excess risk against time (left) and what it costs up to that time (right).

    Parameters
    ----------
    times
        Times of the risks.
    n_steps
        T.
    heads
        By name of the denoiser: "zero", "plain", "corrected".
    labels
        Cumulative price of not knowing the labels, ``[T]``.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.2))
    fractions = [t / n_steps for t in times]
    grid = [t / n_steps for t in range(n_steps)]
    for who, priced in heads.items():
        name, colour = _DENOISERS[who]
        style = "--" if who == "corrected" else "-"
        left.plot(fractions, priced.predicted, style, color=colour)
        right.plot(grid[1:], priced.cumulative[1:], style, color=colour, label=name)
        if priced.simulated is not None:
            left.plot(
                fractions, [e.value for e in priced.simulated], "o", ms=5, color=colour, zorder=3
            )
    right.plot(grid[1:], labels[1:], ":", color=COLOURS["theory"], label="labels: Bayes − oracle")
    left.set(xlabel="$t/T$", ylabel="excess risk per coordinate", yscale="log")
    right.set(xlabel="$t/T$", ylabel="price up to $t$, nats per token", yscale="log")
    right.set_ylim(1e-2, None)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


class Sweep(NamedTuple):
    """Distances against the number of steps, for one sampler."""

    scatter: Mapping[int, Sequence[Estimate]]
    predicted: Sequence[float]


def step_sweep(
    counts: Sequence[int],
    samplers: Mapping[str, Sweep],
    sliced: Mapping[int, Sequence[float]],
    floors: Mapping[int, float],
) -> Figure:
    """Scatter within patterns (left) and sliced distance over its floor (right) against steps.

    Parameters
    ----------
    counts
        Numbers of steps.
    samplers
        By name; the scatter for each dimension.
    sliced, floors
        For each dimension, distances of the first sampler, and the distance of two real samples.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.2))
    markers = dict(zip(sliced, "os^Dv", strict=False))
    for (name, sweep), line in zip(samplers.items(), ("-", "--"), strict=False):
        left.semilogx(counts, sweep.predicted, line, color=COLOURS["theory"], lw=1.5, label=name)
        for dim, found in sweep.scatter.items():
            left.errorbar(
                counts,
                [e.value for e in found],
                [2 * e.standard_error for e in found],
                fmt=markers[dim],
                ms=6,
                fillstyle="none",
                color=COLOURS["bayes"],
            )
    for dim, found_distances in sliced.items():
        ratios = [value / floors[dim] for value in found_distances]
        right.semilogx(
            counts, ratios, markers[dim] + "-", ms=6, fillstyle="none", lw=1, color=COLOURS["bayes"]
        )
    left.axhline(1, color="0.6", lw=0.8)
    right.axhline(1, color="0.6", lw=0.8)
    left.set(xlabel="steps", ylabel=r"variance within patterns / $\sigma^2$")
    right.set(xlabel="steps", ylabel="sliced distance / floor", ylim=(0, None))
    handles = [*left.get_legend_handles_labels()[0]]
    handles += [
        Line2D([], [], ls="", marker=m, ms=6, fillstyle="none", color=COLOURS["bayes"],
               label=f"$d = {dim}$")
        for dim, m in markers.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def token_planes(
    panels: Mapping[str, Tensor], patterns: Sequence[tuple[float, float]], labels: Tensor | None
) -> Figure:
    """Tokens of some data points in the plane of two patterns, a panel for each sample.

    Parameters
    ----------
    panels
        Title and coordinates along the two unit patterns, ``[data points, N, 2]``; data points
        have colours of their own unless ``labels`` is given.
    patterns
        Where the patterns lie in that plane.
    labels
        None, or for every panel the pattern by which tokens are coloured,
        ``[panels, data points, N]``.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 3.0), sharex=True, sharey=True, squeeze=False
    )
    for index, (ax, (title, points)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        for which, tokens in enumerate(points):
            colours: object = PATTERN_COLOURS[which % len(PATTERN_COLOURS)]
            if labels is not None:
                colours = [PATTERN_COLOURS[u] for u in labels[index, which].tolist()]
            ax.scatter(
                tokens[:, 0], tokens[:, 1], s=8, c=colours, rasterized=True, alpha=0.6, linewidths=0
            )
        for x, y in dict.fromkeys(patterns):
            ax.plot(x, y, "o", ms=15, mew=1.0, mfc="none", color=COLOURS["theory"], zorder=1)
        ax.set(title=title, aspect="equal")
        ax.set_xlabel(r"along $\hat\mu_{M-1}$")
    axes[0, 0].set_ylabel(r"along $\hat\mu_M$")
    return figure


class Path(NamedTuple):
    """Moments of the tokens along the reverse process: t/T, simulated values, predicted values."""

    fractions: Sequence[float]
    simulated: Sequence[float]
    predicted: Sequence[float] | None


def cloud_paths(
    spread: Mapping[str, Path],
    centre: Mapping[str, Path],
    real_spread: tuple[Sequence[float], Sequence[float]],
    real_centre: tuple[Sequence[float], Sequence[float]],
) -> Figure:
    """Spread of the tokens along patterns (left) and displacement of their mean (right).

    Parameters
    ----------
    spread, centre
        For each denoiser.
    real_spread, real_centre
        Times t/T and the values for noisy real data.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.4), sharex=True)
    real = (real_spread, real_centre)
    for ax, paths, truth in zip(axes, (spread, centre), real, strict=True):
        ax.semilogy(*truth, ":", color=COLOURS["theory"], lw=2, label="noisy real data")
        for who, path in paths.items():
            name, colour = _DENOISERS[who]
            ax.semilogy(path.fractions, path.simulated, "o", ms=4, color=colour, label=name)
            if path.predicted is not None:
                ax.semilogy(path.fractions, path.predicted, color=colour, lw=1.2)
        ax.set(xlabel="$t/T$")
    axes[0].invert_xaxis()
    axes[0].set_title("variance along a pattern")
    axes[1].set_title(r"$N \cdot$ mean square of the mean")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


class Finished(NamedTuple):
    """A head that finishes, by the time of the handover."""

    times: Sequence[int]
    offset: Sequence[Estimate]
    predicted: Sequence[float]
    frequency: Sequence[Estimate]


def finishing_curves(runs: Mapping[str, Finished], n_steps: int, floor_frequency: float) -> Figure:
    """Offset of the clusters (left) and error of the frequencies (right) against the handover.

    Parameters
    ----------
    runs
        By name; the first is drawn with filled markers, the others with open ones, the third in
        the colour of the tilt-corrected head.
    n_steps
        T.
    floor_frequency
        The error of the frequencies of a real sample.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.2), sharex=True)
    for index, (name, run) in enumerate(runs.items()):
        at = [t / n_steps for t in run.times]
        colour = _DENOISERS["plain" if index < 2 else "corrected"][1]
        fill = "full" if index == 0 else "none"
        for ax, found in ((left, run.offset), (right, run.frequency)):
            ax.errorbar(
                at,
                [e.value for e in found],
                [2 * e.standard_error for e in found],
                fmt="os^"[index],
                ms=6,
                fillstyle=fill,
                color=colour,
                label=name,
            )
        left.semilogy(at, run.predicted, color=colour, lw=1.2)
    left.axhline(1, color="0.6", lw=0.8)
    right.axhline(floor_frequency, color="0.6", lw=0.8)
    left.set(xlabel="handover $t/T$", title="squared offset of cluster means / law's")
    right.set(xlabel="handover $t/T$", title="error of the frequencies", ylim=(0, None))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def recovered_patterns(
    probabilities: Sequence[float],
    frequencies: Mapping[str, Sequence[float]],
    displacements: Sequence[float],
    predicted: tuple[Sequence[float], Sequence[float]],
) -> Figure:
    """Frequencies of the patterns (left), displacement of their means against π (right).

    Parameters
    ----------
    probabilities
        π.
    frequencies
        For each sample, the share of tokens at each pattern.
    displacements
        Root mean square distance of a data point's cluster mean from the pattern.
    predicted
        Probabilities and the predicted displacement at them.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.0))
    positions = list(range(1, len(probabilities) + 1))
    left.bar(positions, probabilities, color="0.85", label=r"$\pi_u$")
    colours = (COLOURS["bayes"], COLOURS["trained"], PATTERN_COLOURS[1])
    shifts = (-0.2, 0.0, 0.2)
    for shift, marker, colour, (name, values) in zip(
        shifts, "os^", colours, frequencies.items(), strict=False
    ):
        left.plot([p + shift for p in positions], values, marker, color=colour, ms=6, label=name)
    left.set(xlabel="pattern $u$", ylabel="frequency", xticks=positions)
    right.plot(*predicted, color=COLOURS["theory"], lw=1.5)
    right.plot(probabilities, displacements, "o", color=COLOURS["trained"], ms=7)
    right.set(xlabel=r"$\pi_u$", title="displacement of a cluster's mean", ylim=(0, None))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
