"""Figures of training runs: risks, attention maps, query-key products."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.plotting.style import COLOURS, WIDTH
from gmmtf.training import Record


def risk_curves(records: Sequence[Record], *, bayes: float, oracle: float) -> Figure:
    """Risk, and excess risk with score-matching error, against the training step (F2A).

    Parameters
    ----------
    records
        Records of a training run.
    bayes, oracle
        Risks of the two estimators. The head's risk is drawn as ``bayes`` plus its excess risk,
        which equals the test loss in expectation and has less noise.
    """
    steps = [record.step for record in records]
    excess = np.array([record.excess_risk.value for record in records])
    score = np.array([record.score_error.value for record in records])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.1))
    left.plot(steps, bayes + excess, color=COLOURS["trained"], label="trained head")
    left.axhline(bayes, color=COLOURS["bayes"], linestyle="--", label="Bayes")
    left.axhline(oracle, color=COLOURS["oracle"], linestyle=":", label="oracle")
    left.set(xlabel="step", ylabel="risk per coordinate", ylim=(0, None))
    left.legend()
    right.plot(steps, score, color=COLOURS["different"], label="score-matching error")
    right.plot(steps, excess, color=COLOURS["trained"], label="excess risk")
    right.set(xlabel="step", ylabel="per coordinate", yscale="log")
    right.legend()
    return figure


def attention_maps(maps: dict[str, Tensor], labels: Tensor) -> Figure:
    """Attention matrices of one data point, tokens ordered by their pattern (F1).

    Parameters
    ----------
    maps
        Title and matrix ``[N, N]`` of each panel; all share one colour scale.
    labels
        Patterns of the tokens, integers ``[N]``.
    """
    order = labels.argsort(stable=True)
    edges = labels.bincount().cumsum(0)[:-1].tolist()
    top = max(float(matrix.max()) for matrix in maps.values())
    figure, axes = plt.subplots(1, len(maps), figsize=(WIDTH, 3.6), squeeze=False)
    for axis, (title, matrix) in zip(axes[0], maps.items(), strict=True):
        image = axis.imshow(
            matrix[order][:, order].numpy(), cmap="viridis", vmin=0, vmax=top, aspect="equal"
        )
        for edge in edges:
            axis.axhline(edge - 0.5, color="white", linewidth=0.4)
            axis.axvline(edge - 0.5, color="white", linewidth=0.4)
        axis.set(title=title, xlabel="key token", xticks=[], yticks=[])
    axes[0, 0].set_ylabel("query token")
    figure.colorbar(image, ax=axes[0], label="attention", shrink=0.8)
    return figure


def product_curves(
    steps: Sequence[int], products: Tensor, probabilities: Tensor, queries: Sequence[int]
) -> Figure:
    """Query-key products of the same and of different patterns against the step (F4).

    Parameters
    ----------
    steps
        Training steps, S of them.
    products
        μ_uᵀ W μ_v at each step, ``[S, M, M]``.
    probabilities
        π, ``[M]``, for the titles.
    queries
        The patterns u to show, one panel each.
    """
    figure, axes = plt.subplots(1, len(queries), figsize=(WIDTH, 3.1), sharey=True, squeeze=False)
    for axis, u in zip(axes[0], queries, strict=True):
        _product_panel(axis, steps, products[:, u], u)
        axis.set_title(rf"query pattern with $\pi$ = {float(probabilities[u]):.3g}")
    axes[0, 0].set_ylabel(r"$\mu_u^{\!\top} W \mu_v$")
    axes[0, -1].legend(loc="center right")
    return figure


def _product_panel(axis: Axes, steps: Sequence[int], rows: Tensor, u: int) -> None:
    for v in range(rows.shape[1]):
        kind = "same" if v == u else "different"
        first_other = 1 if u == 0 else 0
        label = f"{kind} pattern" if v in (u, first_other) else None
        axis.plot(steps, rows[:, v].numpy(), color=COLOURS[kind], label=label)
    axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    axis.set_xlabel("step")
