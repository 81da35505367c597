"""What the lecturers' problems ask to be shown is true."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from gmmtf import AttentionDenoiser, BayesDenoiser, MultiTokenGMM, NoiseSchedule, bayes_risk
from gmmtf.risks.first_step import descent_direction

RNG = np.random.default_rng(0)
SCHEDULE = NoiseSchedule.linear(1000)
DOUBLE = {"dtype": torch.float64}


def entropy(p: np.ndarray) -> float:
    return float(-p @ np.log(p))


def test_1_entropy_falls_by_strength_times_variance():
    s, beta, h = RNG.standard_normal(5), 1.3, 1e-5
    a = softmax(beta * s)
    slope = (entropy(softmax((beta + h) * s)) - entropy(softmax((beta - h) * s))) / (2 * h)
    assert slope == pytest.approx(-beta * (a @ s**2 - (a @ s) ** 2))


def test_2_two_patterns_start_alike():
    law = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=8, radius=3.0, sigma=0.4, weights=[0.1, 0.9])
    direction = descent_direction(law, SCHEDULE).pattern
    torch.testing.assert_close(
        direction, direction[0, 0] * torch.tensor([[1.0, -1], [-1, 1]]).double()
    )


def test_3_one_gate():
    law = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=2, radius=3.0, sigma=0.4)
    for t in (100, 300, 500):
        abar = float(SCHEDULE.alpha_bars[t])
        tau2 = abar * 0.16 + 1 - abar
        kappa = np.sqrt(abar / (2 * tau2)) * 3

        def mean(power, kappa=kappa):
            return quad(lambda g: norm.pdf(g) * np.tanh(kappa**2 + kappa * g) ** power, -9, 9)[0]

        gap = (1 - abar) / tau2**2 * abar * 9 / 12 * (1 - mean(2))
        found = bayes_risk(law, SCHEDULE, t=t)
        assert mean(1) == pytest.approx(mean(2))
        expected = abar * 0.16 / tau2 + gap
        assert found.value == pytest.approx(expected, abs=5 * found.standard_error + 1e-9)


def test_4_a_cheap_start():
    abar, x = 0.3, np.linspace(-9, 9, 20_001)
    points, shares = np.array([-1.5, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    p = shares @ norm.pdf(x, np.sqrt(abar) * points[:, None], np.sqrt(1 - abar))
    divergence = np.trapezoid(p * (np.log(p) - norm.logpdf(x)), x)
    bound = (abar * shares @ points**2 - (abar + np.log(1 - abar))) / 2
    assert 0 < divergence < bound


def few_active() -> MultiTokenGMM:
    return MultiTokenGMM(n_patterns=4, n_active=2, dim=6, n_tokens=6, radius=3.0, sigma=0.4)


def test_6_bayes_commutes_with_reordering():
    law = few_active()
    x = law.sample(3, torch.Generator().manual_seed(0), torch.float64).x_0
    t, order = torch.full((3,), 300), torch.randperm(6)
    bayes = BayesDenoiser(law, SCHEDULE)
    torch.testing.assert_close(bayes(x[:, order], t), bayes(x, t)[:, order])


def test_7_a_head_cannot_count():
    law = few_active()
    generator = torch.Generator().manual_seed(1)
    x = law.sample(3, generator, torch.float64).x_0 + torch.randn(
        3, 6, 6, generator=generator, **DOUBLE
    )
    t = torch.full((3,), 600)
    head = AttentionDenoiser(law, SCHEDULE, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.randn(6, 6, generator=generator, **DOUBLE))
        twice = torch.cat([x, x], 1)
        torch.testing.assert_close(head(twice, t)[:, :6], head(x, t))
    bayes = BayesDenoiser(law, SCHEDULE)
    assert float((bayes(twice, t)[:, :6] - bayes(x, t)).abs().max()) > 0.01


def test_8_repeated_attention_descends():
    tokens, beta = RNG.standard_normal((7, 3)), 1.7
    x = 2 * RNG.standard_normal(3)

    def energy(x):
        return x @ x / 2 - logsumexp(beta * tokens @ x) / beta

    for _ in range(5):
        y = softmax(beta * tokens @ x) @ tokens
        assert energy(x) - energy(y) >= (y - x) @ (y - x) / 2 - 1e-12
        x = y


def test_9_the_tilt_of_other_noise():
    tau, nu = 0.8, np.array([0.5, -1.2])
    eta = RNG.choice([-1.0, 1.0], (200_000, 2))
    patterns = np.array([[2.0, 0.0], [0.0, 2.0]])[RNG.choice(2, 200_000)]
    x = patterns + tau * eta
    weights = np.exp(x @ nu)
    noise = weights @ (tau * eta) / weights.sum()
    assert noise == pytest.approx(tau * np.tanh(tau * nu), abs=0.01)


def test_10_attention_to_second_order():
    x = RNG.exponential(size=(9, 2))
    nu = np.array([0.6, -0.3])
    centred = x - x.mean(0)
    h = 1e-3
    curve = [softmax(k * h * x @ nu) @ x for k in (-1, 0, 1)]
    assert (curve[2] - curve[0]) / (2 * h) == pytest.approx(centred.T @ centred @ nu / 9, rel=1e-4)
    third = ((centred @ nu) ** 2) @ centred / 9
    assert (curve[2] - 2 * curve[1] + curve[0]) / (2 * h**2) == pytest.approx(third / 2, rel=1e-3)


def test_11_the_signs_of_a_gradient_leave_the_family():
    turn, _ = np.linalg.qr(RNG.standard_normal((3, 3)))
    outside = []
    for basis in (turn, np.eye(3)):
        patterns, rest = basis[:, :2], basis[:, 2]
        delta = patterns[:, 0] - patterns[:, 1]
        step = np.sign(np.outer(delta, delta))
        outside.append(np.linalg.norm(patterns.T @ step @ rest))
    assert outside[0] > 0.1
    assert outside[1] == 0


def test_12_probabilities_differ_by_the_root_of_half_the_divergence():
    for _ in range(200):
        p, q = RNG.dirichlet(np.full(4, 0.5)) + 1e-9, RNG.dirichlet(np.full(4, 0.5)) + 1e-9
        divergence = p @ np.log(p / q)
        assert np.abs(p - q).sum() / 2 <= np.sqrt(divergence / 2)
        values = RNG.standard_normal(4)
        assert p @ values <= divergence + np.log(q @ np.exp(values)) + 1e-7


def test_13_the_posterior_mean_on_a_sphere():
    r, abar = 2.0, 0.6
    points = RNG.standard_normal((400_000, 3))
    points *= r / np.linalg.norm(points, axis=1, keepdims=True)
    x = np.array([0.4, -0.9, 0.7])
    weights = softmax(-((x - np.sqrt(abar) * points) ** 2).sum(1) / (2 * (1 - abar)))
    kappa = np.sqrt(abar) * r * np.linalg.norm(x) / (1 - abar)
    expected = r * (1 / np.tanh(kappa) - 1 / kappa) * x / np.linalg.norm(x)
    assert weights @ points == pytest.approx(expected, abs=0.01)


def test_14_when_a_drift_is_seen():
    s, delta, directions = 1.0, 0.2, 50
    steps = 2 * s**2 / delta**2 * np.sqrt(2 / directions)
    walk = np.sqrt(steps * s**2 / directions) * RNG.standard_normal((40_000, directions))
    squares = (walk**2).sum(1)
    assert squares.mean() + 2 * squares.std() == pytest.approx(
        steps * s**2 + (steps * delta) ** 2, rel=0.02
    )


def test_16_information_and_error():
    prior = np.array([0.2, 0.3, 0.5])  # of orthogonal patterns of length 1
    noise = RNG.standard_normal((40_000, 3))

    def error(gamma):
        total = 0.0
        for u, share in enumerate(prior):
            x = np.sqrt(gamma) * np.eye(3)[u] + noise
            p = softmax(np.log(prior) + np.sqrt(gamma) * x, 1)
            total += share * ((p - np.eye(3)[u]) ** 2).sum(1).mean()
        return total

    roots = np.linspace(0, 9, 61)  # γ = root², so that dγ = 2 root d root
    integral = np.trapezoid([2 * a * error(a**2) for a in roots], roots)
    assert integral == pytest.approx(2 * entropy(prior), rel=0.01)
