"""The oracle where labels tell a class: against sums and integrals over all clean tokens."""

from __future__ import annotations

import math

import pytest
import torch

from gmmtf import FullMixture, NoiseSchedule, TokenLaw, draw_noisy
from gmmtf.references import REFERENCES, references

SCHEDULE = NoiseSchedule.linear(40, 1e-3, 0.2)
MIXTURE = FullMixture(
    weights=torch.tensor([0.1, 0.4, 0.3, 0.2]),
    means=torch.tensor([[2.0, 0.0], [-1.0, 1.0], [0.0, -2.0], [0.5, 0.5]]),
    covariances=torch.tensor([
        [[1.0, 0.6], [0.6, 0.8]], [[0.3, 0.0], [0.0, 0.9]], [[0.5, -0.2], [-0.2, 0.4]],
        [[0.6, 0.1], [0.1, 0.3]],
    ]),
    classes=torch.tensor([5, 2, 5, 0]),
    n_tokens=3,
)  # fmt: skip
POOL = TokenLaw(
    torch.tensor([[2.0, 0.0], [-1.0, 1.0], [0.0, -2.0], [0.5, 0.5], [0.6, 0.1]]).double(),
    torch.tensor([1, 0, 1, 2, 1]), [0.2, 0.5, 0.3], 3,
)  # fmt: skip


def points_of_mixture(label):
    """A fine grid of clean tokens, and the density of one class there, up to a factor."""
    axis = torch.linspace(-7, 7, 281, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = torch.zeros(len(grid), dtype=torch.float64)
    for k in range(4):
        if int(MIXTURE.classes[k]) == label:
            normal = torch.distributions.MultivariateNormal(
                MIXTURE.means[k], MIXTURE.covariances[k]
            )
            density += MIXTURE.weights[k] * normal.log_prob(grid).exp()
    return grid, density


def points_of_pool(label):
    of = [k for k in range(len(POOL.tokens)) if int(POOL.labels[k]) == label]
    return POOL.tokens[of], torch.ones(len(of), dtype=torch.float64)


@pytest.mark.parametrize(
    ("law", "points"), [(MIXTURE, points_of_mixture), (POOL, points_of_pool)], ids=["full", "pool"]
)
def test_the_oracle_is_the_mean_noise_given_the_token_and_its_label(law, points):
    times = torch.tensor([14, 20, 30, 39] * 3)
    noisy = draw_noisy(law, SCHEDULE, times, torch.Generator().manual_seed(1), torch.float64)
    known = references(law, SCHEDULE)
    assert tuple(known.known) == REFERENCES
    assert known.left_out == {}
    found = known.known["oracle"](noisy)
    seen = set()
    for i, t in enumerate(times.tolist()):
        signal = math.sqrt(SCHEDULE.alpha_bars[t])
        sigma = math.sqrt(1 - SCHEDULE.alpha_bars[t])
        for n in range(3):
            label = int(noisy.labels[i, n])
            clean, weights = points(label)
            noise = (noisy.x_t[i, n] - signal * clean) / sigma
            weights = weights * (-noise.square().sum(1) / 2).exp()
            expected = (weights / weights.sum()) @ noise
            torch.testing.assert_close(found[i, n], expected, rtol=1e-6, atol=1e-8)
            seen.add(label)
    assert len(seen) == 3


def test_the_linear_reference_of_a_pool_is_the_regression_on_its_tokens():
    noisy = draw_noisy(POOL, SCHEDULE, torch.tensor([5, 39]), torch.Generator(), torch.float64)
    probabilities = torch.tensor([0.5 / 3, 0.2, 0.5 / 3, 0.3, 0.5 / 3], dtype=torch.float64)
    clean = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [0.0, -2.0], [0.5, 0.5], [0.6, 0.1]]).double()
    mean = probabilities @ clean
    covariance = torch.einsum("n,ni,nj->ij", probabilities, clean - mean, clean - mean)
    found = references(POOL, SCHEDULE).known["linear"](noisy)
    for i, t in enumerate((5, 39)):
        alpha_bar = float(SCHEDULE.alpha_bars[t])
        of_noisy = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(2, dtype=torch.float64)
        centred = noisy.x_t[i] - math.sqrt(alpha_bar) * mean
        expected = math.sqrt(1 - alpha_bar) * torch.linalg.solve(of_noisy, centred.T).T
        torch.testing.assert_close(found[i], expected)
