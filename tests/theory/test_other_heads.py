"""Our theorem on heads against the results of Gabet, Boursier and Boyer (2026).

Their setting, as it is known to us: two components with means m_1, m_2 of equal norm and covariance
γ²I, noise ξ²I in every token of an infinite prompt, and heads that return V' Σ_m A_m x_m as the
estimate of the clean token, without a skip. Mapped on ours: a clean token times √ᾱ has the means
m_u = √ᾱ μ_u and the variance γ² = ᾱσ², the noise is ξ² = 1 - ᾱ, and τ² = γ² + ξ². A noise estimate
f = c(x - x̂) leaves x - √(1-ᾱ) f = (γ²/τ²) x + (ξ²/τ²) x̂ as the estimate of the clean part. So a
head of theirs with the value matrix V' is the head of ours with

    V = (τ²/ξ²) V',   Θ = -(γ²/ξ²) I,

a skip matrix that is given and not learned, and the clean part's error is ξ²/τ² times that of x̂.
Our theorem on heads has V = I with a scalar skip exact for Θ = -I alone: γ² = ξ² here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from gmmtf import (
    AttentionDenoiser,
    BayesDenoiser,
    MultiTokenGMM,
    NoiseSchedule,
    bayes_risk,
    linear_risk,
)
from gmmtf.laws.level import noise_level
from theory.many_tokens import error_of_heads

EVEN = np.array([0.5, 0.5])
SCHEDULE = NoiseSchedule.linear(1000)


def two_means(dim: int, length: float = 1.4) -> np.ndarray:
    """Two means of equal norm, neither orthogonal nor opposite."""
    means = np.zeros((2, dim))
    means[:, 0] = length * np.array([0.9, -0.9])
    means[:, 1] = length * np.sqrt(1 - 0.81)
    return means


def their_error(means, gamma_2, xi_2, heads, log_points=12) -> float:
    """Mean square by which Σ V'Σ A x misses E[clean part | x], for pairs (W, V')."""
    variance = gamma_2 + xi_2
    eye = np.eye(means.shape[1])
    ours = [(weight, variance / xi_2 * value) for weight, value in heads]
    skip = -gamma_2 / xi_2 * eye
    return (xi_2 / variance) ** 2 * error_of_heads(means, EVEN, variance, ours, skip, log_points)


def test_a_head_without_a_skip_is_ours_with_a_given_one():
    """The library's head with V and the scalar skip of the map returns V'Σ A x as clean part."""
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=6, radius=1.5, sigma=0.8)
    head = AttentionDenoiser(law, SCHEDULE, torch.float64, value=True, skip=True)
    generator = torch.Generator().manual_seed(1)
    theirs = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    x = torch.randn(5, 6, 3, generator=generator, dtype=torch.float64)
    t = torch.full((5,), 350)
    a = float(SCHEDULE.alpha_bars[350])
    gamma_2, xi_2 = a * 0.64, 1 - a
    head.weight.data = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    head.value.data = (gamma_2 + xi_2) / xi_2 * theirs
    head.skip.data = torch.tensor(-gamma_2 / xi_2, dtype=torch.float64)
    clean = x - np.sqrt(xi_2) * head(x, t)
    torch.testing.assert_close(clean, head.attention(x, t) @ x @ theirs.T)


@pytest.mark.parametrize("dim", [2, 4])
def test_one_head_is_exact_at_equal_variances(dim):
    """Their Theorem 4.1, if: W = I/τ², V' = (ξ²/τ²)I."""
    eye = np.eye(dim)
    for spread in (0.3, 1.0):
        heads = [(eye / (2 * spread), eye / 2)]
        assert their_error(two_means(dim), spread, spread, heads) < 1e-25


def test_one_head_is_not_exact_at_others():
    """Their Theorem 4.1, only if: the best W and V' in the plane of the means err for γ² ≠ ξ²."""
    means, xi_2 = two_means(2), 0.7
    best = []
    for gamma_2 in (0.3, 0.6, 0.7, 0.8, 1.5):

        def error(entries: np.ndarray, gamma_2: float = gamma_2) -> float:
            weight, value = entries.reshape(2, 2, 2)
            return their_error(means, gamma_2, xi_2, [(weight, value)], log_points=6)

        variance = gamma_2 + xi_2
        start = np.concatenate([np.eye(2).ravel() / variance, xi_2 / variance * np.eye(2).ravel()])
        starts = [start, 0.4 * start + 0.1]
        found = [minimize(error, s, method="BFGS", options={"maxiter": 60}).fun for s in starts]
        best.append(min(found))
    assert best[2] < 1e-9
    assert best[0] > best[1] > 1e-5
    assert best[4] > best[3] > 1e-5


@pytest.mark.parametrize("gamma_2", [0.1, 0.7, 2.0])
def test_two_heads_are_exact_at_all(gamma_2):
    """Built like case 6 of our theorem: the second head's scores do not see the means.

    The first head has the posterior's scores and the clean part's slope γ²/τ² wherever it may
    choose it; the second one adds the difference along m_1 - m_2, which it reads off a direction
    that no mean uses.
    """
    means, xi_2, dim = two_means(4), 0.7, 4
    variance = gamma_2 + xi_2
    apart, middle, *rest = np.eye(dim)
    first_weight = np.outer(apart, apart) + gamma_2 / xi_2 * np.outer(middle, middle)
    first_value = xi_2 / variance * (np.outer(apart, apart) + np.outer(middle, middle))
    for free in rest:
        first_weight = first_weight + np.outer(free, free)
        first_value = first_value + gamma_2 / variance * np.outer(free, free)
    second_weight = np.outer(apart, rest[0]) / variance
    second_value = (gamma_2 - xi_2) / variance * np.outer(apart, rest[0])
    heads = [(first_weight / variance, first_value), (second_weight, second_value)]
    assert their_error(means, gamma_2, xi_2, heads) < 1e-25
    if gamma_2 != xi_2:
        assert their_error(means, gamma_2, xi_2, heads[:1]) > 1e-3


def test_linear_attention_stays_a_linear_filter():
    """In an infinite prompt a layer of linear attention is a linear map of each token.

    So is any stack of them, and none beats the best affine denoiser, which is not Bayes.
    """
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=5, radius=2.0, sigma=0.5)
    t = 250
    a = float(SCHEDULE.alpha_bars[t])
    filtered, optimal = linear_risk(law, SCHEDULE, t=t), bayes_risk(law, SCHEDULE, t=t).value
    assert filtered > optimal + 0.01
    means = law.means.double().numpy()
    second = a * (means.T @ means / 2 + 0.25 * np.eye(3)) + (1 - a) * np.eye(3)
    centred = second - a * np.outer(means.mean(0), means.mean(0))

    def best_risk(moments: np.ndarray) -> float:
        """Least risk of two residual layers x + V E[x xᵀ] Wᵀx and a readout."""

        def risk_of(entries: np.ndarray) -> float:
            w_1, v_1, w_2, v_2, out = entries.reshape(5, 3, 3)
            first = np.eye(3) + v_1 @ moments @ w_1.T
            deep = (np.eye(3) + v_2 @ first @ moments @ first.T @ w_2.T) @ first
            linear = out @ deep
            cross = np.sqrt(1 - a) * np.trace(linear)
            return float((3 - 2 * cross + np.trace(linear @ moments @ linear.T)) / 3)

        rng = np.random.default_rng(0)
        start = np.concatenate([rng.normal(scale=0.3, size=36), np.eye(3).ravel()])
        return float(minimize(risk_of, start, method="BFGS").fun)

    assert best_risk(second) > filtered + 1e-3  # the layers have no bias
    assert best_risk(centred) == pytest.approx(filtered, abs=1e-6)  # the mean subtracted


def test_one_set_of_weights_serves_every_context():
    """Their section 4.4: with a skip, W = I/τ² and Θ = -I do not depend on the mixture."""
    rng = np.random.default_rng(3)
    variance = 0.8
    for size in (2, 3, 4):
        directions = np.linalg.qr(rng.normal(size=(4, 4)))[0][:size]
        pi = rng.dirichlet(np.ones(size))
        means = rng.uniform(0.5, 2) * directions
        eye = np.eye(4)
        assert error_of_heads(means, pi, variance, [(eye / variance, eye)], -eye) < 1e-25
        assert error_of_heads(means, pi, variance, [(eye / variance, eye)], -0.8 * eye) > 1e-3


def test_the_library_head_with_that_skip_tends_to_bayes():
    """One W and one skip, two laws: the excess falls with the number of tokens in both."""
    t, count = 500, 40
    for radius, weights in ((1.0, None), (1.6, (0.3, 0.7))):
        law = MultiTokenGMM(
            n_patterns=2, dim=2, n_tokens=64, radius=radius, sigma=0.3, weights=weights
        )
        excess = []
        for n_tokens in (64, 1024):
            many = replace(law, n_tokens=n_tokens)
            level = noise_level(many, SCHEDULE, torch.tensor([t]))
            head = AttentionDenoiser(many, SCHEDULE, torch.float64, skip=True)
            head.weight.data = torch.eye(2, dtype=torch.float64) / level.variance
            head.skip.data = torch.tensor(-1.0, dtype=torch.float64)
            generator = torch.Generator().manual_seed(0)
            times = torch.full((count,), t)
            clean = many.sample(count, generator, torch.float64).x_0
            noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
            x = SCHEDULE.add_noise(clean, times, noise)
            wrong = head(x, times).detach() - BayesDenoiser(many, SCHEDULE)(x, times)
            excess.append(float(wrong.square().mean()))
        assert excess[1] < 0.3 * excess[0]


@pytest.mark.parametrize(("margin", "together"), [(0.9, True), (1.2, False)])
def test_repeated_exact_denoising_collapses_below_the_margin_one(margin, together):
    """Tokens that are denoised again and again with the same exact denoiser.

    With γ² ≪ ξ² their λ = ‖m_1 - m_2‖/(2ξ) is our label margin κ = √ᾱ r/(√2 τ). For λ ≤ 1 all
    tokens end at the midpoint of the means, above they stay two clusters.
    """
    t = 400
    a = float(SCHEDULE.alpha_bars[t])
    sigma = 0.01
    radius = margin * np.sqrt(2 * (a * sigma**2 + 1 - a) / a)
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=50, radius=float(radius), sigma=sigma)
    denoise = BayesDenoiser(law, SCHEDULE)
    x = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times = torch.tensor([t])
    for _ in range(200):
        x = x - np.sqrt(1 - a) * denoise(x, times)
    midpoint = np.sqrt(a) * law.means.double().mean(0)
    distance = (x - midpoint).norm(dim=-1) / (np.sqrt(a) * radius / np.sqrt(2))
    if together:
        assert float(distance.max()) < 1e-6
    else:
        assert float(distance.min()) > 0.2
        side = (x[0] @ (law.means[0] - law.means[1]).double()).sign()
        assert set(side.tolist()) == {-1.0, 1.0}


def test_a_value_matrix_reaches_zero_outside_the_family_alone():
    """Cases 3 and 5 of our theorem: scalars of the family leave a floor, oblique directions none.

    The family is that of equal probabilities, with the part along 1 of both W and V. The last
    start runs off to weights and values whose product is a linear filter.
    """
    variance, size, dim = 0.6, 2, 4
    means = 1.8 * np.eye(size, dim)
    ones = np.zeros((dim, dim))
    ones[:size, :size] = 1
    span = np.diag([1.0] * size + [0.0] * (dim - size))
    none = np.zeros((dim, dim))

    def error(entries: np.ndarray) -> float:
        g_1, g_2, v_1, w, v_2 = entries
        value = v_1 * span + w * ones + v_2 * (np.eye(dim) - span)
        head = (g_1 * span + g_2 * ones, value)
        return error_of_heads(means, EVEN, variance, [head], none, 7)

    starts = [(1, 0, 1, 0, 0), (0.3, -0.1, 2, -0.5, 0.5), (0.01, 0, 50, 0, 0), (30, 0, 0.02, 0, 0)]
    least = min(minimize(error, s, method="BFGS", options={"maxiter": 80}).fun for s in starts)
    assert 0.01 < least < error(np.array([0.0, 0, 1, 0, 0]))
    free = np.eye(dim)[size:]
    weight = (span + span[:size].T @ free) / variance
    value = span - span[:size].T @ free
    assert error_of_heads(means, EVEN, variance, [(weight, value)], none) < 1e-25
