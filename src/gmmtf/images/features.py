"""A small digit classifier: it recognises generated digits, and its features are what FID compares.

FID is usually computed in the features of an Inception network trained on photographs. Digits call
for features that know digits, so the project trains its own network on all of MNIST
(`scripts/train_features.py`) and ships the weights. Values of this FID compare with each other
only, not with published ones, whose features `gmmtf.images.fid` says how to use.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn import functional as F

from gmmtf.arguments import checked, count
from gmmtf.images.files import data_root, read_pinned
from gmmtf.images.mnist import IMAGE_SIZE
from gmmtf.images.pixels import check_finite, check_images

WEIGHTS_NAME = "mnist_features.safetensors"
WEIGHTS_SHA256 = "0076671690c957eb4ac3c98016d7ff6efd2076bb12fb7d9ffd7cf1eea649a0b9"
_BATCH_SIZE = 500


@runtime_checkable
class Featured(Protocol):
    """Whatever has features of pixels in [-1, 1], such as a :class:`DigitClassifier`."""

    def features(self, images: Tensor) -> Tensor:
        """Return the features ``[n, k]`` of images ``[n, 28, 28]``."""


@torch.no_grad()
def features_of(extractor: Featured, name: str, images: Tensor) -> Tensor:
    """Return the features of images in float64, ``[n, k]``, computed in batches.

    Raises
    ------
    ValueError
        If images are not pixels in [-1, 1], ``[n, 28, 28]``, or features are not finite; the
        message says ``name``.
    """
    parts = torch.split(check_images(name, images), _BATCH_SIZE)
    features = torch.cat([extractor.features(part) for part in parts]).double()
    return check_finite(f"extractor: features of {name}", features)


class DigitClassifier(nn.Module):
    """Two convolutions with pooling, a layer of 64 features, ten logits."""

    num_features = 64

    def __init__(self) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv_2 = nn.Conv2d(16, 32, 3, padding=1)
        self.reduce = nn.Linear(32 * (IMAGE_SIZE // 4) ** 2, self.num_features)
        self.classify = nn.Linear(self.num_features, 10)

    @checked
    def features(self, images: Tensor) -> Tensor:
        """Return the 64 features: the last hidden layer before its nonlinearity.

        Parameters
        ----------
        images
            Pixels in [-1, 1], floating point, ``[batch, 28, 28]``.

        Returns
        -------
        Tensor
            ``[batch, 64]``, of the type of the weights.

        Raises
        ------
        ValueError
            If the images have another shape or are not floating point.
        """
        if images.ndim != 3 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"images: expected shape [batch, {IMAGE_SIZE}, {IMAGE_SIZE}], "
                f"got {list(images.shape)}"
            )
        if not images.is_floating_point():
            raise ValueError(f"images: expected floating point in [-1, 1], got {images.dtype}")
        pixels = images[:, None].to(self.conv_1.weight.dtype)
        x = F.max_pool2d(F.relu(self.conv_1(pixels)), 2)
        x = F.max_pool2d(F.relu(self.conv_2(x)), 2)
        features: Tensor = self.reduce(x.flatten(1))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``[batch, 10]``; images as in :meth:`features`."""
        logits: Tensor = self.classify(F.relu(self.features(images)))
        return logits


@checked
def load_classifier(
    root: str | Path | None = None, device: torch.device | str = "cpu"
) -> DigitClassifier:
    """Load the classifier that is part of the project, for inference.

    Parameters
    ----------
    root
        Folder that holds ``checkpoints/``; see :func:`gmmtf.images.files.data_root`.
    device
        Where to put it.

    Raises
    ------
    DataError
        If the weights are missing, or are not the ones that this version of the library pins.
    """
    content = read_pinned(
        data_root(root) / "checkpoints" / WEIGHTS_NAME,
        WEIGHTS_SHA256,
        "Restore it from the repository; scripts/train_features.py makes a new one",
    )
    with torch.device("cpu"):
        classifier = DigitClassifier().float()
        classifier.load_state_dict(load_tensors(content))
    return classifier.eval().requires_grad_(False).to(device)


@checked
@torch.no_grad()
def recognise(
    classifier: Callable[[Tensor], Tensor], images: Tensor, batch_size: int = 500
) -> Tensor:
    """Return the digit that the classifier sees in each image: int64 ``[n]``.

    Raises
    ------
    ValueError
        If images are not pixels in [-1, 1], ``[n, 28, 28]``, or the logits are not finite.
    """
    parts = torch.split(check_images("images", images), count("batch_size", batch_size, 1))
    logits = torch.cat([classifier(part) for part in parts])
    return check_finite("classifier: logits", logits).argmax(1)
