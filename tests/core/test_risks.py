"""Oracle and Bayes risks against quadrature and Monte Carlo with an independent posterior."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import norm

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.risks.optimum import bayes_risk, oracle_risk

SCHEDULE = NoiseSchedule.linear(60, 1e-3, 0.15)
SIGMA = 0.7
AXES, BENT = np.eye(3, 4), np.array([[2.0, 0, 1], [1.0, 1, 1], [-1, 3, 0.5]])
LAWS = {
    "orthogonal, uniform": {"means": 2.5 * AXES, "pi": [1 / 3] * 3, "k": 3},
    "orthogonal, skewed": {"means": 2.5 * AXES, "pi": [0.8, 0.15, 0.05], "k": 3},
    "bent": {"means": BENT, "pi": [0.5, 0.3, 0.2], "k": 3},
    "two active": {"means": 2.5 * AXES, "pi": [0.6, 0.3, 0.1], "k": 2},
    "one active": {"means": 1.5 * AXES, "pi": [0.6, 0.3, 0.1], "k": 1},
    "two active, bent": {"means": BENT, "pi": [0.5, 0.3, 0.2], "k": 2},
}


def mixture_of(means, pi, k, n_tokens=3) -> MultiTokenGMM:
    return MultiTokenGMM.from_patterns(
        torch.tensor(means), n_tokens=n_tokens, sigma=SIGMA, weights=pi, n_active=k
    )


def abar_of(t: np.ndarray) -> np.ndarray:
    return np.cumprod(1 - np.linspace(1e-3, 0.15, 60))[t]


def simulated_risks(means, pi, k, t, batch=40_000, n_tokens=3, seed=0) -> tuple:
    """(oracle, Bayes) losses of each data point, everything drawn and computed with NumPy."""
    rng = np.random.default_rng(seed)
    pi, (m, d) = np.asarray(pi), means.shape
    sets = np.array(list(combinations(range(m), k)))
    chosen = sets[rng.integers(len(sets), size=batch)]
    cumulative = np.cumsum(pi[chosen] / pi[chosen].sum(1, keepdims=True), axis=1)
    place = (rng.random((batch, n_tokens, 1)) > cumulative[:, None, :]).sum(-1).clip(max=k - 1)
    z = np.take_along_axis(chosen, place, axis=1)
    noise = rng.normal(size=(batch, n_tokens, d))
    abar = abar_of(t)[:, None, None]
    x_0 = means[z] + SIGMA * rng.normal(size=noise.shape)
    x = np.sqrt(abar) * x_0 + np.sqrt(1 - abar) * noise
    variance = abar * SIGMA**2 + 1 - abar
    squared = ((x[:, :, None, :] - np.sqrt(abar)[..., None] * means) ** 2).sum(-1)
    log_phi = np.log(pi) - squared / (2 * variance)
    evidence = np.stack(
        [(logsumexp(log_phi[..., s], axis=-1) - np.log(pi[s].sum())).sum(1) for s in sets], axis=1
    )
    weight = np.exp(evidence - logsumexp(evidence, axis=1, keepdims=True))
    p = np.zeros_like(log_phi)
    for i, s in enumerate(sets):
        given = log_phi[..., s] - logsumexp(log_phi[..., s], axis=-1, keepdims=True)
        p[..., s] += weight[:, i, None, None] * np.exp(given)
    gain = np.sqrt(1 - abar) / variance
    losses = []
    for centre in (means[z], p @ means):
        estimate = gain * (x - np.sqrt(abar) * centre)
        losses.append(((noise - estimate) ** 2).mean((1, 2)))
    gap = (gain**2 * abar * (means[z] - p @ means) ** 2).mean((1, 2))
    return losses[0], losses[1], gap


def mean_and_error(samples: np.ndarray) -> tuple[float, float]:
    return samples.mean(), samples.std() / math.sqrt(len(samples))


@pytest.mark.parametrize("t", [0, 10, 30, 59, None])
@pytest.mark.parametrize("name", LAWS)
def test_risks_are_the_losses_of_the_estimators(name, t):
    law = LAWS[name]
    mixture = mixture_of(**law)
    times = np.random.default_rng(7).integers(60, size=40_000) if t is None else np.full(40_000, t)
    oracle_loss, bayes_loss, gap = simulated_risks(**law, t=times)
    oracle = oracle_risk(mixture, SCHEDULE, t=t)
    bayes = bayes_risk(mixture, SCHEDULE, t=t)
    mean, error = mean_and_error(oracle_loss)
    assert abs(oracle - mean) < 4 * error
    mean, error = mean_and_error(bayes_loss)
    assert abs(bayes.value - mean) < 4 * math.hypot(error, bayes.standard_error)
    # The gap by itself is a far more precise test, when t is given.
    mean, error = mean_and_error(gap)
    assert abs(bayes.value - oracle - mean) < 4 * math.hypot(error, bayes.standard_error) + 1e-12


@pytest.mark.parametrize("t", [0, 5, 59])
def test_oracle_risk_is_its_closed_form(t):
    mixture = mixture_of(**LAWS["bent"])
    abar = abar_of(np.array(t))
    expected = abar * SIGMA**2 / (abar * SIGMA**2 + 1 - abar)
    assert oracle_risk(mixture, SCHEDULE, t=t) == pytest.approx(expected, rel=1e-12)


def test_risks_without_a_time_are_means_over_the_schedule():
    mixture, schedule = mixture_of(**LAWS["orthogonal, skewed"]), NoiseSchedule.linear(9, 0.01, 0.5)
    mean = np.mean([oracle_risk(mixture, schedule, t=t) for t in range(9)])
    assert oracle_risk(mixture, schedule) == pytest.approx(mean, rel=1e-12)
    each = [bayes_risk(mixture, schedule, t=t, n_points=2**13) for t in range(9)]
    whole = bayes_risk(mixture, schedule)
    error = math.sqrt(sum(e.standard_error**2 for e in each)) / 9
    mean = np.mean([e.value for e in each])
    assert abs(mean - whole.value) < 4 * math.hypot(error, whole.standard_error)


def two_pattern_risk(means, pi, t) -> float:
    """M = 2, K = 2: the posterior depends on one Gaussian, so one integral is enough."""
    abar = abar_of(np.array(t))
    variance = abar * SIGMA**2 + 1 - abar
    separation = math.sqrt(abar * ((means[0] - means[1]) ** 2).sum() / variance)
    # Given pattern 1, log odds = log(π1/π2) + separation²/2 + separation · (standard normal).
    total = 0.0
    for own, other in (pi, pi[::-1]):
        offset = math.log(own / other) + separation**2 / 2

        def both_likely(g: float, offset: float = offset) -> float:
            log_odds = offset + separation * g
            return norm.pdf(g) * expit(log_odds) * expit(-log_odds)

        total += own * quad(both_likely, -12, 12, epsabs=1e-13, epsrel=1e-11, limit=400)[0]
    gap = (1 - abar) * abar / variance**2 * ((means[0] - means[1]) ** 2).mean() * total
    return abar * SIGMA**2 / variance + gap


@pytest.mark.parametrize("t", [0, 12, 25, 40, 59])
@pytest.mark.parametrize("pi", [(0.5, 0.5), (0.93, 0.07)])
@pytest.mark.parametrize("means", [2.0 * np.eye(2, 5), np.array([[1.0, 2.0], [1.5, -0.2]])])
def test_bayes_risk_of_two_patterns_is_an_integral(means, pi, t):
    found = bayes_risk(mixture_of(means, pi, 2), SCHEDULE, t=t)
    expected = two_pattern_risk(means, pi, t)
    assert abs(found.value - expected) < 5 * found.standard_error + 1e-9
    assert found.standard_error < 2e-4 * expected


@pytest.mark.parametrize("t", [20, 25, 30, 40])
@pytest.mark.parametrize("pi", [(0.5, 0.5), (0.93, 0.07)])
def test_rare_confusions_are_covered_by_the_standard_error(pi, t):
    """Far apart patterns are confused rarely; the error bar must still cover the truth."""
    means = 8.0 * np.eye(2, 3)
    found = bayes_risk(mixture_of(means, pi, 2), SCHEDULE, t=t)
    expected = two_pattern_risk(means, pi, t)
    assert found.value == pytest.approx(expected, rel=5e-3)
    assert abs(found.value - expected) < 5 * found.standard_error + 1e-9


def test_bayes_risk_does_not_depend_on_the_dimension_beyond_the_factor():
    """The gap times d is the same in every dimension that holds the patterns."""
    gaps = []
    for d in (3, 10, 4096):
        mixture = MultiTokenGMM(n_patterns=3, dim=d, n_tokens=4, radius=2.0, sigma=SIGMA)
        oracle = oracle_risk(mixture, SCHEDULE, t=25)
        gaps.append(d * (bayes_risk(mixture, SCHEDULE, t=25).value - oracle))
    assert gaps[0] > 0.1
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9)


def test_standard_error_describes_the_scatter_between_seeds():
    mixture = mixture_of(**LAWS["two active"])
    runs = [bayes_risk(mixture, SCHEDULE, n_points=256, seed=s) for s in range(40)]
    scatter = np.std([r.value for r in runs], ddof=1)
    claimed = math.sqrt(np.mean([r.standard_error**2 for r in runs]))
    assert 0.6 < scatter / claimed < 1.6
    again = bayes_risk(mixture, SCHEDULE, n_points=256, seed=3)
    assert again == runs[3] != runs[4]


def test_one_pattern_leaves_nothing_to_guess():
    mixture = mixture_of(np.array([[1.0, -2.0]]), [1.0], 1)
    found = bayes_risk(mixture, SCHEDULE)
    assert found.value == pytest.approx(oracle_risk(mixture, SCHEDULE), rel=1e-12)
    assert found.standard_error == 0


@pytest.mark.parametrize("t", [-1, 60, 1.5, True])
def test_bad_time_is_named(t):
    mixture = mixture_of(**LAWS["bent"])
    for risk in (oracle_risk, bayes_risk):
        with pytest.raises(ValueError, match=r"^t: "):
            risk(mixture, SCHEDULE, t=t)


@pytest.mark.parametrize("n_points", [0, 15, -4])
def test_bad_number_of_points_is_named(n_points):
    with pytest.raises(ValueError, match=r"^n_points: "):
        bayes_risk(mixture_of(**LAWS["bent"]), SCHEDULE, n_points=n_points)
