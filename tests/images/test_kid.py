"""Kernel inception distance, and features that no network was trained for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gmmtf.images import mnist
from gmmtf.images.components import PixelComponents
from gmmtf.images.features import load_classifier
from gmmtf.images.fid import fid
from gmmtf.images.kid import kernel_distance, kid


class Plain:
    """Four averages of the pixels."""

    num_features = 4

    def features(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images[:, None], 14).flatten(1)


@pytest.fixture(scope="module")
def threes() -> Tensor:
    images = mnist.load("test", [3])[0]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return mnist.to_unit_range(images[order])


def by_hand(x: Tensor, y: Tensor) -> float:
    """Unbiased squared distance under the cubic kernel, pair by pair."""
    n, k = x.shape

    def kernel(a: Tensor, b: Tensor) -> float:
        return float((a @ b / k + 1) ** 3)

    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    inside = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs)
    across = sum(kernel(a, b) for a in x for b in y)
    return inside / (n * (n - 1)) - 2 * across / n**2


def test_kid_is_the_mean_over_parts_of_the_unbiased_distance(threes: Tensor) -> None:
    real, other = threes[:25], threes[25:49].flip(2)
    x, y = (Plain().features(part).double() for part in (real, other))
    parts = [by_hand(x[k : k + 8], y[k : k + 8]) for k in (0, 8, 16)]  # the 25th is left out
    found = kid(Plain(), real, other, size=8)
    assert found.value == pytest.approx(np.mean(parts), rel=1e-9)
    assert found.standard_error == pytest.approx(np.std(parts, ddof=1) / 3**0.5, rel=1e-9)


def test_few_images_bias_the_fid_and_not_the_kid() -> None:
    """Two samples of one law, of few images: the mean of KID over many pairs is zero."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 4000, 8, generator=generator, dtype=torch.float64)
    found = kernel_distance(x, y, 20)
    assert found.errors_from(0) < 3.5
    shifted = kernel_distance(x, y + 0.2, 20)
    assert shifted.errors_from(0) > 5


def test_kid_tells_damaged_digits_from_real_ones(threes: Tensor) -> None:
    classifier = load_classifier()
    real, fresh = threes[:500], threes[500:1000]
    noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0))
    damaged = (fresh + 0.6 * noise).clamp(-1, 1)
    for extractor in (classifier, PixelComponents(threes, 32)):
        good, bad = kid(extractor, real, fresh, size=100), kid(extractor, real, damaged, size=100)
        assert good.errors_from(0) < 4
        assert (bad - good).value > 4 * (bad - good).standard_error


def test_kid_refuses_what_is_too_small_or_no_image(threes: Tensor) -> None:
    with pytest.raises(ValueError, match="generated: expected at least 16 images, two parts of 8"):
        kid(Plain(), threes[:20], threes[:15], size=8)
    with pytest.raises(ValueError, match="size"):
        kid(Plain(), threes[:20], threes[:15], size=1)
    with pytest.raises(ValueError, match=r"real: expected pixels in \[-1, 1\]"):
        kid(Plain(), 2 * threes[:20], threes[:20], size=8)


def test_components_are_those_of_a_singular_value_decomposition(threes: Tensor) -> None:
    found = PixelComponents(threes[:300], 5)
    pixels = threes[:300].flatten(1).double()
    _, values, axes = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    coordinates = found.features(threes[:300])
    expected = (pixels - pixels.mean(0)) @ axes[:5].T
    assert torch.allclose(coordinates.abs(), expected.abs(), atol=1e-8)
    assert torch.allclose(coordinates.square().sum(0).sqrt(), values[:5])
    assert coordinates.dtype == torch.float64
    assert found.num_features == 5
    assert fid(found, threes[:300], threes[300:600]) < fid(
        found, threes[:300], threes[300:600].flip(2)
    )


def test_components_are_of_images_of_one_size(threes: Tensor) -> None:
    found = PixelComponents(threes[:20], 2)
    with pytest.raises(ValueError, match=r"images: expected 784 pixels each, got \[3, 14, 14\]"):
        found.features(torch.zeros(3, 14, 14))
    with pytest.raises(ValueError, match="images: expected finite numbers"):
        found.features(torch.full((3, 28, 28), float("nan")))


def test_components_need_enough_images(threes: Tensor) -> None:
    with pytest.raises(ValueError, match="num_features: expected fewer than the 20 images"):
        PixelComponents(threes[:20], 20)
    with pytest.raises(ValueError, match=r"images: expected pixels in \[-1, 1\]"):
        PixelComponents(3 * threes[:20], 5)
