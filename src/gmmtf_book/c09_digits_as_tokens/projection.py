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

    Attributes
    ----------
    centre
        Mean image, pixels in [0, 1], float64 ``[784]``.
    axes
        Orthonormal principal axes as columns, by falling variance, float64 ``[784, d]``.
    unit
        Pixels per unit of a token's coordinate. It is chosen so that the coordinates of the images
        that the axes were fitted to have a mean square of 1.
    kept
        Share of the images' variance along the axes.
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
            If the images have another type or shape, there are fewer than two, or ``dim`` is not
            an integer from 1 to the number of axes with any variance.
        """
        pixels = _pixels(images)
        if len(pixels) < 2:
            raise ValueError(f"images: expected at least 2, got {len(pixels)}")
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
        if tokens.shape[-1:] != (self.dim,):
            raise ValueError(f"tokens: expected shape [..., {self.dim}], got {list(tokens.shape)}")
        pixels: Tensor = tokens.to("cpu", torch.float64) * self.unit @ self.axes.T + self.centre
        size = IMAGE_SIZE
        return (2 * pixels - 1).view(*tokens.shape[:-1], size, size)


def _pixels(images: Tensor) -> Tensor:
    """Pixels in [0, 1], float32 ``[n, 784]``."""
    size = IMAGE_SIZE
    if images.dtype != torch.uint8 or images.ndim != 3 or images.shape[1:] != (size, size):
        raise ValueError(
            f"images: expected uint8 [n, {size}, {size}], got {images.dtype} {list(images.shape)}"
        )
    return images.flatten(1).float() / 255
