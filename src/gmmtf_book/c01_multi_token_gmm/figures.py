"""Figures of the data law (chapter 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH


def tokens_in_plane(clouds: Mapping[str, tuple[Tensor, Tensor]], radius: float) -> Figure:
    """Scatter tokens in the plane of the first two patterns.

    Parameters
    ----------
    clouds
        For each panel's title, projections ``[n, 2]`` on the two unit patterns and labels ``[n]``.
    radius
        r; the patterns are marked at (r, 0) and (0, r).
    """
    figure, axes = plt.subplots(
        1, len(clouds), figsize=(WIDTH, 4.0), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, (plane, labels)) in zip(axes[0], clouds.items(), strict=True):
        others = labels >= 2
        groups = [("other patterns", others, "0.6")]
        groups += [(f"pattern {u + 1}", labels == u, PATTERN_COLOURS[u]) for u in range(2)]
        for name, chosen, colour in groups:
            ax.scatter(*plane[chosen].T, s=14, color=colour, label=name, rasterized=True)
        ax.plot([radius, 0], [0, radius], "k+", markersize=13, markeredgewidth=2)
        ax.set(title=title, aspect="equal", xlabel=r"$\langle\hat\mu_1, x\rangle$")
    axes[0, 0].set_ylabel(r"$\langle\hat\mu_2, x\rangle$")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, markerscale=1.8)
    return figure


def token_pattern_maps(maps: Mapping[str, Tensor]) -> Figure:
    """Draw maps of how much of each pattern each token holds.

    Parameters
    ----------
    maps
        For each title, projections ``[N, M]`` of a data point's tokens on the unit patterns.
    """
    figure, axes = plt.subplots(len(maps), 1, figsize=(WIDTH, 2.3 * len(maps)), squeeze=False)
    bound = max(float(values.abs().max()) for values in maps.values())
    for ax, (title, values) in zip(axes[:, 0], maps.items(), strict=True):
        image = ax.imshow(
            values.T, aspect="auto", cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest"
        )
        n_patterns = values.shape[1]
        ax.set(title=title, xlabel="token $n$", ylabel="pattern $u$")
        ax.set_yticks(range(n_patterns), [str(u + 1) for u in range(n_patterns)], fontsize="small")
        sns.despine(ax=ax, left=True, bottom=True)
    figure.colorbar(image, ax=axes[:, 0].tolist(), label=r"$\langle\hat\mu_u, x_0^n\rangle$")
    return figure


class DistinctCurve(NamedTuple):
    """Numbers of distinct patterns: closed form and draws at the same numbers of tokens."""

    expected: Sequence[float]
    drawn: Sequence[Estimate]


def distinct_patterns(n_tokens: Sequence[int], curves: Mapping[str, DistinctCurve]) -> Figure:
    """Draw the expected number of distinct patterns of a data point against its tokens."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.0))
    for (name, curve), colour in zip(curves.items(), PATTERN_COLOURS, strict=False):
        ax.plot(n_tokens, curve.expected, color=colour, label=name)
        ax.errorbar(
            n_tokens,
            [float(estimate) for estimate in curve.drawn],
            [2 * estimate.standard_error for estimate in curve.drawn],
            fmt="o",
            markersize=5,
            color=colour,
        )
    ax.set_xscale("log", base=2)
    ax.set(xlabel="number of tokens $N$", ylabel="distinct patterns", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def inner_products(
    samples: Mapping[int, Tensor],
    densities: Mapping[int, tuple[Tensor, Tensor]],
    coherence: Mapping[int, float],
    bound: Mapping[int, float],
) -> Figure:
    """Show how inner products of random directions shrink as the dimension grows.

    Parameters
    ----------
    samples
        For each dimension, inner products of pairs of random unit vectors.
    densities
        For each dimension, a grid and the exact density on it.
    coherence, bound
        For each dimension, the largest inner product found among M random directions, and the bound
        that holds with high probability.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for (dim, values), colour in zip(samples.items(), PATTERN_COLOURS, strict=False):
        left.hist(
            values,
            bins=60,
            range=(-1, 1),
            density=True,
            color=colour,
            alpha=0.45,
            linewidth=0,
            label=f"$d={dim}$",
        )
        left.plot(*densities[dim], color=colour)
    left.set(xlabel="inner product", ylabel="density", xlim=(-1, 1))
    left.legend(loc="upper left", fontsize="small", handlelength=1)
    dims = list(coherence)
    black = COLOURS["theory"]
    right.loglog(dims, list(bound.values()), "--", color=black, label="bound for the largest")
    right.loglog(
        dims, list(coherence.values()), "o", color=COLOURS["bayes"], label="largest of all pairs"
    )
    right.loglog(dims, [dim**-0.5 for dim in dims], ":", color=black, label=r"$1/\sqrt{d}$")
    right.set(xlabel="dimension $d$", ylabel="inner product")
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def label_errors(
    ratios: Tensor,
    pairwise: Tensor,
    exact: Tensor,
    union: Tensor,
    drawn: Mapping[int, tuple[Tensor, Tensor]],
) -> Figure:
    """Draw the probability that the nearest pattern is the wrong one, against r/σ.

    Parameters
    ----------
    ratios
        r/σ, ``[n]``; ``pairwise``, ``exact`` and ``union`` hold the error for two patterns, for all
        M, and the union bound.
    drawn
        For each dimension, ratios and the fractions of drawn tokens that were labelled wrongly.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    ax.semilogy(ratios, exact, color=COLOURS["theory"], label="all $M$ patterns, exact")
    ax.semilogy(ratios, union, "--", color=COLOURS["theory"], label="union bound")
    ax.semilogy(ratios, pairwise, ":", color=COLOURS["theory"], label="two patterns, exact")
    markers = "os^D"
    for (dim, (at, errors)), colour, marker in zip(
        drawn.items(), PATTERN_COLOURS, markers, strict=False
    ):
        ax.semilogy(
            at,
            errors,
            marker,
            color=colour,
            fillstyle="none",
            markersize=9,
            label=f"draws, $d={dim}$",
        )
    ax.set(xlabel=r"$r/\sigma$", ylabel="probability of a wrong label", ylim=(1e-4, 1.5))
    figure.legend(loc="outside lower center", ncols=2)
    return figure
