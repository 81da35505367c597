"""The one check of what is measured: numbers are finite, and pixels lie in [-1, 1]."""

from __future__ import annotations

import math

from torch import Tensor

from gmmtf.arguments import checked

ROUNDING = 1e-5
"""How far beyond [-1, 1] arithmetic in float32 may carry a pixel."""


@checked
def check_finite(name: str, values: Tensor) -> Tensor:
    """Return ``values``, or raise ``ValueError`` if one of them is NaN or infinite."""
    _range(name, values)
    return values


@checked
def check_images(name: str, images: Tensor) -> Tensor:
    """Return ``images``, pixels in [-1, 1], ``[n, size, size]``.

    Raises
    ------
    ValueError
        If they have another shape, are not floating point, hold NaN or infinite pixels, or pixels
        outside [-1, 1]; the message says which argument it is, and the range found.
    """
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise ValueError(f"{name}: expected shape [n, size, size], got {list(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"{name}: expected floating point in [-1, 1], got {images.dtype}")
    low, high = _range(name, images)
    if max(-low, high) > 1 + ROUNDING:
        raise ValueError(f"{name}: expected pixels in [-1, 1], got {low:.4g} to {high:.4g}")
    return images


def _range(name: str, values: Tensor) -> tuple[float, float]:
    """Return the least and the greatest value, both 0 if there is none."""
    if values.numel() == 0:
        return 0.0, 0.0
    low, high = (float(end) for end in values.detach().aminmax())  # both are NaN if one value is
    if not (math.isfinite(low) and math.isfinite(high)):
        found = "NaN" if math.isnan(low) else f"{low:.4g} to {high:.4g}"
        raise ValueError(f"{name}: expected finite numbers, got {found}")
    return low, high
