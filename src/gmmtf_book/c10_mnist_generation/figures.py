"""Figures of chapter 10: digits, and their quality under many conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, as_glyphs
from gmmtf_book.c10_mnist_generation.tables import RARE, Comparison

GAP_COLOUR = "#b9d3e8"
"""Colour between the patches of an image."""
# Dotted lines are left to the floors.
LINE_STYLES = ((0, (6, 1)), (0, (3, 1)), (0, (6, 1, 1, 1)), (0, (6, 1, 1, 1, 1, 1)))
DIGIT_COLOURS = tuple(PATTERN_COLOURS[k] for k in (0, 2, 4, 7))


def image_grids(panels: Mapping[str, Mapping[Any, Tensor]], n_shown: int = 14) -> Figure:
    """Draw rows of digits, one row a digit; the panels stand one above the other.

    ``panels``: by title, images of each digit, pixels in [-1, 1], ``[n, 28, 28]``, of which the
    first ``n_shown`` are drawn, not the best ones.
    """
    heights = [len(rows) for rows in panels.values()]
    size = (WIDTH, WIDTH / n_shown * sum(heights) + 0.4 * len(panels))
    figure, axes = plt.subplots(len(panels), 1, figsize=size, height_ratios=heights, squeeze=False)
    for ax, (title, rows) in zip(axes[:, 0], panels.items(), strict=True):
        tiles = [torch.cat(list(images[:n_shown].cpu()), dim=1) for images in rows.values()]
        _show(ax, torch.cat(tiles), title)
        side = tiles[0].shape[0]
        ax.set_yticks([side * (row + 0.5) for row in range(len(rows))], [str(d) for d in rows])
        ax.tick_params(axis="y", length=0)
    return figure


def patch_tokens(image: Tensor, tokens: Tensor) -> Figure:
    """Draw an image ``[28, 28]``, and the patches that are its tokens ``[n², patch²]``, apart."""
    n, patch = round(tokens.shape[0] ** 0.5), round(tokens.shape[1] ** 0.5)
    apart = torch.full((n, n, patch + 1, patch + 1), float("nan"))
    apart[:, :, :patch, :patch] = tokens.cpu().reshape(n, n, patch, patch)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
    _show(left, image.cpu(), "image", "center")
    side = n * (patch + 1)
    picture = apart.transpose(1, 2).reshape(side, side)[:-1, :-1]
    _show(right, picture, f"{n * n} tokens of {patch * patch} pixels", "center")
    rows = [(patch + 1) * row + (patch - 1) / 2 for row in range(n)]
    right.set_yticks(rows, [str(n * row + 1) for row in range(n)])
    right.set_ylabel("number of the row's first token")
    return figure


def quality_curves(rows: pd.DataFrame, floor: pd.DataFrame, rare: int = RARE) -> Figure:
    """Draw recognised share and FID of each digit during training (F3), the rare one heavier.

    Lines are means over the seeds, of the FID geometric ones; bands reach from the least to the
    largest seed; dotted lines are as many real images. Both tables are of `tables.by_digit`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for index, (digit, each) in enumerate(rows.groupby("digit")):
        line = _line_of(index, digit == rare)
        name = f'"{digit}"' + (" (rare)" if digit == rare else "")
        for axis, entry in ((left, "recognised"), (right, "fid")):
            seeds = each.pivot(index="step", columns="seed", values=entry)
            mean = np.exp(np.log(seeds).mean(axis=1)) if entry == "fid" else seeds.mean(axis=1)
            axis.plot(seeds.index, mean, label=name, **line)
            axis.fill_between(seeds.index, seeds.min(axis=1), seeds.max(axis=1),
                              color=line["color"], alpha=0.2, linewidth=0)  # fmt: skip
        real = floor.loc[floor["digit"] == digit, "fid"].mean()
        right.axhline(real, color=line["color"], linewidth=0.9, linestyle=":")
    left.set(xlabel="training step", ylabel="recognised as their digit", ylim=(0, 1.02))
    right.set(xlabel="training step", ylabel="FID (dotted: real against real)", yscale="log")
    _legend_below(figure, left, rows["digit"].nunique())
    return figure


def rare_against_common(panels: Mapping[int, Comparison]) -> Figure:
    """Draw FID of each digit during training, when it is rare and when no digit is (F3).

    Thin lines are single runs, thick ones their geometric mean.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.6), sharey=True, squeeze=False)
    for axis, (digit, pair) in zip(axes[0], panels.items(), strict=True):
        for name, seeds, style in (("rare", pair.rare, "-"), ("common", pair.common, "--")):
            colour = COLOURS["trained"] if name == "rare" else COLOURS["bayes"]
            axis.plot(pair.steps, seeds.T, style, color=colour, linewidth=0.8, alpha=0.6)
            mean = np.exp(np.log(seeds).mean(axis=0))
            axis.plot(pair.steps, mean, style, color=colour, marker="o", linewidth=2.2, label=name)
        _floor(axis, pair.floor)
        axis.set(title=f'"{digit}"', xlabel="training step", yscale="log")
    axes[0, 0].set_ylabel("FID")
    _legend_below(figure, axes[0, 0], 3)
    return figure


def samplers(found: pd.DataFrame, floor: pd.DataFrame) -> Figure:
    """Draw FID by a sampler's calls.

    The tables are those of `tables.by_sampler`, and of `tables.by_digit` for real images.
    """
    figure, axis = plt.subplots(figsize=(0.7 * WIDTH, 3.7))
    markers = {"dpm-solver++": "o", "ddim": "s", "ancestral": "*"}
    for colour, (name, marker) in zip(DIGIT_COLOURS, markers.items(), strict=False):
        fid = found.loc[name]["fid"]
        axis.plot(fid.index, fid, marker=marker, label=name, color=colour,
                  markersize=12 if len(fid) == 1 else 6)  # fmt: skip
    _floor(axis, floor.loc[floor["digit"] != RARE, "fid"].mean())
    axis.set(xlabel="calls of the network", ylabel="FID, mean of the common digits",
             xscale="log", yscale="log")  # fmt: skip
    axis.legend()
    return figure


def exposure_curves(curves: pd.DataFrame, floor: float) -> Figure:
    """Draw FID of "2" against steps, and against how many images of it were seen.

    From the table of `exposure.curves`. Lines are geometric means over the seeds, bands reach from
    the least to the largest; ``floor`` is the FID of real images.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.9), sharey=True)
    for (images, seen), rows in curves.groupby(["images", "seen"], sort=False):
        line = {"color": COLOURS["bayes" if images == "all" else "trained"],
                "linestyle": "-" if seen == "often" else "--"}  # fmt: skip
        name = f"{'all its images' if images == 'all' else 'a tenth'}, seen {seen}"
        for axis, across in zip(axes, ("step", "shown"), strict=True):
            seeds = rows.pivot(index=across, columns="seed", values="value")
            mean = np.exp(np.log(seeds).mean(axis=1))
            # Rings around dots, where both lie on each other.
            size = {"markersize": 9, "fillstyle": "none"} if images == "all" else {"markersize": 5}
            axis.plot(seeds.index, mean, marker="o", label=name, **line, **size)
            axis.fill_between(seeds.index, seeds.min(axis=1), seeds.max(axis=1),
                              color=line["color"], alpha=0.25, linewidth=0)  # fmt: skip
    for axis, label in zip(axes, ("training step", f'images of "{RARE}" seen'), strict=True):
        _floor(axis, floor)
        axis.set(xlabel=label, yscale="log")
    axes[0].set_ylabel(f'FID of "{RARE}"')
    axes[1].set_xscale("log")
    _legend_below(figure, axes[0], 3)
    return figure


def guidance_curves(found: pd.DataFrame) -> Figure:
    """Draw quality against the weight of guidance, from the table of `tables.guidance`."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    shares = {"common-share": "recognised, common", "rare-share": "recognised, rare",
              "precision": "precision", "recall": "recall"}  # fmt: skip
    ratios = {"ratio": "common digits", "ratio-rare": "rare digit"}
    for axis, lines in ((left, shares), (right, ratios)):
        for index, (entry, label) in enumerate(lines.items()):
            axis.plot(found.index, found[entry], label=label, **_line_of(index, "rare" in label))
        axis.set_xlabel("weight of guidance")
    left.set(ylabel="share of images", ylim=(0.4, 1.02))
    right.set(ylabel="FID / FID of as many real images", yscale="log")
    _floor(right, 1)
    left.legend(fontsize="small", loc="lower left")
    right.legend(fontsize="small", loc="upper left")
    right.set_ylim(top=3 * right.get_ylim()[1])  # room for the legend
    return figure


def copies(distances: Mapping[str, Tensor]) -> Figure:
    """Draw how far images are from training images.

    ``distances``: by kind of image, those from the nearest training image ``[n]``.
    """
    figure, axis = plt.subplots(figsize=(0.7 * WIDTH, 3.7))
    looks = ((COLOURS["trained"], "-"), (COLOURS["bayes"], "--"))
    for (name, values), (colour, style) in zip(distances.items(), looks, strict=True):
        axis.ecdf(values.cpu(), color=colour, linestyle=style, label=name)
    axis.set(xlabel="distance from the nearest training image", ylabel="share of images",
             ylim=(0, 1))  # fmt: skip
    axis.legend(loc="lower right", fontsize="small")
    return figure


def _line_of(index: int, is_rare: bool) -> dict[str, Any]:
    """Return the look of a digit's line: heavy and in the colour of training if it is rare."""
    if is_rare:
        return {"color": COLOURS["trained"], "linestyle": "-", "linewidth": 3.0, "marker": "o"}
    look = {"color": DIGIT_COLOURS[index % 4], "linestyle": LINE_STYLES[index % 4]}
    return look | {"linewidth": 1.6, "marker": "o"}


def _floor(axis: Axes, value: float) -> None:
    axis.axhline(value, color=COLOURS["start"], linestyle=":", label="real against real")


def _legend_below(figure: Figure, axis: Axes, columns: int) -> None:
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def _show(ax: Axes, picture: Tensor, title: str, side: Literal["left", "center"] = "left") -> None:
    """Draw grey-level pixels without axes; what is not a number is a gap."""
    colours = plt.get_cmap("gray_r").with_extremes(bad=GAP_COLOUR)
    ax.imshow(picture.numpy(), cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
    as_glyphs(ax)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, loc=side)
    for spine in ax.spines.values():
        spine.set_visible(False)
