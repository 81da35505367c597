"""Draws of tokens from a pool whose classes differ in size."""

from __future__ import annotations

import pytest
import torch

from gmmtf import TokenLaw

SIZES = torch.tensor([1, 2, 7])
LABELS = torch.arange(3).repeat_interleave(SIZES)


@pytest.fixture
def law():
    """Tokens that say by their single coordinate which they are, in no order of their classes."""
    shuffled = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(10.0, dtype=torch.float64)[:, None]
    return TokenLaw(tokens[shuffled], LABELS[shuffled], [0.5, 0.2, 0.3], 5)


def test_every_token_of_a_class_is_drawn_as_often(law):
    drawn = law.sample(4000, torch.Generator().manual_seed(1), torch.float64)
    found = torch.bincount(drawn.x_0.long().flatten(), minlength=10) / drawn.labels.numel()
    expected = (torch.tensor([0.5, 0.2, 0.3]) / SIZES)[LABELS]
    # Five standard errors of a share of the 20,000 tokens.
    assert ((found - expected).abs() < 5 * (expected / 20_000).sqrt()).all()


def test_a_token_comes_with_its_class(law):
    drawn = law.sample(100, torch.Generator().manual_seed(2), torch.float64)
    assert torch.equal(LABELS[drawn.x_0.long()[..., 0]], drawn.labels)


def test_weights_of_points_are_the_probabilities_of_draws(law):
    expected = (torch.tensor([0.5, 0.2, 0.3]) / SIZES).double()[law.labels]
    assert torch.allclose(law.point_weights, expected)
