"""The net of query tokens: weighted means follow the law, and rare patterns are not starved."""

from __future__ import annotations

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import gradient
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import risk

SCHEDULE = NoiseSchedule.linear(1000)


def rare_mixture(rare: float, **changes: object) -> MultiTokenGMM:
    others = [share * (1 - rare) for share in (0.1, 0.2, 0.7)]
    settings = {"n_patterns": 4, "dim": 64, "n_tokens": 4096, "radius": 8.0, "sigma": 0.3}
    return MultiTokenGMM(**(settings | {"weights": [rare, *others]} | changes))


@pytest.mark.parametrize("rare", [1e-4, 0.01, 0.25])
def test_weighted_means_follow_the_law(rare):
    """E[x_n] = √ᾱ r π in the patterns' coordinates."""
    mixture = rare_mixture(rare)
    queries = draw_queries(mixture, SCHEDULE, t=300, n_points=8192)
    assert float(queries.importance.mean()) == pytest.approx(1, abs=1e-3)
    mean = (queries.importance * queries.token[:-1]).mean(1)
    expected = queries.reach[0] * mixture.probabilities
    torch.testing.assert_close(mean, expected, rtol=0, atol=2e-3)


def test_uniform_patterns_have_equal_weights():
    mixture = rare_mixture(0.0, weights=None)
    assert bool((draw_queries(mixture, SCHEDULE).importance == 1).all())


def test_inactive_patterns_are_never_drawn():
    mixture = rare_mixture(0.05, n_active=2)
    queries = draw_queries(mixture, SCHEDULE, t=10, n_points=512)
    drawn = queries.token[:-1].argmax(0)  # at this noise level labels can be read off
    assert bool(torch.isfinite(queries.log_weights.gather(0, drawn[None])).all())
    assert bool((queries.importance > 0).all() and (queries.importance <= 2).all())


def test_rare_queries_are_an_eighth_of_the_net():
    queries = draw_queries(rare_mixture(1e-4), SCHEDULE, t=10, n_points=1024)
    rare = int((queries.token[:-1].argmax(0) == 0).sum())
    assert 128 <= rare <= 130


def test_the_gradient_of_a_rare_pattern_is_as_precise_as_its_neighbours():
    """Nets of 1024 points agree on the push on a pattern of probability 0.001 within 10 %."""
    mixture = rare_mixture(0.001)
    weight = ReducedWeight(6 / 64 * torch.eye(4, dtype=torch.float64), torch.tensor(0.0))
    found = torch.stack(
        [
            gradient(weight, mixture, SCHEDULE, n_points=1024, seed=seed).pattern[0, 0]
            for seed in range(6)
        ]
    )
    assert float(found.std() / found.mean().abs()) < 0.1


def test_the_loss_uses_the_weights_too():
    """At W = 0 with N → ∞ the loss minus the excess is the Bayes risk, by another computation."""
    mixture = rare_mixture(0.01)
    found = risk(ReducedWeight.zero(mixture), mixture, SCHEDULE, n_points=2048)
    bayes = bayes_risk(mixture, SCHEDULE)
    gap = found.loss.value - found.excess_risk.value
    assert gap > oracle_risk(mixture, SCHEDULE)
    assert gap == pytest.approx(bayes.value, rel=0.01)


def test_the_rest_of_a_token_is_noise_in_the_other_dimensions():
    """Its mean square is τ² (d - M)."""
    mixture = rare_mixture(0.25)
    queries = draw_queries(mixture, SCHEDULE, t=300, n_points=8192)
    expected = float(queries.level.variance[0]) * (64 - 4)
    assert float(queries.token[-1].square().mean()) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("n_active", [None, 2])
def test_target_gap_and_factor_are_those_of_the_posterior_of_the_token(n_active):
    """From Bayes' rule with full Gaussian densities among the active patterns."""
    mixture = rare_mixture(0.1, n_active=n_active, radius=1.0)
    queries = draw_queries(mixture, SCHEDULE, t=300, n_points=64)
    alpha_bar = float(SCHEDULE.alpha_bars[300])
    variance = alpha_bar * 0.3**2 + 1 - alpha_bar
    weights = queries.log_weights.exp()
    assert bool(((weights > 0).sum(0) == (n_active or 4)).all())
    law = mixture.probabilities[:, None] * (weights > 0)
    torch.testing.assert_close(weights, law / law.sum(0))
    span = queries.token[:-1]
    means = alpha_bar**0.5 * torch.eye(4, dtype=torch.float64)
    squares = (span[None] - means[:, :, None]).square().sum(1)
    posterior = weights * torch.exp(-squares / (2 * variance))
    posterior = posterior / posterior.sum(0)
    torch.testing.assert_close(queries.target[:-1], alpha_bar**0.5 * posterior)
    assert bool((queries.target[-1] == 0).all())
    torch.testing.assert_close(queries.gap, alpha_bar * (1 - posterior.square().sum(0)))
    factor = queries.importance * (1 - alpha_bar) / variance**2 / 64
    torch.testing.assert_close(queries.factor, factor)
