"""Images as sequences of tokens: one token is one square patch of pixels.

This makes an image the same kind of object as a draw of the multi-token mixture: [tokens, dim].
"""

from __future__ import annotations

from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.images.pixels import check_finite


def _grid(image_size: int, patch: int) -> int:
    """Return the number of patches along one side."""
    if patch < 1 or image_size % patch != 0:
        raise ValueError(
            f"patch: expected a positive divisor of the image size {image_size}, got {patch}"
        )
    return image_size // patch


@checked
def to_tokens(images: Tensor, patch: int) -> Tensor:
    """Cut images into patches.

    Parameters
    ----------
    images
        ``[batch, size, size]``.
    patch
        Side of a patch in pixels; must divide ``size``.

    Returns
    -------
    Tensor
        ``[batch, (size / patch)², patch²]``. Patches run row by row over the image, pixels row by
        row over the patch.

    Raises
    ------
    ValueError
        If images are not square or hold numbers that are not finite, or the patch size does not
        divide theirs.
    """
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise ValueError(f"images: expected shape [batch, size, size], got {list(images.shape)}")
    n = _grid(images.shape[1], patch)
    cut = check_finite("images", images).reshape(-1, n, patch, n, patch)
    return cut.permute(0, 1, 3, 2, 4).reshape(-1, n * n, patch * patch)


@checked
def to_images(tokens: Tensor, patch: int) -> Tensor:
    """Put patches back together; the inverse of ``to_tokens``.

    Parameters
    ----------
    tokens
        ``[batch, n², patch²]``.
    patch
        Side of a patch in pixels.

    Returns
    -------
    Tensor
        ``[batch, n · patch, n · patch]``.

    Raises
    ------
    ValueError
        If the number of tokens is not a square, their size is not patch², or they hold numbers
        that are not finite.
    """
    n = round(tokens.shape[1] ** 0.5) if tokens.ndim == 3 else 0
    if tokens.ndim != 3 or n * n != tokens.shape[1] or tokens.shape[2] != patch * patch:
        raise ValueError(
            f"tokens: expected shape [batch, n², {patch * patch}] for patch = {patch}, "
            f"got {list(tokens.shape)}"
        )
    cut = check_finite("tokens", tokens).reshape(-1, n, n, patch, patch)
    return cut.permute(0, 1, 3, 2, 4).reshape(-1, n * patch, n * patch)
