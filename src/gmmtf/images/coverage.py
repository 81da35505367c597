"""Precision and recall of generated images, and whether they are copies of training images.

Both look at nearest neighbours in the features of the project's own classifier.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.images.features import DigitClassifier

_BATCH_SIZE = 500


class PrecisionRecall(NamedTuple):
    """Share of generated images that look real, and of real ones that look generated."""

    precision: float
    recall: float


class Neighbours(NamedTuple):
    """Nearest of a set of images: their indices ``[n]`` and distances in features ``[n]``."""

    indices: Tensor
    distances: Tensor


@torch.no_grad()
def _features(classifier: DigitClassifier, images: Tensor) -> Tensor:
    parts = [classifier.features(part) for part in torch.split(images, _BATCH_SIZE)]
    return torch.cat(parts).double()


def precision_recall(
    classifier: DigitClassifier, real: Tensor, generated: Tensor, k: int = 3
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
        If a set has too few images, or ``k`` is not positive.
    """
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    for name, images in (("real", real), ("generated", generated)):
        if len(images) <= k:
            raise ValueError(f"{name}: expected more than k = {k} images, got {len(images)}")
    x, y = _features(classifier, real), _features(classifier, generated)
    return PrecisionRecall(_share_inside(y, x, k), _share_inside(x, y, k))


def _share_inside(points: Tensor, of: Tensor, k: int) -> float:
    """Share of points that lie in a ball around a point of the set ``of``."""
    # The nearest neighbour of a point of the set in the set is the point itself.
    radius = torch.cdist(of, of).kthvalue(k + 1, dim=1).values
    inside = torch.cdist(points, of) <= radius
    return float(inside.any(1).double().mean())


def nearest(classifier: DigitClassifier, images: Tensor, among: Tensor) -> Neighbours:
    """Find, for each image, the one among others whose features are nearest.

    Generated images that lie much nearer to training images than other real images do are copies.

    Parameters
    ----------
    images, among
        Pixels in [-1, 1], ``[n, 28, 28]`` and ``[m, 28, 28]``.

    Raises
    ------
    ValueError
        If there is nothing to search among.
    """
    if len(among) == 0:
        raise ValueError("among: expected at least one image, got none")
    distances = torch.cdist(_features(classifier, images), _features(classifier, among))
    found = distances.min(1)
    return Neighbours(found.indices, found.values)
