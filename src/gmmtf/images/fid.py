"""Fréchet distance between sets of digits, in the features of the project's own classifier (F3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from gmmtf.images.features import DigitClassifier

BATCH_SIZE = 500


class _Features(nn.Module):
    """The classifier's features in the form in which torchmetrics wants a feature extractor."""

    num_features = DigitClassifier.num_features

    def __init__(self, classifier: DigitClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        # torchmetrics accumulates in float64 whatever comes, and returns its result in this type.
        return self.classifier.features(images).double()


def fid(classifier: DigitClassifier, real: Tensor, generated: Tensor) -> float:
    """Fréchet inception distance between two sets of images.

    Both sets are summarised by mean m and covariance C of their features; the distance is
    ‖m_1 - m_2‖² + tr(C_1 + C_2 - 2 (C_1 C_2)^½). With few images it is biased upwards: compare it
    with the distance between two sets of real images of the same sizes.

    Parameters
    ----------
    classifier
        See :func:`gmmtf.images.features.load_classifier`.
    real, generated
        Pixels in [-1, 1], float32 ``[n, 28, 28]``, on the classifier's device; more images each
        than features, or the covariance has no full rank.

    Returns
    -------
    float
        Without a unit; 0 for equal sets. It compares only with values in the same features.

    Raises
    ------
    ValueError
        If a set has fewer than two images, or is of another shape or type.
    """
    for name, images in (("real", real), ("generated", generated)):
        if len(images) < 2:
            raise ValueError(f"{name}: expected at least 2 images, got {len(images)}")
    # All images are here: where several processes train, only one of them may be measuring.
    metric = FrechetInceptionDistance(feature=_Features(classifier), sync_on_compute=False)
    metric = metric.to(real.device)
    with torch.no_grad():
        for images, is_real in ((real, True), (generated, False)):
            for part in torch.split(images, BATCH_SIZE):
                metric.update(part, real=is_real)
    return max(0.0, float(metric.compute()))
