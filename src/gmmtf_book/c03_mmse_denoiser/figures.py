"""Figures of the optimal denoisers, their risks, and the exact reverse process."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, error_bars, name_at, ticks_at
from gmmtf_book.c03_mmse_denoiser.reverse import Path


def risks_over_times(risks: pd.DataFrame, losses: pd.DataFrame) -> Figure:
    """Draw the risks of oracle, Bayes and linear filter (left), and Bayes minus oracle (right)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    at = risks.fraction[losses.index]
    kinds = {"linear": ("linear filter", "--", "s", 0.35, (5, 5)),
             "bayes": ("Bayes", "-", "o", 0.75, (7, 3)),
             "oracle": ("oracle", ":", "^", 0.65, (-7, -3))}  # fmt: skip
    for key, (label, style, marker, named, beside) in kinds.items():
        colour = COLOURS[key]
        left.semilogy(risks.fraction, risks[key], style, color=colour, lw=2, label=label)
        error_bars(left, at, losses[key], fmt=marker, ms=5, color=colour)
        row = (risks.fraction - named).abs().argmin()
        point = risks.fraction.iloc[row], risks[key].iloc[row]
        name_at(left, label, point, beside)
    shade = {"color": COLOURS["bayes"], "alpha": 0.15, "lw": 0}
    left.fill_between(risks.fraction, risks.oracle, risks.bayes, **shade)
    right.fill_between(risks.fraction, risks.gap, **shade)
    right.plot(risks.fraction, risks.gap, color=COLOURS["theory"], lw=2)
    left.set(xlabel="$t/T$", ylabel="risk per coordinate")
    right.set(xlabel="$t/T$", ylabel="Bayes minus oracle", ylim=(0, None))
    for ax in (left, right):
        ticks_at(ax.xaxis, (0, 0.25, 0.5, 0.75, 1))
    return figure


def label_collapse(kappas: Tensor, curve: Tensor, points: pd.DataFrame) -> Figure:
    """Show that the expected posterior of the true label depends on the margin alone."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    ax.plot(kappas, curve, color=COLOURS["theory"], lw=1.5, label=r"$A(\kappa)$")
    laws = points.groupby("law", sort=False)
    for (name, rows), colour, marker in zip(laws, PATTERN_COLOURS, "os^Dv", strict=False):
        (line,) = ax.plot(rows.margin, rows.posterior, marker, color=colour, label=name)
        line.set(markersize=7, fillstyle="none")
    ax.set(xlabel=r"label margin $\kappa$", ylabel="posterior of the true label", ylim=(0, 1.03))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def gaps_over_times(gaps: pd.DataFrame) -> Figure:
    """Draw the gap between Bayes and oracle risk over the times t/T for several mixtures."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    # Two lie on each other: thin dashes on a wide line.
    styles = (("-", 4), ("-", 4), ("-", 4), ("--", 1.5), ("-.", 1.5))
    laws = gaps.groupby("law", sort=False)
    colours = (*PATTERN_COLOURS[:3], *2 * (COLOURS["theory"],))
    for (name, rows), colour, (style, width) in zip(laws, colours, styles, strict=False):
        ax.plot(rows.fraction, rows.gap, style, color=colour, linewidth=width, label=name)
    ax.set(xlabel="$t/T$", ylabel="Bayes minus oracle risk", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def value_of_the_active_set(gaps: pd.DataFrame) -> Figure:
    """Compare decoders that know more or less about the active set, a panel for each N."""
    sizes = gaps.groupby("n_tokens")
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(WIDTH, 4.1), sharex=True, sharey=True, squeeze=False
    )
    decoders = gaps.columns[2:]
    for ax, (n, rows) in zip(axes[0], sizes, strict=True):
        for name, colour, marker in zip(decoders, PATTERN_COLOURS, "os^D", strict=False):
            label = name.replace("told S", "told $S$")
            style = {"marker": marker, "ms": 5, "color": colour, "label": label}
            error_bars(ax, rows.fraction, rows[name], **style)
        ax.set(title=f"$N = {n}$", xlabel="$t/T$")
    axes[0, 0].set(ylabel="risk above the oracle's", ylim=(0, None))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return figure


def reverse_paths(path: Path, patterns: Sequence[int]) -> Figure:
    """Follow one data point's tokens through the reverse process, a panel for each pattern."""
    figure, axes = plt.subplots(
        1, len(patterns), figsize=(WIDTH, 3.9), sharex=True, sharey=True, squeeze=False
    )
    units = path.law.means / path.law.means.norm(dim=1, keepdim=True)
    projections = torch.stack(path.states) @ units.T
    for panel, (pattern, ax) in enumerate(zip(patterns, axes[0], strict=True)):
        for token, label in enumerate(path.nearest[-1][0].tolist()):
            ends_here = label == pattern
            colour = PATTERN_COLOURS[panel] if ends_here else "0.7"
            line = projections[:, token, pattern]
            ax.plot(path.fractions, line, color=colour, lw=1, zorder=2 if ends_here else 1)
        ax.set(title=f"pattern {pattern + 1}", xlabel="$t/T$")
    axes[0, 0].set_ylabel(r"$\langle\hat\mu_u, x_t\rangle$")
    axes[0, 0].invert_xaxis()
    return figure


def recovered_law(frequencies: pd.DataFrame) -> Figure:
    """Compare pattern frequencies of generated tokens with the law's probabilities."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8))
    law = frequencies.drop_duplicates("pattern")
    ax.bar(law.pattern, law.probability, color="0.85", label=r"$\pi_u$")
    samplers = frequencies.groupby("sampler", sort=False)
    for (name, rows), shift, marker, colour in zip(
        samplers, (-0.15, 0.15), "os", PATTERN_COLOURS, strict=False
    ):
        style = {"fmt": marker, "ms": 6, "color": colour, "label": name}
        error_bars(ax, rows.pattern + shift, rows.frequency, **style)
    ax.set_xticks(law.pattern, [str(u + 1) for u in law.pattern])
    ax.set(xlabel="pattern $u$", ylabel="frequency")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
