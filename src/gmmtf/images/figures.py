"""Figures of the image experiment (chapter 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.images.evaluation import Quality
from gmmtf.plotting.style import COLOURS, PATTERN_COLOURS, WIDTH

GAP_COLOUR = "#b9d3e8"
"""Colour between the patches of an image."""

# Dotted lines are left to the floors.
LINE_STYLES = ((0, (6, 1)), (0, (3, 1)), (0, (6, 1, 1, 1)), (0, (6, 1, 1, 1, 1, 1)))


def image_grids(panels: Mapping[str, Mapping[int, Tensor]], n_shown: int) -> Figure:
    """Rows of digits, one row a digit; the panels stand one above the other.

    Parameters
    ----------
    panels
        For each panel's title, images of each digit, pixels in [-1, 1], ``[n, 28, 28]``.
    n_shown
        Number of images in a row; the first ones are shown, not the best ones.
    """
    heights = [len(rows) for rows in panels.values()]
    cell = WIDTH / n_shown
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(WIDTH, cell * sum(heights) + 0.4 * len(panels)),
        height_ratios=heights,
        squeeze=False,
    )
    for ax, (title, rows) in zip(axes[:, 0], panels.items(), strict=True):
        tiles = [torch.cat(list(images[:n_shown].cpu()), dim=1) for images in rows.values()]
        _show(ax, torch.cat(tiles))
        size = tiles[0].shape[0]
        ax.set_title(title, loc="left")
        ax.set_yticks([size * (row + 0.5) for row in range(len(rows))], [str(d) for d in rows])
        ax.tick_params(axis="y", length=0)
    return figure


def patch_tokens(image: Tensor, tokens: Tensor) -> Figure:
    """Draw an image and the patches that are its tokens, pulled apart.

    Parameters
    ----------
    image
        ``[28, 28]``, pixels in [-1, 1].
    tokens
        Its tokens ``[n², patch²]``.
    """
    n, patch = round(tokens.shape[0] ** 0.5), round(tokens.shape[1] ** 0.5)
    apart = torch.full((n, n, patch + 1, patch + 1), float("nan"))
    apart[:, :, :patch, :patch] = tokens.cpu().reshape(n, n, patch, patch)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 0.75, 2.9))
    _show(left, image.cpu())
    left.set_title("image")
    _show(right, apart.transpose(1, 2).reshape(n * (patch + 1), n * (patch + 1))[:-1, :-1])
    right.set_title(f"{n * n} tokens of {patch * patch} pixels")
    return figure


def quality_curves(
    steps: Sequence[int], qualities: Sequence[Quality], floor: Mapping[int, float], rare: int
) -> Figure:
    """Recognised fraction and FID of each digit during training (F3).

    Parameters
    ----------
    steps
        Training steps.
    qualities
        What was measured at them.
    floor
        For each digit, the FID between real images and as many other real images.
    rare
        The minority digit, drawn in a heavier line.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for index, digit in enumerate(floor):
        colour = COLOURS["trained"] if digit == rare else PATTERN_COLOURS[(0, 2, 4, 7)[index % 4]]
        line = {
            "color": colour,
            "linestyle": "-" if digit == rare else LINE_STYLES[index % len(LINE_STYLES)],
            "linewidth": 3.0 if digit == rare else 1.6,
            "marker": "o",
        }
        name = f'"{digit}"' + (" (rare)" if digit == rare else "")
        left.plot(steps, [quality.recognised[digit] for quality in qualities], label=name, **line)
        right.plot(steps, [quality.fid[digit] for quality in qualities], **line)
        right.axhline(floor[digit], color=colour, linewidth=0.9, linestyle=":")
    left.set(xlabel="training step", ylabel="recognised as their digit", ylim=(0, 1.02))
    right.set(xlabel="training step", ylabel="FID (dotted: real against real)", yscale="log")
    figure.legend(loc="outside lower center", ncols=len(floor))
    return figure


def _show(ax: Axes, picture: Tensor) -> None:
    """Draw grey-level pixels without axes; what is not a number is a gap."""
    colours = plt.get_cmap("gray_r").with_extremes(bad=GAP_COLOUR)
    ax.imshow(picture.numpy(), cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
