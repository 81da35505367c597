"""Figures of the data law."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, error_bars
from gmmtf_book.c01_multi_token_gmm.run import nearest_error


def tokens_in_plane(clouds: Mapping[str, tuple[Tensor, Tensor]], radius: float) -> Figure:
    """Scatter tokens in the plane of the first two patterns, a panel for each title.

    ``clouds`` holds projections ``[n, M]`` on the unit patterns and labels ``[n]``.
    """
    figure, axes = plt.subplots(
        1, len(clouds), figsize=(WIDTH, 4.0), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, (projections, labels)) in zip(axes[0], clouds.items(), strict=True):
        groups = [("other patterns", labels >= 2, "0.6")]
        groups += [(f"pattern {u + 1}", labels == u, PATTERN_COLOURS[u]) for u in range(2)]
        for name, chosen, colour in groups:
            plane = projections[chosen, :2]
            ax.scatter(*plane.T, s=14, color=colour, label=name, rasterized=True)
        ax.plot([radius, 0], [0, radius], "k+", markersize=13, markeredgewidth=2)
        ax.set(title=title, aspect="equal", xlabel=r"$\langle\hat\mu_1, x\rangle$")
    axes[0, 0].set_ylabel(r"$\langle\hat\mu_2, x\rangle$")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, markerscale=1.8)
    return figure


def token_pattern_maps(maps: Mapping[str, Tensor]) -> Figure:
    """Map how much of each pattern each token holds; projections ``[N, M]`` for each title."""
    figure, axes = plt.subplots(len(maps), 1, figsize=(WIDTH, 2.3 * len(maps)), squeeze=False)
    bound = max(float(values.abs().max()) for values in maps.values())
    for ax, (title, values) in zip(axes[:, 0], maps.items(), strict=True):
        scale = {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
        image = ax.imshow(values.T.numpy(), aspect="auto", interpolation="nearest", **scale)
        n_patterns = values.shape[1]
        ax.set(title=title, xlabel="token $n$", ylabel="pattern $u$")
        ax.set_yticks(range(n_patterns), [str(u + 1) for u in range(n_patterns)], fontsize="small")
        sns.despine(ax=ax, left=True, bottom=True)
    figure.colorbar(image, ax=axes[:, 0].tolist(), label=r"$\langle\hat\mu_u, x_0^n\rangle$")
    return figure


def distinct_patterns(counts: pd.DataFrame) -> Figure:
    """Draw the expected number of distinct patterns of a data point against its tokens."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.0))
    laws = counts.groupby("law", sort=False)
    for (name, rows), colour in zip(laws, PATTERN_COLOURS, strict=False):
        ax.plot(rows.n_tokens, rows.expected, color=colour, label=name)
        error_bars(ax, rows.n_tokens, rows.drawn, fmt="o", markersize=5, color=colour)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="number of tokens $N$", ylabel="distinct patterns", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def inner_products(pairs: Mapping[int, Tensor], coherence: pd.DataFrame) -> Figure:
    """Show how inner products of random directions shrink as the dimension grows."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    bars = {"bins": 60, "range": (-1, 1), "density": True, "alpha": 0.45, "linewidth": 0}
    grid = torch.linspace(-1, 1, 801, dtype=torch.float64)
    for (dim, values), colour in zip(pairs.items(), PATTERN_COLOURS, strict=False):
        left.hist(values, color=colour, label=f"$d={dim}$", **bars)
        density = (1 - grid**2) ** ((dim - 3) / 2)
        left.plot(grid, density / torch.trapezoid(density, grid), color=colour)
    left.set(xlabel="inner product", ylabel="density", xlim=(-1, 1))
    left.legend(loc="upper left", fontsize="small", handlelength=1)
    dims, black, blue = coherence.dim, COLOURS["theory"], COLOURS["bayes"]
    right.loglog(dims, coherence.bound, "--", color=black, label="bound for the largest")
    right.loglog(dims, coherence.largest, "o", color=blue, label="largest of all pairs")
    right.loglog(dims, dims**-0.5, ":", color=black, label=r"$1/\sqrt{d}$")
    right.set(xlabel="dimension $d$", ylabel="inner product")
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def label_errors(errors: pd.DataFrame, n_patterns: int) -> Figure:
    """Draw the probability that the nearest pattern is the wrong one, against r/σ."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    ratios, black = torch.linspace(0.2, 6, 100, dtype=torch.float64), COLOURS["theory"]
    pairwise = torch.special.ndtr(-ratios / math.sqrt(2))
    union = ((n_patterns - 1) * pairwise).clamp(max=1)
    exact = nearest_error(ratios, n_patterns)
    ax.semilogy(ratios, exact, color=black, label="all $M$ patterns, exact")
    ax.semilogy(ratios, union, "--", color=black, label="union bound")
    ax.semilogy(ratios, pairwise, ":", color=black, label="two patterns, exact")
    dims = errors.groupby("dim")
    for (dim, rows), colour, marker in zip(dims, PATTERN_COLOURS, "os^D", strict=False):
        style = {"fillstyle": "none", "markersize": 9, "label": f"draws, $d={dim}$"}
        ax.semilogy(rows.ratio, rows.drawn.astype(float), marker, color=colour, **style)
    ax.set(xlabel=r"$r/\sigma$", ylabel="probability of a wrong label", ylim=(1e-4, 1.5))
    figure.legend(loc="outside lower center", ncols=2)
    return figure
