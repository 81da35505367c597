"""Fréchet distance between sets of digits (F3), in the features of any network.

Anything with ``num_features`` and ``features(images)`` will do. The book uses the classifier of
`gmmtf.images.features`. Published FIDs use an Inception network trained on photographs; who has
torch-fidelity and its file ``weights-inception-2015-12-05-6726825d.pth`` wraps the network of
`torchmetrics.image.fid` like this::

    class Inception:
        num_features = 2048
        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], path)

        def features(self, images):
            return self.network(mnist.to_bytes(images)[:, None].expand(-1, 3, -1, -1))
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gmmtf.arguments import checked
from gmmtf.images.features import features_of
from gmmtf.images.pixels import check_finite

try:
    from torchmetrics.image.fid import FrechetInceptionDistance
except ImportError as error:
    raise ImportError("FIDs need torchmetrics: pip install 'gmmtf[images]'") from error


@runtime_checkable
class Extractor(Protocol):
    """A network whose features a FID compares."""

    num_features: int

    def features(self, images: Tensor) -> Tensor:
        """Return the features ``[n, num_features]`` of pixels in [-1, 1], ``[n, 28, 28]``."""


class _Given(nn.Module):
    """What torchmetrics takes for a network, where the features are computed already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of the Gaussian laws with the means and covariances of two sets.

    Parameters
    ----------
    real, generated
        Features in float64, ``[n, k]``, at least two each.

    Raises
    ------
    ValueError
        If a set is too small, or the distance is not finite.
    """
    for name, features in (("real", real), ("generated", generated)):
        if len(features) < 2:
            raise ValueError(f"{name}: expected at least 2 images, got {len(features)}")
    # All images are here: where several processes train, only one of them may be measuring.
    with torch.device("cpu"):
        metric = FrechetInceptionDistance(feature=_Given(real.shape[1]), sync_on_compute=False)
    metric = metric.to(real.device)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return max(0.0, float(check_finite("extractor: distance of its features", metric.compute())))


@checked
def fid(extractor: Extractor, real: Tensor, generated: Tensor) -> float:
    """Fréchet inception distance between two sets of images.

    Both sets are summarised by mean m and covariance C of their features; the distance is
    ‖m_1 - m_2‖² + tr(C_1 + C_2 - 2 (C_1 C_2)^½). With few images it is biased upwards: compare it
    with the distance between two sets of real images of the same sizes, or see
    :func:`gmmtf.images.kid.kid`, which is not biased.

    Parameters
    ----------
    extractor
        Gives the features, see :class:`Extractor`.
    real, generated
        Pixels in [-1, 1], floating point, ``[n, 28, 28]``, on the extractor's device; more images
        each than features, or the covariance has no full rank.

    Returns
    -------
    float
        Without a unit; 0 for equal sets. It compares only with values in the same features.

    Raises
    ------
    ValueError
        If a set has fewer than two images, is of another shape or type, or holds numbers that are
        not finite or outside [-1, 1]; if features are not finite.
    """
    return frechet_distance(
        features_of(extractor, "real", real), features_of(extractor, "generated", generated)
    )
