"""Pictures of one query and the cloud of tokens that it sees (chapter 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from gmmtf.figures import COLOURS, WIDTH
from gmmtf_book.c07_effective_tokens.parts import TokenCloud


def weighted_cloud(cloud: TokenCloud) -> Figure:
    """Draw tokens with areas in proportion to attention, and the laws that this weighting makes."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 4.4), sharex=True, sharey=True, subplot_kw={"aspect": "equal"}
    )
    x, y = cloud.tokens.T.tolist()
    share = (cloud.attention * len(cloud.attention)).tolist()
    areas = [14 * s for s in share]
    colour = COLOURS["trained"]
    left.scatter(x, y, areas, color=colour, alpha=0.35, linewidths=0, rasterized=True)
    left.plot(x, y, ".", color="0.6", markersize=1.5, zorder=0, rasterized=True)
    left.plot(*cloud.average.tolist(), "D", color=COLOURS["trained"], label="attention average")
    left.set_title("tokens, area = attention")
    right.set_title(r"laws under the weights $w^j$")
    styles = (("0.6", ":"), (COLOURS["theory"], "-"), (COLOURS["different"], "--"))
    for j, (colour, line) in enumerate(styles):
        _law(right, cloud, j, colour, line)
    right.plot(*cloud.limit.tolist(), "x", color=COLOURS["theory"], markersize=9, mew=2.5)
    right.annotate(r"$y_\infty$", cloud.limit.tolist(), (8, -5), textcoords="offset points")
    for axis in (left, right):
        axis.plot(*cloud.query.tolist(), "*", color=COLOURS["same"], markersize=13, label="query")
        axis.plot(*cloud.centres.T.tolist(), "+", color="0.3", markersize=10, label="patterns")
        axis.set(xlabel="along pattern 1")
    left.set(ylabel="along pattern 2")
    handles, labels = left.get_legend_handles_labels()
    more, names = right.get_legend_handles_labels()
    keep = [k for k, name in enumerate(names) if name.startswith("$j")]
    handles, labels = handles + [more[k] for k in keep], labels + [names[k] for k in keep]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _law(axis: Axes, cloud: TokenCloud, j: int, colour: str, line: str) -> None:
    """Circles of one standard deviation about the moved means, as opaque as they are probable."""
    for k, centre in enumerate(cloud.centres):
        moved = (centre + j * cloud.drift).tolist()
        opacity = 0.15 + 0.85 * float(cloud.labels[j, k])
        axis.add_patch(
            Circle(moved, cloud.spread, fill=False, edgecolor=colour, linestyle=line,
                   linewidth=2.2, alpha=opacity, label=f"$j = {j}$" if k == 0 else None)
        )  # fmt: skip
        place = (moved[0] + 0.35 * (j - 1), moved[1] - cloud.spread - 0.25 - 0.15 * j)
        text = f"{float(cloud.labels[j, k]):.2f}"
        axis.annotate(text, place, color=colour, ha="center", va="center", fontsize="small")


def averages(cloud: TokenCloud, drawn: Mapping[int, Tensor], radii: Mapping[int, float]) -> Figure:
    """Draw attention averages ``[n, 2]`` of one query over many data points, for several N.

    ``radii``: predicted root mean square distance from the limit y∞. Both by the number of tokens.
    """
    figure, axes = plt.subplots(
        1, len(drawn), figsize=(WIDTH, 3.4), sharex=True, sharey=True,
        subplot_kw={"aspect": "equal"}, squeeze=False,
    )  # fmt: skip
    x, y = cloud.limit.tolist()
    for axis, (n, points) in zip(axes[0], drawn.items(), strict=True):
        style: dict[str, Any] = {"markersize": 3, "alpha": 0.5, "rasterized": True}
        axis.plot(*points.T.tolist(), ".", color=COLOURS["trained"], **style)
        circle = Circle((x, y), radii[n], fill=False, edgecolor=COLOURS["theory"], linewidth=2)
        axis.add_patch(circle)
        style = {"markersize": 8, "mew": 2.5, "label": r"limit $y_\infty$"}
        axis.plot(*cloud.limit.tolist(), "x", color=COLOURS["theory"], **style)
        axis.plot(*cloud.centres[0].tolist(), "+", color="0.3", markersize=10, label="pattern 1")
        axis.plot(*cloud.query.tolist(), "*", color=COLOURS["same"], markersize=12, label="query")
        axis.set(title=f"$N = {n}$", xlabel="along pattern 1")
    axes[0, 0].set(ylabel="along pattern 2")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
