"""Images to tokens and back."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gmmtf.images.patches import to_images, to_tokens

IMAGES = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("patch", [1, 2, 4, 7, 14, 28])
def test_round_trip(patch: int) -> None:
    tokens = to_tokens(IMAGES, patch)
    assert tokens.shape == (3, (28 // patch) ** 2, patch**2)
    assert torch.equal(to_images(tokens, patch), IMAGES)


@pytest.mark.parametrize("patch", [2, 4, 7])
def test_same_order_as_unfold(patch: int) -> None:
    unfolded = F.unfold(IMAGES[:, None], patch, stride=patch).transpose(1, 2)
    assert torch.equal(to_tokens(IMAGES, patch), unfolded)


def test_a_token_is_a_square_of_the_image() -> None:
    tokens = to_tokens(IMAGES, 4)
    assert torch.equal(tokens[1, 2 * 7 + 5].reshape(4, 4), IMAGES[1, 8:12, 20:24])


@pytest.mark.parametrize("patch", [0, -4, 3, 5, 29])
def test_patch_that_does_not_divide(patch: int) -> None:
    with pytest.raises(ValueError, match="patch: expected a positive divisor"):
        to_tokens(IMAGES, patch)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 14), (1, 1, 28, 28)])
def test_images_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="images"):
        to_tokens(torch.zeros(shape), 4)


@pytest.mark.parametrize("shape", [(1, 49, 15), (1, 48, 16), (49, 16)])
def test_tokens_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="tokens"):
        to_images(torch.zeros(shape), 4)
