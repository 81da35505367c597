"""Precision and recall of generated images, and whether they are copies of training images.

Both look at nearest neighbours in the features of the project's own classifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.images.features import Featured, features_of

_BLOCK = 2**23
"""Distances held at a time: 64 MiB of float64."""


class PrecisionRecall(NamedTuple):
    """Share of generated images that look real, and of real ones that look generated."""

    precision: float
    recall: float


class Neighbours(NamedTuple):
    """Nearest of a set of images: their indices ``[n]`` and distances in features ``[n]``."""

    indices: Tensor
    distances: Tensor


def _distances(points: Tensor, to: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield points and their distances ``[block, len(to)]``, in blocks of bounded size."""
    # What is kept of a block goes into memory set aside before: kept pieces between large freed
    # ones would make the process grow with every block.
    size = max(1, _BLOCK // len(to))
    for start in range(0, len(points), size):
        rows = slice(start, start + size)
        yield rows, torch.cdist(points[rows], to)


@checked
def precision_recall(
    classifier: Featured, real: Tensor, generated: Tensor, k: int = 3
) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019).

    A point looks like one of a set if it lies within the distance from a point of the set to that
    point's k-th nearest neighbour in the set. Both depend on the sizes of the sets: compare them
    with those of real images, of the same number.

    Parameters
    ----------
    real, generated
        Pixels in [-1, 1], ``[n, 28, 28]``, more than ``k`` images each.

    Raises
    ------
    ValueError
        If a set has too few images or others than pixels in [-1, 1], or ``k`` is not positive.
    """
    k = count("k", k, 1)
    for name, images in (("real", real), ("generated", generated)):
        if len(images) <= k:
            raise ValueError(f"{name}: expected more than k = {k} images, got {len(images)}")
    x, y = features_of(classifier, "real", real), features_of(classifier, "generated", generated)
    return PrecisionRecall(_share_inside(y, x, k), _share_inside(x, y, k))


def _share_inside(points: Tensor, of: Tensor, k: int) -> float:
    """Share of points that lie in a ball around a point of the set ``of``."""
    # The nearest neighbour of a point of the set in the set is the point itself.
    radius, inside = of.new_empty(len(of)), points.new_empty(len(points), dtype=torch.bool)
    for rows, block in _distances(of, of):
        radius[rows] = block.kthvalue(k + 1, dim=1).values
    for rows, block in _distances(points, of):
        inside[rows] = (block <= radius).any(1)
    return float(inside.double().mean())


@checked
def nearest(classifier: Featured, images: Tensor, among: Tensor) -> Neighbours:
    """Find, for each image, the one among others whose features are nearest.

    Generated images that lie much nearer to training images than other real images do are copies.

    Parameters
    ----------
    images, among
        Pixels in [-1, 1], ``[n, 28, 28]`` and ``[m, 28, 28]``.

    Raises
    ------
    ValueError
        If there is nothing to search among, or images are not pixels in [-1, 1].
    """
    if len(among) == 0:
        raise ValueError("among: expected at least one image, got none")
    x, y = features_of(classifier, "images", images), features_of(classifier, "among", among)
    found = Neighbours(x.new_empty(len(x), dtype=torch.long), x.new_empty(len(x)))
    for rows, block in _distances(x, y):
        found.distances[rows], found.indices[rows] = block.min(1)
    return found
