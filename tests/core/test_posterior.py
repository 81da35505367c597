"""Posterior, Bayes estimator and score against densities that are summed by brute force."""

from __future__ import annotations

import importlib
import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers import optimal
from gmmtf.denoisers.optimal import BayesDenoiser, OracleDenoiser
from gmmtf.laws.posterior import posterior

SCHEDULE = NoiseSchedule.linear(200, 1e-3, 0.05)
BENT = torch.tensor([[1.5, 0.2, -0.3], [-0.4, 0.9, 1.1], [0.3, -2.0, 0.5]], dtype=torch.float64)
PI = (0.6, 0.3, 0.1)


def law(patterns: str, n_active: int, n_tokens: int = 3) -> MultiTokenGMM:
    shared = {"n_tokens": n_tokens, "sigma": 0.6, "weights": PI, "n_active": n_active}
    if patterns == "orthogonal":
        return MultiTokenGMM(n_patterns=3, dim=4, radius=1.7, **shared)
    return MultiTokenGMM.from_patterns(BENT, **shared)


LAWS = [(p, k) for p in ("orthogonal", "bent") for k in (1, 2, 3)]


def noisy(mixture: MultiTokenGMM, times: list[int], seed: int = 0) -> tuple:
    source = torch.Generator().manual_seed(seed)
    x_0 = mixture.sample(len(times), source, torch.float64).x_0
    noise = torch.randn(x_0.shape, generator=source, dtype=torch.float64)
    t = torch.tensor(times)
    return SCHEDULE.add_noise(x_0, t, noise), t


def log_joint(mixture: MultiTokenGMM, x: torch.Tensor, abar: float) -> tuple[list, torch.Tensor]:
    """Every label sequence and log p(sequence, x), summed over all active sets."""
    means = mixture.means.clone() * math.sqrt(abar)
    variance = abar * mixture.sigma**2 + 1 - abar
    density = torch.distributions.Normal(means[None], math.sqrt(variance))
    log_phi = density.log_prob(x[:, None, :]).sum(-1)  # [tokens, M]
    sets = list(combinations(range(mixture.n_patterns), mixture.k))
    sequences, terms = [], []
    for labels in product(range(mixture.n_patterns), repeat=len(x)):
        prior = 0.0
        for members in sets:
            if set(labels) <= set(members):
                mass = sum(PI[u] for u in members)
                prior += math.prod(PI[z] / mass for z in labels) / len(sets)
        if prior > 0:
            sequences.append(labels)
            terms.append(math.log(prior) + sum(log_phi[n, z] for n, z in enumerate(labels)))
    return sequences, torch.stack(terms)


@pytest.mark.parametrize("patterns", ["orthogonal", "bent"])
def test_posterior_without_coupling_is_bayes_rule(patterns):
    mixture = law(patterns, 3)
    x_t, t = noisy(mixture, [0, 20, 90, 199])
    found = posterior(mixture, SCHEDULE, x_t, t).numpy()
    for b, time in enumerate(t.tolist()):
        abar = np.prod(1 - SCHEDULE.betas.numpy()[: time + 1])
        variance = abar * 0.36 + 1 - abar
        weighted = np.stack(
            [
                p * multivariate_normal(np.sqrt(abar) * mean, variance).pdf(x_t[b].numpy())
                for p, mean in zip(PI, mixture.means.numpy(), strict=True)
            ],
            axis=1,
        )
        expected = weighted / weighted.sum(1, keepdims=True)
        np.testing.assert_allclose(found[b], expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("patterns", "n_active"), LAWS)
def test_posterior_is_the_sum_over_label_sequences_and_active_sets(patterns, n_active):
    mixture = law(patterns, n_active)
    x_t, t = noisy(mixture, [0, 30, 80, 120, 199])
    found = posterior(mixture, SCHEDULE, x_t, t)
    assert found.shape == (5, 3, 3)
    for b, time in enumerate(t.tolist()):
        sequences, terms = log_joint(mixture, x_t[b], float(SCHEDULE.alpha_bars[time]))
        probability = torch.softmax(terms, 0).tolist()
        expected = np.zeros((3, 3))
        for labels, p in zip(sequences, probability, strict=True):
            for n, z in enumerate(labels):
                expected[n, z] += p
        np.testing.assert_allclose(found[b], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("patterns", "n_active"), LAWS)
def test_tweedie(patterns, n_active):
    mixture = law(patterns, n_active)
    x_t, t = noisy(mixture, [0, 15, 60, 140, 199], seed=1)
    bayes = BayesDenoiser(mixture, SCHEDULE)(x_t, t)
    score = optimal.score(mixture, SCHEDULE, x_t, t)
    for b, time in enumerate(t.tolist()):
        abar = float(SCHEDULE.alpha_bars[time])
        x = x_t[b].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(torch.logsumexp(log_joint(mixture, x, abar)[1], 0), x)
        torch.testing.assert_close(score[b], gradient, rtol=1e-8, atol=1e-8)
        expected = -math.sqrt(1 - abar) * gradient
        torch.testing.assert_close(bayes[b], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_active", [2, 3])
def test_number_of_tokens_may_differ_from_the_mixture(n_active):
    mixture = law("bent", n_active)
    x_t, t = noisy(law("bent", n_active, n_tokens=2), [50], seed=2)
    sequences, terms = log_joint(mixture, x_t[0], float(SCHEDULE.alpha_bars[50]))
    first = [labels[0] for labels in sequences]
    p = torch.softmax(terms, 0)
    expected = [float(p[[z == u for z in first]].sum()) for u in range(3)]
    found = posterior(mixture, SCHEDULE, x_t, t)[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_oracle_formula_and_its_use_of_labels():
    mixture = law("bent", 3)
    x_t, t = noisy(mixture, [3, 170])
    labels = torch.tensor([[0, 1, 2], [2, 2, 0]])
    found = OracleDenoiser(mixture, SCHEDULE)(x_t, t, labels)
    for b in range(2):
        abar = float(SCHEDULE.alpha_bars[t[b]])
        for n in range(3):
            centred = x_t[b, n] - math.sqrt(abar) * BENT[labels[b, n]]
            expected = math.sqrt(1 - abar) / (abar * 0.36 + 1 - abar) * centred
            torch.testing.assert_close(found[b, n], expected, rtol=1e-12, atol=1e-12)
    narrow = OracleDenoiser(mixture, SCHEDULE)(x_t, t, labels.int())
    assert torch.equal(narrow, found)


def test_enumeration_in_chunks_changes_nothing(monkeypatch):
    mixture = MultiTokenGMM(n_patterns=7, dim=8, n_tokens=4, radius=1.5, sigma=0.5, n_active=3)
    x_t, t = noisy(mixture, [10, 100])
    whole = posterior(mixture, SCHEDULE, x_t, t)
    module = importlib.import_module("gmmtf.laws.posterior")
    for elements in (1, 100, 1000):
        monkeypatch.setattr(module, "_CHUNK_ELEMENTS", elements)
        chunked = posterior(mixture, SCHEDULE, x_t, t)
        torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_permuting_the_tokens_permutes_the_posterior(n_active):
    mixture = law("bent", n_active)
    x_t, t = noisy(mixture, [60])
    order = [2, 0, 1]
    found = posterior(mixture, SCHEDULE, x_t[:, order], t)
    expected = posterior(mixture, SCHEDULE, x_t, t)[:, order]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
