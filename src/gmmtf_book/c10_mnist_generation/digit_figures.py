"""Figures of the image experiment (chapter 10)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.figures import WIDTH

GAP_COLOUR = "#b9d3e8"
"""Colour between the patches of an image."""


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


def _show(ax: Axes, picture: Tensor) -> None:
    """Draw grey-level pixels without axes; what is not a number is a gap."""
    colours = plt.get_cmap("gray_r").with_extremes(bad=GAP_COLOUR)
    ax.imshow(picture.numpy(), cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
