"""Images as vectors: projection on principal axes, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from gmmtf.images.mnist import IMAGE_SIZE


@dataclass(frozen=True, eq=False)
class Projection:
    """Principal axes of a set of images, and the unit of the tokens.

    ``centre``: mean image, pixels in [0, 1], float64 ``[784]``. ``axes``: orthonormal principal
    axes as columns, by falling variance, float64 ``[784, d]``. ``unit``: pixels per unit of a
    token's coordinate, such that the coordinates of the images that the axes were fitted to have a
    mean square of 1. ``kept``: share of the images' variance along the axes.
    """

    centre: Tensor
    axes: Tensor
    unit: float
    kept: float

    @classmethod
    def fit(cls, images: Tensor, dim: int) -> Projection:
        """Principal axes of uint8 images ``[n, 28, 28]``.

        Raises
        ------
        ValueError
            If ``dim`` is not an integer from 1 to the number of axes with any variance.
        """
        pixels = _pixels(images)
        pca = PCA(svd_solver="covariance_eigh").fit(pixels.double().numpy())
        variances = torch.from_numpy(pca.explained_variance_) * ((len(pixels) - 1) / len(pixels))
        rank = int((variances > 1e-6 * variances[0]).sum())
        if not isinstance(dim, int) or isinstance(dim, bool) or not 1 <= dim <= rank:
            raise ValueError(f"dim: expected an integer from 1 to {rank}, got {dim!r}")
        axes = torch.from_numpy(pca.components_[:dim].T.copy())
        # Principal axes have no sign of their own: the largest entry is made positive.
        axes *= axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
        kept = float(pca.explained_variance_ratio_[:dim].sum())
        return cls(
            torch.from_numpy(pca.mean_), axes, math.sqrt(float(variances[:dim].mean())), kept
        )

    @property
    def dim(self) -> int:
        """d, the dimension of a token."""
        return self.axes.shape[1]

    def tokens(self, images: Tensor) -> Tensor:
        """Tokens float64 ``[n, d]`` of uint8 images ``[n, 28, 28]``."""
        projected: Tensor = (_pixels(images).double() - self.centre) @ self.axes
        return projected / self.unit

    def images(self, tokens: Tensor) -> Tensor:
        """Images with pixels in [-1, 1], ``[..., 28, 28]``, of tokens ``[..., d]``; not clipped."""
        pixels: Tensor = tokens.to("cpu", torch.float64) * self.unit @ self.axes.T + self.centre
        return (2 * pixels - 1).view(*tokens.shape[:-1], IMAGE_SIZE, IMAGE_SIZE)


def _pixels(images: Tensor) -> Tensor:
    """Pixels in [0, 1], float32 ``[n, 784]``."""
    return images.flatten(1).float() / 255
