"""The weight in reduced coordinates: what its numbers mean in the full matrix."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gmmtf import MultiTokenGMM, ReducedWeight

LAW = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=4, radius=2.0, sigma=0.3)
PATTERN = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]], dtype=torch.float64)


def turned() -> MultiTokenGMM:
    """Return the same law with its patterns in other directions."""
    generator = torch.Generator().manual_seed(0)
    axes, _ = torch.linalg.qr(torch.randn(8, 3, generator=generator, dtype=torch.float64))
    return MultiTokenGMM.from_patterns(2.0 * axes.T, n_tokens=4, sigma=0.3)


@pytest.mark.parametrize("law", [LAW, turned()], ids=["axes", "turned"])
def test_the_full_weight_has_the_products_and_the_complement(law):
    weight = ReducedWeight(PATTERN, torch.tensor(1.5, dtype=torch.float64))
    full = weight.to_full(law)
    products = torch.tensor([[float(u @ full @ v) for v in law.means] for u in law.means])
    torch.testing.assert_close(products.double(), 4.0 * PATTERN, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(weight.products(law), 4.0 * PATTERN)
    gamma = 1.5 / math.sqrt(5)
    assert float(weight.gamma(law)) == pytest.approx(gamma)
    outside = torch.linalg.svd(law.means)[2][3:]
    torch.testing.assert_close(outside @ full @ outside.T, gamma * torch.eye(5).double())
    assert float(full.square().sum()) == pytest.approx(float(PATTERN.square().sum()) + 1.5**2)
    again, rest = ReducedWeight.from_full(full, law)
    torch.testing.assert_close(again.pattern, PATTERN)
    assert float(again.complement) == pytest.approx(1.5)
    assert rest == pytest.approx(0, abs=1e-12)


def test_what_is_outside_the_family_is_measured():
    weight = ReducedWeight(PATTERN, torch.tensor(1.5, dtype=torch.float64)).to_full(LAW)
    weight[0, 7] += 3.0
    weight[6, 5] -= 4.0
    again, rest = ReducedWeight.from_full(weight, LAW)
    torch.testing.assert_close(again.pattern, PATTERN)
    assert rest == pytest.approx(5.0)


def test_products_of_skew_patterns_are_in_the_nearest_orthonormal_basis():
    means = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    law = MultiTokenGMM.from_patterns(means, n_tokens=4, sigma=0.3)
    gram = means @ means.T
    weight = ReducedWeight(torch.eye(2, dtype=torch.float64), torch.tensor(0.0).double())
    torch.testing.assert_close(weight.products(law), gram)


def test_a_symmetric_weight_is_the_mean_over_permutations():
    pattern = torch.arange(9, dtype=torch.float64).view(3, 3)
    orders = list(itertools.permutations(range(3)))
    mean = sum(pattern[list(p)][:, list(p)] for p in orders) / len(orders)
    found = ReducedWeight(pattern, torch.tensor(0.5)).symmetric()
    torch.testing.assert_close(found.pattern, mean)
    assert float(found.complement) == 0.5
