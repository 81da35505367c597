"""Figures of the forward process and of the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, name_at
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


def projected_densities(
    states: Mapping[int, Tensor], mixture: MultiTokenGMM, schedule: NoiseSchedule
) -> Figure:
    """Draw noisy tokens projected on pattern 1, drawn and exact, a row for each time.

    The part of the exact density that is due to tokens of pattern 1 is filled.
    """
    size = (WIDTH, 0.5 + 1.15 * len(states))
    figure, axes = plt.subplots(len(states), 1, figsize=size, sharex=True, squeeze=False)
    share, radius = float(mixture.probabilities[0]), float(mixture.means[0, 0])
    grid = torch.linspace(-4, radius + 2, 400, dtype=torch.float64)
    places = torch.linspace(-4, radius + 2, 100, dtype=torch.float64)
    weights = torch.tensor([share, 1 - share], dtype=torch.float64)
    for ax, (t, drawn) in zip(axes[:, 0], states.items(), strict=True):
        level = noise_level(mixture, schedule, torch.tensor(t))
        bumps = torch.stack([level.signal * radius, 0 * level.signal])
        parts = Normal(bumps, level.variance.sqrt())
        law = MixtureSameFamily(Categorical(weights), parts)
        own = share * parts.log_prob(places[:, None]).exp()[:, 0]
        ax.hist(drawn, bins=80, density=True, color="0.6", alpha=0.5, lw=0)
        ax.fill_between(places, own, color=PATTERN_COLOURS[0], alpha=0.8, lw=0)
        ax.plot(grid, law.log_prob(grid).exp(), color=COLOURS["theory"], lw=1.5)
        abar = float(schedule.alpha_bars[t])
        ax.set_title(rf"$t = {t}$, $\bar\alpha_t = {abar:.2f}$", loc="left")
        ax.set(yticks=[], xlim=(-4, radius + 2), ylim=(0, None))
        ax.spines.left.set_visible(False)
    first, half = axes[0, 0], axes[0, 0].get_ylim()[1] / 2
    name_at(first, "other patterns", (0, half), (20, 0))
    name_at(first, "pattern 1", (radius, half), (0, 0))
    axes[-1, 0].set_xlabel(r"projection on pattern 1, $\langle\hat\mu_1, x_t\rangle$")
    return figure


def schedules(
    schedules: Mapping[str, NoiseSchedule], threshold: float, wrong: pd.DataFrame
) -> Figure:
    """Compare schedules by their SNR beside the threshold, and by the wrong labels."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for (name, each), colour in zip(schedules.items(), PATTERN_COLOURS, strict=False):
        fractions = torch.arange(each.n_steps, dtype=torch.float64) / each.n_steps
        left.plot(fractions, each.snr.log(), color=colour, label=name)
        rows = wrong[wrong.schedule == name]
        right.plot(rows.fraction, rows.wrong, "o-", ms=4, color=colour)
    left.axhline(math.log(threshold), ls="--", color=COLOURS["theory"], label="threshold")
    left.set(xlabel="$t/T$", ylabel="log signal-to-noise ratio", ylim=(-13, 10))
    right.set(xlabel="$t/T$", ylabel="fraction of wrong labels", ylim=(0, 1))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def excess_estimates(walk: pd.DataFrame) -> Figure:
    """Show how precisely two estimators measure a small excess risk."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    ax.loglog(walk["size"], walk.exact, color=COLOURS["theory"], label="excess risk")
    estimators = ("loss minus Bayes risk", "excess risk")
    for name, colour, marker in zip(estimators, PATTERN_COLOURS, "os", strict=False):
        errors = [estimate.standard_error for estimate in walk[name]]
        label = f"standard error, {name}"
        ax.loglog(walk["size"], errors, f"{marker}--", color=colour, label=label)
    ax.set(xlabel=r"distance $\delta$ from the optimal denoiser", ylabel="per coordinate")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def errors_over_times(errors: pd.DataFrame) -> Figure:
    """Draw excess risk (left) and score-matching error (right) of denoisers over the times t/T."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.9), sharex=True)
    titles = {"excess": "excess risk", "score": "score-matching error"}
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        each = errors.groupby("denoiser", sort=False)
        for (name, rows), colour, marker in zip(each, PATTERN_COLOURS, "os^D", strict=False):
            label = str(name).replace("x_t", "$x_t$").replace("W = 0", "$W = 0$")
            values = rows[column]
            ax.semilogy(rows.fraction, values, f"{marker}-", color=colour, ms=5, label=label)
        ax.set(title=title, xlabel="$t/T$")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
