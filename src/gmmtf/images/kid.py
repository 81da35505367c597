"""Kernel inception distance: a distance between sets of images that few images do not bias."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.estimate import Estimate
from gmmtf.images.features import Featured, features_of

try:
    from torchmetrics.image.kid import poly_mmd
except ImportError as error:
    raise ImportError("KIDs need torchmetrics: pip install 'gmmtf[images]'") from error


@checked
def kid(extractor: Featured, real: Tensor, generated: Tensor, *, size: int = 250) -> Estimate:
    """Kernel inception distance between two sets of images (Bińkowski et al. 2018).

    The squared maximum mean discrepancy of the features x, y under the kernel (x·y/k + 1)³, with k
    the number of features, in its unbiased form: for two sets of one law its mean is 0 whatever
    their size, and it can be negative.

    Parameters
    ----------
    extractor
        Gives the features.
    real, generated
        Pixels in [-1, 1], ``[n, 28, 28]``, on the extractor's device.
    size
        Images of a part. Both sets are cut into disjoint parts, as many as both have; an
        incomplete one is left out.

    Returns
    -------
    Estimate
        Mean over the parts, with the standard error from their scatter. Without a unit; it compares
        only with values in the same features.

    Raises
    ------
    ValueError
        If a set has fewer than two parts, ``size`` is below 2, images are not pixels in [-1, 1], or
        features are not finite.
    """
    size = count("size", size, 2)
    x, y = features_of(extractor, "real", real), features_of(extractor, "generated", generated)
    return kernel_distance(x, y, size)


def kernel_distance(real: Tensor, generated: Tensor, size: int) -> Estimate:
    """Return :func:`kid` of features in float64, ``[n, k]``."""
    parts = zip(_parts("real", real, size), _parts("generated", generated, size), strict=False)
    return Estimate.from_samples(torch.stack([poly_mmd(x, y) for x, y in parts]))


def _parts(name: str, features: Tensor, size: int) -> list[Tensor]:
    """Cut a set into disjoint parts of one size."""
    found = [part for part in torch.split(features, size) if len(part) == size]
    if len(found) < 2:
        raise ValueError(
            f"{name}: expected at least {2 * size} images, two parts of {size}, got {len(features)}"
        )
    return found
