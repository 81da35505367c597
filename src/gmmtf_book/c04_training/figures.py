"""Figures of training runs: risks, the weight, attention maps, query-key products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from gmmtf.figures import COLOURS, WIDTH


def loss_curves(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Risk of the head against the step, with the two risks that bound it (F2A).

    Parameters
    ----------
    panels
        By title: ``simulated`` and ``predicted``, curves of :mod:`gmmtf_book.c04_training.descent`;
        ``bayes`` and ``oracle``, risks. The risk is drawn as ``bayes`` plus the excess risk, which
        equals the test loss in expectation and has less noise.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.5), squeeze=False)
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        for kind, colour, line in (("predicted", "theory", "-"), ("simulated", "trained", "o")):
            risk = panel["bayes"] + _values(panel[kind], "excess")
            axis.plot(
                panel[kind]["step"],
                risk,
                line,
                color=COLOURS[colour],
                linewidth=1.2,
                markersize=5,
                label=kind,
            )
        axis.axhline(panel["bayes"], color=COLOURS["bayes"], linestyle="--", label="Bayes")
        axis.axhline(panel["oracle"], color=COLOURS["oracle"], linestyle=":", label="oracle")
        axis.set(title=title, ylim=(0, None))
        _step_axis(axis, panel["predicted"]["step"][-1])
    axes[0, 0].set_ylabel("risk per coordinate")
    _legend_below(figure, axes[0, 0])
    return figure


def excess_curves(panels: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Excess risk and score-matching error against the step, on logarithmic axes (F2A, C5).

    Parameters
    ----------
    panels
        By title: ``simulated`` and ``predicted``, curves of :mod:`gmmtf_book.c04_training.descent`.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.5), squeeze=False)
    kinds = {
        "score": ("different", "s", "score-matching error"),
        "excess": ("trained", "o", "excess risk"),
    }
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        for risk, (colour, marker, name) in kinds.items():
            simulated, predicted = panel["simulated"], panel["predicted"]
            errors = [2 * error for _, error in simulated[risk]]
            axis.errorbar(
                simulated["step"],
                _values(simulated, risk),
                errors,
                fmt=marker,
                markersize=5,
                color=COLOURS[colour],
                label=f"{name}, simulated",
            )
            label = "predicted" if risk == "excess" else None
            axis.plot(
                predicted["step"],
                _values(predicted, risk),
                color=COLOURS["theory"],
                linewidth=1.2,
                label=label,
            )
        axis.set(title=title, yscale="log")
        _step_axis(axis, panel["predicted"]["step"][-1])
    axes[0, 0].set_ylabel("per coordinate")
    _legend_below(figure, axes[0, 0])
    return figure


def _values(curve: Mapping[str, Any], risk: str) -> np.ndarray:
    return np.array([value for value, _ in curve[risk]])


def _step_axis(axis: Axes, last: int) -> None:
    """Steps on a logarithmic axis that begins at 0, as most happens in the first few."""
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks = [0, *(10**k for k in range(6) if 10**k <= last)]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set(xlabel="step", xlim=(-0.15, 1.3 * last))


def _legend_below(figure: Figure, axis: Axes) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def learned_weight(
    products: Tensor, n_patterns: int, norms: Mapping[str, tuple[Sequence[int], Sequence[float]]]
) -> Figure:
    """The trained W in coordinates, and what lies inside and outside the invariant family.

    Parameters
    ----------
    products
        r²W in an orthonormal basis that begins with the unit patterns, ``[n, n]``; n may be
        smaller than d.
    n_patterns
        M: a line is drawn after the pattern block.
    norms
        By name: steps and norms of the parts of r²W. A name that begins with "noise" is a
        prediction and drawn as a line, the others with markers.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    top = float(products.abs().max())
    image = left.imshow(products.numpy(), cmap="RdBu_r", vmin=-top, vmax=top)
    for place in (left.axhline, left.axvline):
        place(n_patterns - 0.5, color="0.3", linewidth=0.8)
    left.set(xticks=[], yticks=[], xlabel="key direction", ylabel="query direction")
    left.set_title("patterns | complement", fontsize="medium")
    figure.colorbar(image, ax=left, label=r"$r^2\,W$", shrink=0.8)
    colours = (COLOURS["same"], COLOURS["different"], COLOURS["trained"])
    markers = iter(zip(colours, "osD", strict=True))
    for name, (steps, values) in norms.items():
        if name.startswith("noise"):
            right.plot(steps, values, color=COLOURS["theory"], linewidth=1.2, label=name)
        else:
            colour, marker = next(markers)
            right.plot(steps, values, marker, markersize=4, color=colour, label=name)
    right.set(yscale="log", ylabel=r"norm of the part of $r^2\,W$")
    _step_axis(right, max(steps[-1] for steps, _ in norms.values()))
    right.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
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
    rows: Mapping[str, Mapping[str, Any]], probabilities: Sequence[float], queries: Sequence[int]
) -> Figure:
    """Query-key products of the same and of different patterns against the step (F4).

    Parameters
    ----------
    rows
        By title, one row of panels each: ``simulated`` and ``predicted``, curves of
        :mod:`gmmtf_book.c04_training.descent`.
    probabilities
        π of the patterns, for the titles.
    queries
        The patterns u to show, one column each.
    """
    figure, axes = plt.subplots(
        len(rows),
        len(queries),
        figsize=(WIDTH, 0.6 + 2.6 * len(rows)),
        sharey="row",
        squeeze=False,
    )
    for line, (title, row) in zip(axes, rows.items(), strict=True):
        for axis, u in zip(line, queries, strict=True):
            _product_panel(axis, row, u)
            axis.set_title(rf"{title}, query $\pi$ = {probabilities[u]:.3g}")
        line[0].set_ylabel(r"$\mu_u^{\!\top} W \mu_v$")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    _legend_below(figure, axes[0, 0])
    return figure


def _product_panel(axis: Axes, row: Mapping[str, Any], u: int) -> None:
    simulated, predicted = row["simulated"], row["predicted"]
    found, expected = (np.array(run["products"])[:, u] for run in (simulated, predicted))
    named = set()
    for v in range(found.shape[1]):
        kind = "same" if v == u else "different"
        label = None if kind in named else f"{kind} pattern, simulated"
        named.add(kind)
        marker = "o" if kind == "same" else "s"
        axis.plot(
            simulated["step"], found[:, v], marker, markersize=4, color=COLOURS[kind], label=label
        )
        theory = "predicted" if v == 0 else None
        axis.plot(
            predicted["step"], expected[:, v], color=COLOURS["theory"], linewidth=1.2, label=theory
        )
    axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
