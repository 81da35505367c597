"""Figures of generated data points: prices of risks, samples, clouds, distances (chapter 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from gmmtf import MultiTokenGMM, fidelity
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, error_bars

_DENOISERS = {
    "bayes": ("Bayes", COLOURS["bayes"]),
    "zero": ("head at $W = 0$", COLOURS["start"]),
    "plain": ("trained head", COLOURS["trained"]),
    "corrected": ("tilt-corrected head", PATTERN_COLOURS[4]),
}


def _two(height: float, **options: Any) -> tuple[Figure, Axes, Axes]:
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, height), **options)
    return figure, left, right


def _legend(figure: Figure, ax: Axes) -> None:
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def price_curves(predicted: pd.DataFrame, simulated: pd.DataFrame, prices: pd.DataFrame) -> Figure:
    """Excess risk against time (left) and what it costs up to that time (right).

    A row a time and a column a head; the simulated risks are estimates, ``prices`` has a row for
    each of the T times, and a column ``labels``.
    """
    figure, left, right = _two(4.2)
    n_steps = len(prices)
    prices = prices.iloc[1:]
    grid = prices.index / n_steps
    for who in ("zero", "plain", "corrected"):
        name, colour = _DENOISERS[who]
        style = "--" if who == "corrected" else "-"
        left.plot(predicted.index / n_steps, predicted[who], style, color=colour)
        right.plot(grid, prices[who], style, color=colour, label=name)
        if who in simulated:
            points = simulated[who].map(float)
            left.plot(points.index / n_steps, points, "o", ms=5, color=colour, zorder=3)
    right.plot(grid, prices["labels"], ":", color=COLOURS["theory"], label="labels: Bayes − oracle")
    left.set(xlabel="$t/T$", ylabel="excess risk per coordinate", yscale="log")
    right.set(xlabel="$t/T$", ylabel="price up to $t$, nats per token", yscale="log")
    right.set_ylim(1e-2, None)
    _legend(figure, right)
    return figure


def step_sweep(sweep: pd.DataFrame) -> Figure:
    """Scatter within patterns (left) and sliced distance over its floor (right) against steps.

    ``sweep``: a row a ``sampler``, dimension ``d`` and number ``n_calls``, with the ``scatter``, an
    estimate, ``predicted``, and the ``sliced`` distance, which is drawn for the ancestral one.
    """
    figure, left, right = _two(4.2)
    markers = dict(zip(sweep["d"].unique(), "os^Dv", strict=False))
    open_marker: dict[str, Any] = {"ms": 6, "fillstyle": "none", "color": COLOURS["bayes"]}
    for (name, found), line in zip(sweep.groupby("sampler", sort=False), ("-", "--"), strict=True):
        law = found.groupby("n_calls")["predicted"].first()
        left.semilogx(law.index, law, line, color=COLOURS["theory"], lw=1.5, label=str(name))
        for d, points in found.groupby("d"):
            error_bars(left, points["n_calls"], points["scatter"], fmt=markers[d], **open_marker)
    for d, points in sweep[sweep["sampler"] == "ancestral"].groupby("d"):
        right.semilogx(points["n_calls"], points["sliced"], markers[d] + "-", lw=1, **open_marker)
    left.axhline(1, color="0.6", lw=0.8)
    right.axhline(1, color="0.6", lw=0.8)
    left.set(xlabel="steps", ylabel=r"variance within patterns / $\sigma^2$")
    right.set(xlabel="steps", ylabel="sliced distance / floor", ylim=(0, None))
    handles = [*left.get_legend_handles_labels()[0]]
    for d, marker in markers.items():
        handles.append(Line2D([], [], ls="", marker=marker, label=f"$d = {d}$", **open_marker))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def token_planes(
    panels: Mapping[str, Tensor], mixture: MultiTokenGMM, *, by_pattern: bool = False
) -> Figure:
    """Tokens of four data points in the plane of the two last patterns, a panel for each sample.

    ``panels``: title and data points ``[batch, N, d]``; ``by_pattern``: whether a token has the
    colour of its nearest pattern, not that of its data point.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 4.0), sharex=True, sharey=True, squeeze=False
    )
    radius = mixture.require_equal_orthogonal("the plane of two patterns")
    plane = (mixture.means / radius)[-2:]
    for ax, (title, x) in zip(axes[0], panels.items(), strict=True):
        labels = fidelity.nearest_patterns(x, mixture).tolist()
        for which, tokens in enumerate(x[:4] @ plane.T.to(x)):
            colours: object = PATTERN_COLOURS[which]
            if by_pattern:
                colours = [PATTERN_COLOURS[u] for u in labels[which]]
            ax.scatter(*tokens.T, s=16, c=colours, rasterized=True, alpha=0.6, linewidths=0)
        for spot in ((radius, 0.0), (0.0, radius), (0.0, 0.0)):
            ax.plot(*spot, "o", ms=15, mew=1.0, mfc="none", color=COLOURS["theory"], zorder=1)
        ax.set(title=title, aspect="equal")
        ax.set_xlabel(r"along $\hat\mu_{M-1}$")
    axes[0, 0].set_ylabel(r"along $\hat\mu_M$")
    return figure


def cloud_paths(paths: pd.DataFrame, real: pd.DataFrame) -> Figure:
    """Spread of the tokens along patterns (left) and displacement of their mean (right).

    Both have columns ``fraction`` (t/T), ``spread`` and ``centre``; ``paths`` also the ``head`` and
    what is predicted, ``spread_law`` and ``centre_law``. ``real``: noisy data.
    """
    figure, left, right = _two(4.4, sharex=True)
    for ax, name in ((left, "spread"), (right, "centre")):
        style = {"color": COLOURS["theory"], "lw": 2, "label": "noisy real data"}
        ax.semilogy(real["fraction"], real[name], ":", **style)
        for who, path in paths.groupby("head", sort=False):
            label, colour = _DENOISERS[str(who)]
            ax.semilogy(path["fraction"], path[name], "o", ms=4, color=colour, label=label)
            if path[f"{name}_law"].notna().all():
                ax.semilogy(path["fraction"], path[f"{name}_law"], color=colour, lw=1.2)
        ax.set(xlabel="$t/T$")
    left.invert_xaxis()
    left.set_title("variance along a pattern")
    right.set_title(r"$N \cdot$ mean square of the mean")
    _legend(figure, left)
    return figure


def finishing_curves(
    runs: Mapping[str, pd.DataFrame], n_steps: int, floor_frequency: float
) -> Figure:
    """Offset of the clusters (left) and error of the frequencies (right) against the handover.

    ``runs``: by name, a row a time with ``offset`` and ``frequency``, estimates, and the ``law`` of
    the offset; the first with filled markers, the third in the colour of the tilt-corrected head.
    The offset is that of the clusters' means.
    ``floor_frequency``: the error of a real sample.
    """
    figure, left, right = _two(4.2, sharex=True)
    for index, (name, run) in enumerate(runs.items()):
        at = run.index / n_steps
        colour = (COLOURS["trained"], COLOURS["bayes"], _DENOISERS["corrected"][1])[index]
        style = {"fmt": "os^"[index], "ms": 6, "fillstyle": "none" if index else "full"}
        error_bars(left, at, run["offset"], color=colour, label=name, **style)
        error_bars(right, at, run["frequency"], color=colour, label=name, **style)
        left.semilogy(at, run["law"], color=colour, lw=1.2)
    left.axhline(1, color="0.6", lw=0.8)
    right.axhline(floor_frequency, color="0.6", lw=0.8)
    left.set(xlabel="handover $t/T$", title="squared offset / law's")
    right.set(xlabel="handover $t/T$", title="error of the frequencies", ylim=(0, None))
    _legend(figure, left)
    return figure


def recovered_patterns(
    samples: Mapping[str, Tensor], mixture: MultiTokenGMM, displaced: pd.DataFrame
) -> Figure:
    """Frequencies of the patterns (left), displacement of their means against π (right).

    ``samples``: by name, data points ``[batch, N, d]``. ``displaced``: a row a pattern, its
    ``probability``, and the root mean square distance of a data point's cluster mean from it,
    ``found`` and ``predicted``, in proportion to π^(-1/2).
    """
    figure, left, right = _two(4.0)
    pi = mixture.probabilities
    positions = np.arange(1, len(pi) + 1)
    left.bar(positions, pi.tolist(), color="0.85", label=r"$\pi_u$")
    colours = (COLOURS["bayes"], COLOURS["trained"], PATTERN_COLOURS[1])
    for shift, marker, colour, (name, x) in zip(
        (-0.2, 0.0, 0.2), "os^", colours, samples.items(), strict=True
    ):
        nearest = fidelity.nearest_patterns(x, mixture).flatten()
        shares = nearest.bincount(minlength=len(pi)).double() / len(nearest)
        left.plot(positions + shift, shares, marker, color=colour, ms=6, label=name,
                  clip_on=False, zorder=3)  # fmt: skip
    left.set(xlabel="pattern $u$", ylabel="frequency", xticks=positions)
    grid = np.linspace(float(pi.min()), float(pi.max()), 60)
    unit = (displaced["predicted"] * displaced["probability"] ** 0.5).mean()
    right.plot(grid, unit / np.sqrt(grid), color=COLOURS["theory"], lw=1.5)
    right.plot(displaced["probability"], displaced["found"], "o", color=COLOURS["trained"], ms=7)
    right.set(xlabel=r"$\pi_u$", title="displacement of a cluster's mean", ylim=(0, None))
    _legend(figure, left)
    return figure
