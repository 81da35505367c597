"""Features of images that no network was trained for: principal components of their pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.images.pixels import check_images

try:
    from sklearn.decomposition import PCA
except ImportError as error:
    raise ImportError(
        "Principal components need scikit-learn: pip install 'gmmtf[images]'"
    ) from error


class PixelComponents:
    """The leading principal components of the pixels of given images, as features of a FID or KID.

    A check on distances in the features of a trained network: whoever has the images has these.

    Parameters
    ----------
    images
        Pixels in [-1, 1], ``[n, 28, 28]``, more than ``num_features``.
    num_features
        Number of components.

    Raises
    ------
    ValueError
        If images are no pixels in [-1, 1], or too few for so many components.
    """

    @checked
    def __init__(self, images: Tensor, num_features: int = 64) -> None:
        self.num_features = count("num_features", num_features, 1)
        pixels = check_images("images", images).flatten(1)
        if not self.num_features < min(pixels.shape):
            raise ValueError(
                f"num_features: expected fewer than the {len(pixels)} images and their "
                f"{pixels.shape[1]} pixels, got {self.num_features}"
            )
        found = PCA(self.num_features, svd_solver="covariance_eigh").fit(pixels.double().cpu())
        self._mean = torch.from_numpy(found.mean_)
        self._axes = torch.from_numpy(found.components_)

    @checked
    def features(self, images: Tensor) -> Tensor:
        """Coordinates ``[n, num_features]`` of images ``[n, 28, 28]``, in float64.

        Raises
        ------
        ValueError
            If images are no pixels in [-1, 1], or of another size than those of the components.
        """
        pixels = check_images("images", images).flatten(1).double()
        if pixels.shape[1] != len(self._mean):
            raise ValueError(
                f"images: expected {len(self._mean)} pixels each, got {list(images.shape)}"
            )
        return (pixels - self._mean.to(pixels)) @ self._axes.to(pixels).T
