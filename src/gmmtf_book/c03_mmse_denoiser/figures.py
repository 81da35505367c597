"""Figures of the optimal denoisers, their risks, and the exact reverse process (chapter 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH


def risks_over_times(
    fractions: Sequence[float],
    oracle: Sequence[float],
    bayes: Sequence[float],
    drawn: Mapping[str, tuple[Sequence[float], Sequence[Estimate]]],
) -> Figure:
    """Draw the risks of the oracle and of the Bayes estimator (left), and their gap (right).

    Parameters
    ----------
    fractions
        Times t/T; ``oracle`` and ``bayes`` hold the risks at them.
    drawn
        For "oracle" and "bayes", times t/T and losses measured on draws at them.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.0))
    names = {"bayes": "Bayes estimator", "oracle": "oracle"}
    for key, values in (("bayes", bayes), ("oracle", oracle)):
        left.semilogy(fractions, values, color=COLOURS[key], label=names[key])
        at, losses = drawn[key]
        left.errorbar(
            at,
            [float(loss) for loss in losses],
            [2 * loss.standard_error for loss in losses],
            fmt="o",
            ms=5,
            color=COLOURS[key],
        )
    gap = [b - o for b, o in zip(bayes, oracle, strict=True)]
    right.plot(fractions, gap, color=COLOURS["theory"])
    left.set(xlabel="$t/T$", ylabel="risk per coordinate")
    right.set(xlabel="$t/T$", title="gap", ylim=(0, None))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def label_collapse(
    curve: tuple[Tensor, Tensor], points: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> Figure:
    """Show that the expected posterior of the true label depends on the margin alone.

    Parameters
    ----------
    curve
        Margins κ and the expectation A(κ) at them.
    points
        For each mixture, margins and E p(z | X) at them.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    ax.plot(*curve, color=COLOURS["theory"], lw=1.5, label=r"$A(\kappa)$")
    for (name, (margins, values)), colour, marker in zip(
        points.items(), PATTERN_COLOURS, "os^Dv", strict=False
    ):
        ax.plot(margins, values, marker, ms=7, fillstyle="none", color=colour, label=name)
    ax.set(xlabel=r"label margin $\kappa$", ylabel="posterior of the true label", ylim=(0, 1.03))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def gaps_over_times(fractions: Sequence[float], gaps: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the gap between Bayes and oracle risk over the times t/T for several mixtures."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.4))
    for (name, values), colour, style in zip(
        gaps.items(), PATTERN_COLOURS, ("-", "-", "-", "--", "--"), strict=False
    ):
        ax.plot(fractions, values, style, color=colour, label=name)
    ax.set(xlabel="$t/T$", ylabel="Bayes minus oracle risk", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


class Knowledge(NamedTuple):
    """How one decoder does: times t/T and the risk above the oracle's at them."""

    fractions: Sequence[float]
    gaps: Sequence[Estimate]


def value_of_the_active_set(panels: Mapping[str, Mapping[str, Knowledge]]) -> Figure:
    """Compare decoders that know more or less about the active set, a panel for each N."""
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 4.1), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, decoders) in zip(axes[0], panels.items(), strict=True):
        for (name, known), colour, marker in zip(
            decoders.items(), PATTERN_COLOURS, "os^D", strict=False
        ):
            ax.errorbar(
                known.fractions,
                [float(gap) for gap in known.gaps],
                [2 * gap.standard_error for gap in known.gaps],
                marker=marker,
                ms=5,
                color=colour,
                label=name,
            )
        ax.set(title=title, xlabel="$t/T$")
    axes[0, 0].set(ylabel="risk above the oracle's", ylim=(0, None))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return figure


def reverse_paths(
    times: Sequence[float], paths: Tensor, labels: Tensor, patterns: Sequence[int]
) -> Figure:
    """Follow the tokens of one data point through the reverse process, a panel for each pattern.

    Parameters
    ----------
    times
        Times t/T of the states, falling.
    paths
        Projections on the unit vectors of ``patterns``, ``[states, tokens, panels]``.
    labels
        Pattern nearest to each token at the end, ``[tokens]``.
    patterns
        The pattern of each panel, counted from 0.
    """
    figure, axes = plt.subplots(
        1, len(patterns), figsize=(WIDTH, 3.9), sharex=True, sharey=True, squeeze=False
    )
    for panel, (pattern, ax) in enumerate(zip(patterns, axes[0], strict=True)):
        for token, label in enumerate(labels.tolist()):
            highlighted = label == pattern
            colour = PATTERN_COLOURS[panel] if highlighted else "0.7"
            ax.plot(
                times, paths[:, token, panel], color=colour, lw=1, zorder=2 if highlighted else 1
            )
        ax.set(title=f"pattern {pattern + 1}", xlabel="$t/T$")
    axes[0, 0].set_ylabel(r"$\langle\hat\mu_u, x_t\rangle$")
    axes[0, 0].invert_xaxis()
    return figure


def recovered_law(probabilities: Tensor, frequencies: Mapping[str, Sequence[Estimate]]) -> Figure:
    """Compare pattern frequencies of generated tokens with the law's probabilities.

    Parameters
    ----------
    probabilities
        π, ``[M]``.
    frequencies
        For each sampler, the frequency of each pattern.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8))
    positions = list(range(len(probabilities)))
    ax.bar(positions, probabilities, color="0.85", label=r"$\pi_u$")
    for shift, (name, values), marker, colour in zip(
        (-0.15, 0.15), frequencies.items(), "os", PATTERN_COLOURS, strict=False
    ):
        ax.errorbar(
            [position + shift for position in positions],
            [float(value) for value in values],
            [2 * value.standard_error for value in values],
            fmt=marker,
            ms=6,
            color=colour,
            label=name,
        )
    ax.set_xticks(positions, [str(position + 1) for position in positions])
    ax.set(xlabel="pattern $u$", ylabel="frequency")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
