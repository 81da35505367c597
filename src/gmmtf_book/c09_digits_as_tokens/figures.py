"""Figures of the chapter on real digits as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from torch import Tensor

from gmmtf import Estimate
from gmmtf.figures import (
    COLOURS,
    PATTERN_COLOURS,
    WIDTH,
    as_glyphs,
    error_bars,
    error_bars_across,
    log_ticks,
)

NAMES = {
    "theory": "orthogonal,\nisotropic",
    "means": "real means",
    "covariances": "+ real\ncovariances",
    "fitted": "fitted mixture",
    "real": "real digits",
}
"""Names of the laws between the theory's mixture and real tokens."""

_DENOISERS = {
    "start": ("$W = 0$", COLOURS["start"], ":"),
    "head": ("trained head", COLOURS["trained"], "-"),
    "isotropic": ("Bayes, isotropic classes", COLOURS["oracle"], "-."),
    "fitted": ("Bayes, fitted mixture", COLOURS["bayes"], "--"),
    "empirical": ("ideal for training set", COLOURS["different"], "-"),
}


def token_rows(rows: Mapping[str, Tensor]) -> Figure:
    """Rows of images, the title of each row above it.

    Images ``[n, 28, 28]`` have pixels in [-1, 1], others are clipped; as many in each row.
    """
    n_shown = len(next(iter(rows.values())))
    height = len(rows) * (WIDTH / n_shown + 0.32)
    figure, axes = plt.subplots(len(rows), 1, figsize=(WIDTH, height), squeeze=False)
    for axis, (title, images) in zip(axes[:, 0], rows.items(), strict=True):
        picture = torch.cat(list(images.cpu()), dim=1)
        axis.imshow(picture.numpy(), cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
        as_glyphs(axis)
        axis.set_title(title, loc="left")
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def class_attention(maps: Mapping[str, Tensor], digits: Sequence[int]) -> Figure:
    """Attention between digits, as a multiple of uniform attention (F1, for real tokens).

    ``maps``: title and matrix ``[M, M]`` of each panel, queries in rows; one colour scale for all,
    logarithmic with uniform attention, 1, in its middle.
    """
    top = max(float(matrix.max()) for matrix in maps.values())
    figure, axes = plt.subplots(1, len(maps), figsize=(WIDTH, 3.5), squeeze=False)
    for axis, (title, matrix) in zip(axes[0], maps.items(), strict=True):
        image = axis.imshow(matrix.numpy(), cmap="RdBu_r", norm=LogNorm(1 / top, top))
        axis.set(title=title, xlabel="digit attended to")
        ticks = range(len(digits))
        axis.set_xticks(ticks, [str(d) for d in digits])
        axis.set_yticks(ticks, [str(d) for d in digits])
    axes[0, 0].set_ylabel("query digit")
    bar = figure.colorbar(image, ax=axes[0], label="attention / uniform", shrink=0.85)
    log_ticks(bar.ax.yaxis)
    return figure


def training_gains(
    predicted: Mapping[str, Any], simulated: Mapping[str, Mapping[str, Any]], limit: float
) -> Figure:
    """Gain during training: the theory's line, and markers for runs on two laws.

    ``predicted``: ``steps`` and ``gain`` of the theory; ``simulated``: curves of the laws
    ``theory`` and ``real``; ``limit``: gain of the best head for infinitely many normal tokens with
    the real covariance.
    """
    figure, axis = plt.subplots(figsize=(WIDTH * 0.85, 3.8))
    axis.plot(
        predicted["steps"], predicted["gain"], color=COLOURS["theory"], label="theory, no tokens"
    )
    kinds = {
        "theory": ("o", COLOURS["start"], "tokens of the theory's mixture"),
        "real": ("s", COLOURS["trained"], "real digits"),
    }
    for name, (marker, colour, label) in kinds.items():
        run = simulated[name]
        style = {"fmt": marker, "markersize": 5, "color": colour, "label": label}
        error_bars(axis, run["steps"], run["gain"], **style)
    axis.axhline(limit, color=COLOURS["theory"], linestyle=":", label="linear limit")
    axis.set(xlabel="step", ylabel="gain (loss at $W = 0$ less loss)", ylim=(-0.001, None))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def gain_ladder(runs: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Gain of training on each law, from top to bottom, as a multiple of the theory's prediction.

    ``runs``: by their names, the gains by law.
    """
    figure, axis = plt.subplots(figsize=(WIDTH * 0.85, 3.3))
    for k, (label, found) in enumerate(runs.items()):
        shift = 0.14 * (k - (len(runs) - 1) / 2)
        error_bars_across(
            axis, [found[name] for name in NAMES], [place + shift for place in range(len(NAMES))],
            fmt="os"[k % 2], color=(COLOURS["trained"], COLOURS["bayes"])[k % 2], label=label,
        )  # fmt: skip
    axis.axvline(1, color=COLOURS["theory"], label="theory")
    axis.set_yticks(range(len(NAMES)), list(NAMES.values()))
    axis.set(xlabel="gain / predicted gain", xlim=(0, None))
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def level_curves(
    times: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]]
) -> Figure:
    """Loss of each denoiser against the noise level, one panel a split.

    ``panels``: for each title the losses of the denoisers at the times; zeros are left out.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.9), sharey=True, squeeze=False)
    for axis, (title, losses) in zip(axes[0], panels.items(), strict=True):
        for name, values in losses.items():
            label, colour, style = _DENOISERS[name]
            axis.plot(times, values, style, color=colour, label=label, marker=".")
        axis.set(title=title, xlabel="$t$", yscale="log", ylim=(3e-3, 30))
    axes[0, 0].set_ylabel("loss per coordinate")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def rare_digit(
    steps: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    half_times: Mapping[str, Mapping[str, Sequence[float]]],
) -> Figure:
    """Share of the gain during training, and the steps to half of it (after F2C and F4).

    ``curves``: shares of ``rare``, ``common`` and ``others`` at the steps, see
    :meth:`gmmtf_book.c09_digits_as_tokens.summary.Study.shares`. ``half_times``: for each group on
    the horizontal axis the same three lists of steps, one entry a seed.
    """
    kinds = {
        "rare": ("the digit, rare", COLOURS["trained"], "s"),
        "common": ("the same digit, common", COLOURS["bayes"], "o"),
        "others": ("the other digits", COLOURS["start"], "^"),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8), width_ratios=(3, 2))
    for name, (label, colour, marker) in kinds.items():
        left.plot(steps, curves[name], color=colour, marker=marker, markersize=4, label=label)
        for place, group in enumerate(half_times.values()):
            spots = [place + 0.12 * (list(kinds).index(name) - 1)] * len(group[name])
            right.plot(spots, group[name], marker, color=colour, markersize=5, alpha=0.8)
    left.axhline(0.5, color="0.7", linewidth=0.8, zorder=0)
    left.set(xlabel="step", ylabel="share of the gain")
    right.set_xticks(range(len(half_times)), list(half_times))
    right.set(ylabel="steps to half", ylim=(0, None), xlim=(-0.5, len(half_times) - 0.5))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def spectra(variances: Mapping[str, Tensor], sigma: float) -> Figure:
    """Variance of tokens along the principal axes, for real and for generated ones.

    ``variances``: ``[d]``, of ``real``, ``fitted`` and ``finished``; ``sigma``: the standard
    deviation that the head assumes.
    """
    kinds = {
        "real": ("real tokens", COLOURS["theory"], "-"),
        "fitted": ("from the fitted mixture", COLOURS["bayes"], "--"),
        "finished": ("finished by the trained head", COLOURS["trained"], "-"),
    }
    figure, axis = plt.subplots(figsize=(WIDTH * 0.8, 3.2))
    for name, (label, colour, style) in kinds.items():
        values = variances[name]
        axis.plot(range(1, len(values) + 1), values.numpy(), style, color=colour, label=label)
    axis.axhline(sigma**2, color="0.6", linestyle=":", label=r"$\sigma^2$")
    axis.set(xlabel="principal axis", ylabel="variance", xscale="log", yscale="log")
    axis.xaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:.0f}")
    axis.legend()
    return figure


def components_needed(counts: Sequence[int], losses: Mapping[str, Sequence[float]]) -> Figure:
    """Loss of the fitted mixture's Bayes denoiser against the components for each digit."""
    figure, axis = plt.subplots(figsize=(WIDTH * 0.65, 3))
    for k, (label, values) in enumerate(losses.items()):
        axis.plot(counts, values, "os"[k % 2] + "-", color=PATTERN_COLOURS[k], label=label)
    axis.set(xlabel="components for each digit", ylabel="loss per coordinate")
    axis.set_xticks(counts)
    axis.legend()
    return figure
