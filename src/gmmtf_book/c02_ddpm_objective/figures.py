"""Figures of the forward process and of the objective (chapter 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH


class Projection(NamedTuple):
    """Drawn noisy tokens projected on a pattern, and the exact density on a grid."""

    drawn: Tensor
    grid: Tensor
    density: Tensor


def projected_densities(panels: Mapping[str, Projection]) -> Figure:
    """Draw histograms of noisy tokens projected on one pattern, a panel for each time.

    Parameters
    ----------
    panels
        For each panel's title, the draws and the density.
    """
    n_rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(n_rows, 2, figsize=(WIDTH, 2.6 * n_rows), sharex=True)
    for ax, (title, panel) in zip(axes.flat, panels.items(), strict=False):
        ax.hist(panel.drawn, bins=80, density=True, color=PATTERN_COLOURS[0], alpha=0.5, lw=0)
        ax.plot(panel.grid, panel.density, color=COLOURS["theory"], lw=1.3)
        ax.set(title=title, yticks=[])
        ax.spines.left.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel(r"$\langle\hat\mu_1, x_t\rangle$")
    return figure


class ScheduleCurves(NamedTuple):
    """What a schedule does over its times: signal fraction and share of wrong labels."""

    alpha_bars: Tensor
    log_snr: Tensor
    times: Sequence[int]
    wrong: Sequence[float]


def schedules(curves: Mapping[str, ScheduleCurves], threshold: float) -> Figure:
    """Compare schedules by their log-SNR, and by how many nearest-pattern labels are wrong.

    Parameters
    ----------
    curves
        The curves of each schedule.
    threshold
        Log-SNR at which two patterns are confused with a chosen probability.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for (name, curve), colour in zip(curves.items(), PATTERN_COLOURS, strict=False):
        n_steps = len(curve.log_snr)
        left.plot([t / n_steps for t in range(n_steps)], curve.log_snr, color=colour, label=name)
        right.plot([t / n_steps for t in curve.times], curve.wrong, "o-", ms=4, color=colour)
    left.axhline(threshold, ls="--", color=COLOURS["theory"], label="threshold")
    left.set(xlabel="$t/T$", ylabel="log signal-to-noise ratio", ylim=(-13, 10))
    right.set(xlabel="$t/T$", ylabel="fraction of wrong labels", ylim=(0, 1))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def excess_estimates(
    sizes: Sequence[float], exact: Sequence[float], estimators: Mapping[str, Sequence[Estimate]]
) -> Figure:
    """Show how precisely two estimators measure a small excess risk.

    Parameters
    ----------
    sizes
        How far the denoisers are from the optimum.
    exact
        Their excess risks.
    estimators
        For each estimator, its estimates at these sizes.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    ax.loglog(sizes, exact, color=COLOURS["theory"], label="excess risk")
    for (name, estimates), colour, marker in zip(
        estimators.items(), PATTERN_COLOURS, "osD", strict=False
    ):
        errors = [estimate.standard_error for estimate in estimates]
        ax.loglog(sizes, errors, f"{marker}--", color=colour, label=f"standard error, {name}")
    ax.set(xlabel="distance $s$ from the optimal denoiser", ylabel="per coordinate")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def errors_over_times(
    fractions: Sequence[float],
    excess: Mapping[str, Sequence[float]],
    score: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw excess risk (left) and score-matching error (right) of denoisers over the times t/T."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.9), sharex=True)
    for ax, data, title in zip(
        axes, (excess, score), ("excess risk", "score-matching error"), strict=True
    ):
        for (name, values), colour, marker in zip(
            data.items(), PATTERN_COLOURS, "os^D", strict=False
        ):
            ax.semilogy(fractions, values, f"{marker}-", color=colour, ms=5, label=name)
        ax.set(title=title, xlabel="$t/T$")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure
