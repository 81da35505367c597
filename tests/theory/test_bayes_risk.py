"""The quasi-Monte Carlo Bayes risk against brute force, and its independence of the dimension."""

from __future__ import annotations

import math

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.randomness import standard_normal
from gmmtf.risks.optimum import bayes_risk, oracle_risk

SCHEDULE = NoiseSchedule.linear(1000)
DRAWS = 1_000_000
TOKENS = 100


def random_setting(seed: int) -> tuple[MultiTokenGMM, int]:
    """Draw a mixture with general means and weights, and a time where labels are in doubt."""
    generator = torch.Generator().manual_seed(1000 + seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    n_patterns = 2 + seed % 4
    dim = n_patterns + seed % 3
    patterns = uniform(0.5, 3) * standard_normal((n_patterns, dim), generator, torch.float64)
    weights = 0.1 + torch.rand(n_patterns, generator=generator, dtype=torch.float64)
    mixture = MultiTokenGMM.from_patterns(
        patterns, n_tokens=TOKENS, sigma=uniform(0.1, 1.0), weights=weights / weights.sum()
    )
    return mixture, int(uniform(20, 900))


@pytest.mark.parametrize("seed", range(20))
def test_against_a_million_draws(seed):
    mixture, t = random_setting(seed)
    generator = torch.Generator().manual_seed(seed)
    x_0 = mixture.sample(DRAWS // TOKENS, generator, torch.float64).x_0
    noise = standard_normal(x_0.shape, generator, torch.float64)
    times = torch.full((len(x_0),), t)
    x_t = SCHEDULE.add_noise(x_0, times, noise)
    squares = (BayesDenoiser(mixture, SCHEDULE)(x_t, times) - noise).square().mean(2).flatten()
    error = float(squares.std()) / math.sqrt(DRAWS)
    found = bayes_risk(mixture, SCHEDULE, t=t)
    assert abs(found.value - float(squares.mean())) < 4 * math.hypot(error, found.standard_error)
    assert found.standard_error < error
    # Brute force can tell the Bayes risk from the oracle's in most settings, if not in all.
    assert error < 0.01 * found.value


def test_nothing_of_the_size_of_the_dimension_is_made():
    gaps = []
    for dim in (10, 10**6):
        mixture = MultiTokenGMM(n_patterns=4, dim=dim, n_tokens=5, radius=3.0, sigma=0.4)
        risk = bayes_risk(mixture, SCHEDULE, t=300).value
        gaps.append(dim * (risk - oracle_risk(mixture, SCHEDULE, t=300)))
        assert "means" not in vars(mixture)  # [M, d], made on demand only
    assert gaps[1] == pytest.approx(gaps[0], rel=1e-6)


def test_many_patterns_with_a_rare_one_need_no_pairs(monkeypatch):
    """Above a number of patterns no pairs are drawn: labels drawn too often still count less."""
    law = MultiTokenGMM(
        n_patterns=3, dim=8, n_tokens=4, radius=2.5, sigma=0.4, weights=(0.005, 0.3, 0.695)
    )
    paired = bayes_risk(law, NoiseSchedule.linear(1000), t=500)
    monkeypatch.setattr("gmmtf.risks.optimum.MAX_PAIRED_PATTERNS", 1)
    single = bayes_risk(law, NoiseSchedule.linear(1000), t=500)
    spread = (paired.standard_error**2 + single.standard_error**2) ** 0.5
    assert abs(paired.value - single.value) < 5 * spread
    assert spread < 1e-3 * paired.value
