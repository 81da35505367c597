"""Figures of training runs: risks, the weight, attention maps, query-key products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.curve import Curve
from gmmtf.figures import (
    COLOURS,
    PATTERN_COLOURS,
    WIDTH,
    error_bars,
    legend_below,
    step_axis,
    ticks_at,
)


@dataclass(frozen=True)
class Panel:
    """A run, its prediction, its limit of many tokens and dimensions, and risks to compare with."""

    simulated: Curve
    predicted: Curve
    limit: Curve
    bayes: float
    oracle: float
    linear: float


def loss_curves(panels: Mapping[str, Panel]) -> Figure:
    """Risk of the head against the step, by title, beside those of three other denoisers (F2A).

    The risk is drawn as the Bayes risk plus the excess risk, which equals the test loss in
    expectation and has less noise.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.5), squeeze=False)
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        for label, curve, colour, line in (
            ("predicted", panel.predicted, "theory", "-"),
            ("simulated", panel.simulated, "trained", "o"),
        ):
            risk = [panel.bayes + excess.value for excess in curve.excess]
            axis.plot(curve.steps, risk, line, color=COLOURS[colour], linewidth=1.2,
                      markersize=5, label=label)  # fmt: skip
        axis.axhline(panel.linear, color=COLOURS["linear"], linestyle="-.", label="linear filter")
        axis.axhline(panel.bayes, color=COLOURS["bayes"], linestyle="--", label="Bayes")
        axis.axhline(panel.oracle, color=COLOURS["oracle"], linestyle=":", label="oracle")
        axis.set(title=title, ylim=(0, None))
        step_axis(axis, panel.predicted.steps[-1])
    axes[0, 0].set_ylabel("risk per coordinate")
    legend_below(figure, axes[0, 0], 3)
    return figure


def excess_curves(panels: Mapping[str, Panel]) -> Figure:
    """Excess risk and score-matching error against the step, by title, on logarithmic axes (C5).

    Beside them the excess in the limit, and that of the linear filter.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.5), squeeze=False)
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        found, expected = panel.simulated, panel.predicted
        for name, risks, colour, marker, theory, label in (
            ("score-matching error", found.score, PATTERN_COLOURS[4], "s", expected.score, None),
            ("excess risk", found.excess, COLOURS["trained"], "o", expected.excess, "predicted"),
        ):
            error_bars(axis, found.steps, risks, fmt=marker, markersize=5,
                       color=colour, label=f"{name}, simulated")  # fmt: skip
            axis.plot(expected.steps, [risk.value for risk in theory], color=COLOURS["theory"],
                      linewidth=1.2, label=label)  # fmt: skip
        axis.plot(panel.limit.steps, [risk.value for risk in panel.limit.excess], "--",
                  color=COLOURS["theory"], linewidth=1.2, label="in the limit")  # fmt: skip
        axis.axhline(panel.linear - panel.bayes, color=COLOURS["linear"], linestyle="-.",
                     label="linear filter")  # fmt: skip
        axis.set(title=title, yscale="log")
        step_axis(axis, expected.steps[-1])
    axes[0, 0].set_ylabel("per coordinate")
    legend_below(figure, axes[0, 0], 3)
    return figure


def learned_weight(
    products: Tensor, n_patterns: int, steps: Sequence[int], norms: Mapping[str, Tensor]
) -> Figure:
    """The trained W in coordinates, and what lies inside and outside the invariant family.

    ``products``: r²W ``[n, n]`` in an orthonormal basis that begins with the unit patterns, a line
    after their block. ``norms``: of the parts of r²W at the steps, by name. A name that begins with
    "noise" is a prediction and drawn as a line, the others with markers.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    top = float(products.abs().max())
    image = left.imshow(products.numpy(), cmap="RdBu_r", vmin=-top, vmax=top)
    for place in (left.axhline, left.axvline):
        place(n_patterns - 0.5, color="0.3", linewidth=0.8)
    left.set(xticks=[], yticks=[], xlabel="key direction", ylabel="query direction")
    left.set_title("patterns | complement", fontsize="medium")
    figure.colorbar(image, ax=left, label=r"$r^2\,W$", shrink=0.8)
    looks = zip(("same", "different", "trained"), "osD", strict=True)
    for name, values in norms.items():
        if name.startswith("noise"):
            right.plot(steps, values, color=COLOURS["theory"], linewidth=1.2, label=name)
        else:
            colour, marker = next(looks)
            right.plot(steps, values, marker, markersize=4, color=COLOURS[colour], label=name)
    right.set(yscale="log", ylabel=r"norm of the part of $r^2\,W$")
    step_axis(right, steps[-1])
    right.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def attention_maps(maps: Mapping[str, Tensor], labels: Tensor) -> Figure:
    """Attention matrices ``[N, N]`` of one data point, by title, as multiples of uniform attention.

    On one logarithmic scale from a sixteenth to 16 times, with uniform attention, 1, in its middle
    (F1). Tokens are ordered by their patterns, ``labels``, integers ``[N]``.
    """
    order = labels.argsort(stable=True)
    edges = labels.bincount().cumsum(0)[:-1].tolist()
    figure, axes = plt.subplots(1, len(maps), figsize=(WIDTH, 3.6), squeeze=False)
    for axis, (title, matrix) in zip(axes[0], maps.items(), strict=True):
        multiple = len(labels) * matrix[order][:, order].numpy()
        image = axis.imshow(multiple, cmap="RdBu_r", norm=LogNorm(1 / 16, 16))
        for edge in edges:
            axis.axhline(edge - 0.5, color="0.3", linewidth=0.4)
            axis.axvline(edge - 0.5, color="0.3", linewidth=0.4)
        axis.set(title=title, xlabel="key token", xticks=[], yticks=[])
    axes[0, 0].set_ylabel("query token")
    bar = figure.colorbar(image, ax=axes[0], label="attention / uniform", shrink=0.8)
    ticks_at(bar.ax.yaxis, [1 / 16, 1 / 4, 1, 4, 16])
    return figure


def product_curves(
    rows: Mapping[str, tuple[Curve, Curve]], probabilities: Sequence[float], queries: Sequence[int]
) -> Figure:
    """Query-key products of the same and of different patterns against the step (F4).

    ``rows``: by title, one row of panels each, the simulated and the predicted curve;
    ``probabilities``: π of the patterns; ``queries``: the patterns to show, one column each.
    """
    size = (WIDTH, 0.6 + 2.6 * len(rows))
    figure, axes = plt.subplots(len(rows), len(queries), figsize=size, sharey="row", squeeze=False)
    for line, (title, (simulated, predicted)) in zip(axes, rows.items(), strict=True):
        for axis, u in zip(line, queries, strict=True):
            _product_panel(axis, simulated, predicted, u)
            axis.set_title(rf"{title}, query $\pi$ = {probabilities[u]:.3g}")
        line[0].set_ylabel(r"$\mu_u^{\!\top} W \mu_v$")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    legend_below(figure, axes[0, 0])
    return figure


def _product_panel(axis: Axes, simulated: Curve, predicted: Curve, u: int) -> None:
    named = set()
    for v in range(simulated.products.shape[-1]):
        kind, marker = ("same", "o") if v == u else ("different", "s")
        label = None if kind in named else f"{kind} pattern, simulated"
        named.add(kind)
        axis.plot(simulated.steps, simulated.products[:, u, v], marker, markersize=4,
                  color=COLOURS[kind], label=label)  # fmt: skip
        axis.plot(predicted.steps, predicted.products[:, u, v], color=COLOURS["theory"],
                  linewidth=1.2, label="predicted" if v == 0 else None)  # fmt: skip
    axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
