"""Precision, recall and nearest neighbours of images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gmmtf.images import coverage, mnist
from gmmtf.images.coverage import nearest, precision_recall
from gmmtf.images.features import DigitClassifier, load_classifier


@pytest.fixture(scope="module")
def classifier() -> DigitClassifier:
    return load_classifier()


@pytest.fixture(scope="module")
def real() -> dict[int, Tensor]:
    images, labels = mnist.load("test")
    pixels = mnist.to_unit_range(images)
    return {digit: pixels[labels == digit][:400] for digit in (0, 1, 7)}


def test_two_halves_of_one_digit_look_alike(classifier, real):
    found = precision_recall(classifier, real[0][:200], real[0][200:])
    assert found.precision > 0.6
    assert found.recall > 0.6


def test_different_digits_do_not(classifier, real):
    found = precision_recall(classifier, real[0], real[1])
    assert found.precision < 0.05
    assert found.recall < 0.05


def test_a_set_that_shows_one_of_two_digits_is_precise_but_recalls_half(classifier, real):
    both = torch.cat([real[0][:200], real[1][:200]])
    found = precision_recall(classifier, both, real[0][200:])
    assert found.precision > 0.6
    assert found.recall < 0.55


def test_equal_sets_are_perfect(classifier, real):
    assert precision_recall(classifier, real[7], real[7]) == (1.0, 1.0)


def test_a_copy_is_its_own_neighbour(classifier, real):
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    found = nearest(classifier, real[7][order[:20]], real[7])
    assert found.indices.tolist() == order[:20].tolist()
    assert float(found.distances.max()) < 1e-4
    other = nearest(classifier, real[7][:20], real[7][20:])
    assert float(other.distances.min()) > 0.1


class FirstPixel:
    """In place of a classifier: one feature, the first pixel."""

    def features(self, images: Tensor) -> Tensor:
        return images[:, 0, :1]


def line(*points: float) -> Tensor:
    return torch.tensor(points, dtype=torch.float64)[:, None, None].expand(-1, 2, 2)


def test_a_point_is_not_counted_among_its_own_neighbours():
    """On a line: the balls reach from each point to its nearest other one."""
    real = line(0.0, 0.1, 0.3, 0.6)
    found = precision_recall(FirstPixel(), real, line(0.75, 0.95, -0.3, 0.05), k=1)
    # 0.75 lies within 0.3 of 0.6, 0.05 between 0 and 0.1; the other two within no ball.
    assert found.precision == 0.5
    # Balls about -0.3 and 0.05 of radius 0.35, about 0.75 and 0.95 of radius 0.2.
    assert found.recall == 1.0


def test_bad_input_is_named(classifier, real):
    with pytest.raises(ValueError, match="generated: expected more than k = 3 images, got 3"):
        precision_recall(classifier, real[0], real[1][:3])
    with pytest.raises(ValueError, match="k: expected an integer of at least 1, got 0"):
        precision_recall(classifier, real[0], real[1], k=0)
    with pytest.raises(ValueError, match="among: expected at least one"):
        nearest(classifier, real[0], real[0][:0])


def test_distances_are_held_in_blocks(classifier, real, monkeypatch):
    """Of 400 x 300 distances no more than a block is ever there; the results are those of one."""
    x, y = real[0], real[7][:300]
    whole = nearest(classifier, x, y), precision_recall(classifier, x, y)
    sizes = []
    cdist = torch.cdist

    def spy(points: Tensor, to: Tensor) -> Tensor:
        sizes.append(len(points) * len(to))
        return cdist(points, to)

    monkeypatch.setattr(torch, "cdist", spy)
    monkeypatch.setattr(coverage, "_BLOCK", 5000)
    blocks = nearest(classifier, x, y), precision_recall(classifier, x, y)
    assert max(sizes) <= 5000
    assert sum(sizes) == 400 * 300 + 400 * 400 + 300 * 300 + 2 * 400 * 300
    assert torch.equal(blocks[0].indices, whole[0].indices)
    torch.testing.assert_close(blocks[0].distances, whole[0].distances, rtol=1e-9, atol=1e-9)
    assert blocks[1] == whole[1]
    monkeypatch.setattr(coverage, "_BLOCK", 1)  # fewer than one row
    assert torch.equal(nearest(classifier, x[:3], y).indices, whole[0].indices[:3])


def test_a_block_of_distances_is_far_below_a_gigabyte():
    assert 8 * coverage._BLOCK <= 2**26
    assert coverage._BLOCK >= 60_000
