"""The optimal denoiser of a pool of real tokens, against the posterior written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gmmtf import EmpiricalDenoiser, NoiseSchedule, TokenLaw, draw_noisy, optimal_denoiser

SCHEDULE = NoiseSchedule.linear(1000)


def law() -> TokenLaw:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(11, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
    return TokenLaw(tokens * (1 + labels[:, None]), labels, (0.2, 0.3, 0.5), 4)


def by_hand(x: np.ndarray, t: int, tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """E[ε | x] of one token: each token of the pool with the probability that it was drawn."""
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[t]
    density = weights * np.exp(
        -((x - np.sqrt(alpha_bar) * tokens) ** 2).sum(1) / (2 * (1 - alpha_bar))
    )
    mean = density @ tokens / density.sum()
    return (x - np.sqrt(alpha_bar) * mean) / np.sqrt(1 - alpha_bar)


@pytest.mark.parametrize("t", [150, 500, 950])
def test_it_is_the_mean_over_the_pool(t):
    pool = law()
    noisy = draw_noisy(
        pool, SCHEDULE, torch.full((3,), t), torch.Generator().manual_seed(1), torch.float64
    )
    # A token's probability is that of its class over the number of tokens of its class.
    weights = np.array([0.2 / 7] * 7 + [0.3 / 2] * 2 + [0.5 / 2] * 2)
    tokens = pool.tokens.numpy()
    expected = [[by_hand(x, t, tokens, weights) for x in point] for point in noisy.x_t.numpy()]
    found = optimal_denoiser(pool, SCHEDULE)(noisy.x_t, noisy.t)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


def test_weights_are_even_unless_they_are_given():
    pool = law()
    t = torch.tensor([400])
    x = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    even = torch.full((11,), 1 / 11, dtype=torch.float64)
    found = EmpiricalDenoiser(pool.tokens, even, SCHEDULE)(x, t)[0]
    expected = [by_hand(one, 400, pool.tokens.numpy(), even.numpy()) for one in x[0].numpy()]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    assert not torch.allclose(found, optimal_denoiser(pool, SCHEDULE)(x, t)[0], rtol=1e-3)
