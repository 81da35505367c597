"""Limits, extreme values, precision and bad input of the optimal estimators."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser, OracleDenoiser, score
from gmmtf.laws.posterior import posterior
from gmmtf.risks.optimum import bayes_risk, oracle_risk

SCHEDULE = NoiseSchedule.linear()
PI = [0.4, 0.3, 0.2, 0.1]


def law(radius: float = 4.0, n_active: int | None = None, **changes) -> MultiTokenGMM:
    arguments = {"n_patterns": 4, "dim": 8, "n_tokens": 6, "radius": radius, "sigma": 0.3}
    return MultiTokenGMM(**{**arguments, "weights": PI, "n_active": n_active, **changes})


def noisy(mixture, t, dtype=torch.float64, seed=0):
    source = torch.Generator().manual_seed(seed)
    x_0, labels, _ = mixture.sample(len(t), source, torch.float64)
    noise = torch.randn(x_0.shape, generator=source, dtype=torch.float64)
    return SCHEDULE.add_noise(x_0, t, noise).to(dtype), labels


TIMES = torch.tensor([0, 1, 100, 500, 998, 999])


@pytest.mark.parametrize("n_active", [1, 2, 3, 4])
def test_posterior_is_a_distribution(n_active):
    mixture = law(n_active=n_active)
    x_t, _ = noisy(mixture, TIMES)
    p = posterior(mixture, SCHEDULE, x_t, TIMES)
    assert bool((p >= 0).all())
    np.testing.assert_allclose(p.sum(-1), np.ones((6, 6)), rtol=1e-12)


@pytest.mark.parametrize("n_active", [4, 2])
def test_unreadable_labels_give_the_prior_mean(n_active):
    mixture = law(radius=1e-7, n_active=n_active)
    x_t, _ = noisy(mixture, TIMES)
    p = posterior(mixture, SCHEDULE, x_t, TIMES)
    # K = 2 of 4: the marginal averages π restricted to each of the 6 pairs.
    prior = np.zeros(4)
    pairs = [(u, v) for u in range(4) for v in range(u)] if n_active == 2 else [(0, 1, 2, 3)]
    for members in pairs:
        for u in members:
            prior[u] += PI[u] / sum(PI[v] for v in members) / len(pairs)
    np.testing.assert_allclose(p, np.broadcast_to(prior, p.shape), atol=1e-4)


@pytest.mark.parametrize("n_active", [4, 2])
def test_readable_labels_give_the_oracle(n_active):
    mixture = law(radius=1e4, n_active=n_active)
    x_t, labels = noisy(mixture, TIMES)
    bayes = BayesDenoiser(mixture, SCHEDULE)(x_t, TIMES)
    oracle = OracleDenoiser(mixture, SCHEDULE)(x_t, TIMES, labels)
    torch.testing.assert_close(bayes, oracle, rtol=1e-9, atol=1e-9)
    risk = bayes_risk(mixture, SCHEDULE, n_points=256)
    assert risk.value == pytest.approx(oracle_risk(mixture, SCHEDULE), rel=1e-9)


@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0, 8.0, 30.0])
@pytest.mark.parametrize("n_active", [1, 2, 4])
def test_the_oracle_is_at_least_as_good(radius, n_active):
    mixture = law(radius, n_active)
    for t in (None, 0, 300, 999):
        bayes = bayes_risk(mixture, SCHEDULE, t=t, n_points=128)
        assert bayes.value >= oracle_risk(mixture, SCHEDULE, t=t)
        assert 0 < bayes.value <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1e-6, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("sigma", [1e-4, 1.0, 1e3])
@pytest.mark.parametrize("n_active", [4, 2])
def test_extreme_values_stay_finite(dtype, radius, sigma, n_active):
    mixture = law(radius, n_active, sigma=sigma)
    t = torch.tensor([0, 999])
    x_t, labels = noisy(mixture, t, dtype)
    x_t[:, 0] *= 1e3  # a token far from every pattern
    p = posterior(mixture, SCHEDULE, x_t, t)
    assert p.dtype == dtype
    np.testing.assert_allclose(p.double().sum(-1), np.ones((2, 6)), rtol=1e-5)
    for found in (
        BayesDenoiser(mixture, SCHEDULE)(x_t, t),
        OracleDenoiser(mixture, SCHEDULE)(x_t, t, labels),
        score(mixture, SCHEDULE, x_t, t),
    ):
        assert found.dtype == dtype
        assert bool(torch.isfinite(found).all())
    risk = bayes_risk(mixture, SCHEDULE, n_points=32)
    assert math.isfinite(risk.value)
    assert math.isfinite(risk.standard_error)


@pytest.mark.parametrize("n_active", [4, 2])
def test_single_precision_agrees_with_double(n_active):
    mixture = law(n_active=n_active)
    x_t, labels = noisy(mixture, TIMES)
    x_t = x_t.float().double()
    bayes, oracle = BayesDenoiser(mixture, SCHEDULE), OracleDenoiser(mixture, SCHEDULE)
    single = bayes(x_t.float(), TIMES)
    torch.testing.assert_close(single.double(), bayes(x_t, TIMES), rtol=1e-4, atol=1e-4)
    single = oracle(x_t.float(), TIMES, labels)
    torch.testing.assert_close(single.double(), oracle(x_t, TIMES, labels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function", [posterior, score])
def test_too_many_active_sets_are_counted(function):
    mixture = MultiTokenGMM(n_patterns=40, dim=40, n_tokens=2, radius=1.0, sigma=1.0, n_active=20)
    x_t = torch.zeros(1, 2, 40)
    with pytest.raises(ValueError, match=str(math.comb(40, 20))):
        function(mixture, SCHEDULE, x_t, torch.tensor([5]))
    with pytest.raises(ValueError, match=str(math.comb(40, 20))):
        bayes_risk(mixture, SCHEDULE)


def test_many_patterns_without_coupling_need_no_enumeration():
    mixture = MultiTokenGMM(n_patterns=40, dim=40, n_tokens=2, radius=1.0, sigma=1.0)
    assert posterior(mixture, SCHEDULE, torch.zeros(1, 2, 40), torch.tensor([5])).shape == (
        1,
        2,
        40,
    )


BAD_TOKENS = {
    "two axes": torch.zeros(2, 8),
    "four axes": torch.zeros(2, 6, 8, 1),
    "wrong dim": torch.zeros(2, 6, 7),
    "integers": torch.zeros(2, 6, 8, dtype=torch.long),
}
BAD_TIMES = {
    "too many": torch.tensor([0, 1, 2]),
    "scalar": torch.tensor(1),
    "float": torch.zeros(2),
    "bool": torch.tensor([True, False]),
    "negative": torch.tensor([0, -1]),
    "too large": torch.tensor([0, 1000]),
    "python integer": 5,
}


def estimators(mixture):
    oracle, labels = OracleDenoiser(mixture, SCHEDULE), torch.zeros(2, 6, dtype=torch.long)
    return {
        "posterior": lambda x, t: posterior(mixture, SCHEDULE, x, t),
        "score": lambda x, t: score(mixture, SCHEDULE, x, t),
        "bayes": BayesDenoiser(mixture, SCHEDULE),
        "oracle": lambda x, t: oracle(x, t, labels),
    }


@pytest.mark.parametrize("which", ["posterior", "score", "bayes", "oracle"])
def test_bad_tokens_and_times_are_named(which):
    estimate = estimators(law())[which]
    for x_t in BAD_TOKENS.values():
        with pytest.raises(ValueError, match=r"^x_t: "):
            estimate(x_t, torch.tensor([0, 1]))
    for name, t in BAD_TIMES.items():
        if name != "python integer":
            with pytest.raises(ValueError, match=r"^t: "):
                estimate(torch.zeros(2, 6, 8), t)


@pytest.mark.parametrize("which", ["posterior", "score", "bayes", "oracle"])
def test_a_time_that_is_no_tensor_is_named(which):
    with pytest.raises(ValueError, match=r"^t: "):
        estimators(law())[which](torch.zeros(2, 6, 8), 5)


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(2, 5, dtype=torch.long),
        torch.zeros(12, dtype=torch.long),
        torch.zeros(2, 6),
        torch.full((2, 6), 4),
        torch.full((2, 6), -1),
        torch.zeros(2, 6, dtype=torch.bool),
    ],
)
def test_bad_labels_are_named(labels):
    oracle = OracleDenoiser(law(), SCHEDULE)
    with pytest.raises(ValueError, match=r"^labels: "):
        oracle(torch.zeros(2, 6, 8), torch.tensor([0, 1]), labels)
