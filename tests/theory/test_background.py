"""The statements of the background pages on softmax, Stein and divergences, by other means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import logsumexp, rel_entr, softmax
from scipy.stats import norm

RNG = np.random.default_rng(0)
DOUBLE = {"dtype": torch.float64}


def normals(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.standard_normal(shape))


def entropy(p: np.ndarray) -> float:
    return float(rel_entr(p, 1.0).sum() * -1)


@pytest.mark.parametrize("n", [2, 5])
def test_gibbs_principle_at_any_and_at_the_best_probabilities(n):
    s = 2 * RNG.standard_normal(n)
    for p in RNG.dirichlet(np.ones(n), 20):
        left = p @ s + entropy(p)
        assert left == pytest.approx(logsumexp(s) - rel_entr(p, softmax(s)).sum())
        assert left < logsumexp(s)
    best = minimize(
        lambda p: -(p @ s) - entropy(np.maximum(p, 1e-12)),
        np.ones(n) / n,
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-12},
    )
    assert -best.fun == pytest.approx(logsumexp(s))
    assert best.x == pytest.approx(softmax(s), abs=1e-4)


@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0, 30.0])
def test_three_bounds(scale):
    s = scale * RNG.standard_normal(7)
    lse, mean = logsumexp(s), softmax(s) @ s
    slack = 1e-12
    assert s.max() - slack <= lse <= s.max() + np.log(7) + slack
    assert mean + slack >= lse - np.log(7) >= s.mean() - slack
    if scale == 0:  # the first question of the page
        assert lse == pytest.approx(s.max() + np.log(7))
        assert mean == pytest.approx(lse - np.log(7)) == s.mean()


def test_derivatives_are_covariances_under_attention():
    s, x = normals(6), normals(6, 3)
    a = s.softmax(0)
    centred = x - a @ x
    slopes = torch.autograd.functional.jacobian(lambda s: s.softmax(0) @ x, s)
    torch.testing.assert_close(slopes, (a[:, None] * centred).T)
    torch.testing.assert_close(torch.func.grad(lambda s: torch.logsumexp(s, 0))(s), a)
    nu = normals(3)
    a = (x @ nu).softmax(0)
    y = a @ x
    torch.testing.assert_close(torch.func.grad(lambda nu: torch.logsumexp(x @ nu, 0))(nu), y)
    covariance = torch.autograd.functional.jacobian(lambda nu: (x @ nu).softmax(0) @ x, nu)
    torch.testing.assert_close(covariance, (x - y).T @ ((x - y) * a[:, None]))


def test_strength_moves_the_mean_score_by_its_variance():
    s = torch.tensor([1.0, -0.5, 0.3, 1.0], **DOUBLE)
    beta = torch.tensor(0.7, **DOUBLE)
    a = (beta * s).softmax(0)
    slope = torch.func.grad(lambda b: (b * s).softmax(0) @ s)(beta)
    torch.testing.assert_close(slope, a @ s**2 - (a @ s) ** 2)
    assert softmax(1e-9 * s.numpy()) == pytest.approx(np.ones(4) / 4)
    assert softmax(1e3 * s.numpy()) == pytest.approx([0.5, 0, 0, 0.5])


def hermite(dim: int, n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of the standard normal law."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    grid = torch.tensor(list(itertools.product(nodes, repeat=dim)), **DOUBLE)
    each = torch.tensor(list(itertools.product(weights, repeat=dim)), **DOUBLE).prod(1)
    return grid, each / each.sum()


def test_stein_with_any_mean_and_covariance():
    m = torch.tensor([0.3, -0.2], **DOUBLE)
    root = torch.tensor([[0.8, 0.0], [0.5, 0.6]], **DOUBLE)
    g, w = hermite(2)
    x = m + g @ root.T

    def tame(x):
        return torch.exp(0.4 * x[..., 0]) * torch.sin(x[..., 1]) + x[..., 0] ** 3

    gradient = torch.func.vmap(torch.func.grad(tame))(x)
    covariance = root @ root.T
    torch.testing.assert_close(w @ ((x - m) * tame(x)[:, None]), covariance @ (w @ gradient))
    nu = torch.tensor([0.7, -0.4], **DOUBLE)
    tilted = w * torch.exp(x @ nu)
    torch.testing.assert_close(tilted @ x / tilted.sum(), m + covariance @ nu)


SIGNALS = torch.tensor([[1.0, 0.0], [-0.5, 0.8], [0.2, -1.1]], **DOUBLE)
PRIOR = torch.tensor([0.5, 0.2, 0.3], **DOUBLE)
TAU = 0.7


def log_density(x):
    squares = (x - SIGNALS).square().sum(-1)
    return torch.logsumexp(PRIOR.log() - squares / (2 * TAU**2), 0)


def posterior(x):
    return (PRIOR.log() - (x - SIGNALS).square().sum(-1) / (2 * TAU**2)).softmax(0)


def test_tweedie_and_the_derivative_of_a_posterior_mean():
    for x in normals(5, 2):
        p = posterior(x)
        mean = p @ SIGNALS
        torch.testing.assert_close(mean, x + TAU**2 * torch.func.grad(log_density)(x))
        slope = torch.autograd.functional.jacobian(lambda x: posterior(x) @ SIGNALS, x)
        centred = SIGNALS - mean
        torch.testing.assert_close(slope, centred.T @ (centred * p[:, None]) / TAU**2)
        hessian = torch.autograd.functional.hessian(log_density, x)
        torch.testing.assert_close(slope, torch.eye(2, **DOUBLE) + TAU**2 * hessian)


def test_what_an_estimate_catches_of_the_noise_is_its_error():
    eta, w = hermite(2, 60)
    caught = error = spread = 0.0
    for share, signal in zip(PRIOR, SIGNALS, strict=True):
        p = torch.func.vmap(posterior)(signal + TAU * eta)
        mean = p @ SIGNALS
        caught += share * TAU * (w @ (eta * mean).sum(1))
        error += share * (w @ (mean - signal).square().sum(1))
        spread += share * (w @ (p @ SIGNALS.square().sum(1) - mean.square().sum(1)))
    assert float(caught) == pytest.approx(float(error), rel=1e-6)
    assert float(spread) == pytest.approx(float(error), rel=1e-6)


def test_the_error_of_a_conditional_mean_is_orthogonal_but_not_independent():
    joint = RNG.dirichlet(np.ones(12)).reshape(3, 4)  # of X and Y
    y, f = RNG.standard_normal((4, 2)), RNG.standard_normal((3, 2))
    mean = joint @ y / joint.sum(1, keepdims=True)
    left, right = y[None] - mean[:, None], f[:, None]
    assert (joint * (left * right).sum(2)).sum() == pytest.approx(0, abs=1e-15)
    square = (joint * ((y[None] - right) ** 2).sum(2)).sum()
    parts = (joint * (left**2).sum(2)).sum() + (joint.sum(1) * ((mean - f) ** 2).sum(1)).sum()
    assert square == pytest.approx(parts)
    spread = (joint * (left**2).sum(2)).sum(1) / joint.sum(1)
    assert np.ptp(spread) > 0.1


def test_chain_rule_and_marginal():
    p, q = (RNG.dirichlet(np.ones(12)).reshape(2, 3, 2) for _ in range(2))

    def given(law, k):
        before = law.sum(tuple(range(k + 1, 3)), keepdims=True)
        return before / before.sum(k, keepdims=True)

    terms = [(p * np.log(given(p, k) / given(q, k))).sum() for k in range(3)]
    assert rel_entr(p, q).sum() == pytest.approx(sum(terms))
    assert min(terms) > 0
    last = rel_entr(p.sum((0, 1)), q.sum((0, 1))).sum()
    assert 0 < last < rel_entr(p, q).sum()
    event = np.array([True, False])[None, None]
    conditioned = np.where(event, p, 0) / p[..., 0].sum()
    assert q[..., 0].sum() >= np.exp(-rel_entr(conditioned, q).sum())


def test_divergence_from_a_normal_law_splits_at_the_mean():
    def density(x):
        return 0.3 * norm.pdf(x, -1, 0.4) + 0.7 * norm.pdf(x, 1, 0.6)

    def divergence(centre):
        def integrand(x):
            return density(x) * (np.log(density(x)) - norm.logpdf(x, centre, 0.5**0.5))

        return quad(integrand, -6, 6, limit=200)[0]

    mean = 0.3 * -1 + 0.7
    assert divergence(0.1) == pytest.approx(divergence(mean) + (mean - 0.1) ** 2 / (2 * 0.5))


def test_girsanov_for_chains_is_the_divergence_of_two_normal_laws_of_paths():
    h, g, n = 0.1, 0.7, 6
    pull, other, push = -0.8, -0.3, 0.5  # b = pull x, b' = other x + push

    def law(slope, constant):
        """Mean and covariance of the path: start N(1, 0.2), then the steps, by linear algebra."""
        steps = np.eye(n) - (1 + h * slope) * np.eye(n, k=-1)
        inverse = np.linalg.inv(steps)
        noise = np.diag([0.2] + [h * g**2] * (n - 1))
        return inverse @ np.array([1.0] + [h * constant] * (n - 1)), inverse @ noise @ inverse.T

    (m, c), (m_q, c_q) = law(pull, 0.0), law(other, push)
    whole = np.trace(np.linalg.solve(c_q, c)) - n + np.linalg.slogdet(c_q)[1]
    whole += (m - m_q) @ np.linalg.solve(c_q, m - m_q) - np.linalg.slogdet(c)[1]
    differ = pull - other
    squares = differ**2 * np.diag(c) + (differ * m - push) ** 2
    assert whole / 2 == pytest.approx(h * squares[:-1].sum() / (2 * g**2))


def test_girsanov_weight_turns_one_diffusion_into_the_other():
    """Drift 0 under p and g sin(X) under q, so that u = -sin X; start at 0.5."""
    rng = np.random.default_rng(3)
    g, steps, n = 0.9, 100, 20_000
    h = 1 / steps
    x, log_z, y = np.full(n, 0.5), np.zeros(n), np.full(n, 0.5)
    for _ in range(steps):
        noise, u = np.sqrt(h) * rng.standard_normal(n), -np.sin(x)
        log_z -= u * noise + h * u**2 / 2
        x += g * noise
        y += g * np.sin(y) * h + g * np.sqrt(h) * rng.standard_normal(n)
    z = np.exp(log_z)
    for found, expected in ((z, 1), (z * x, y.mean()), (z * np.cos(2 * x), np.cos(2 * y).mean())):
        assert found.mean() == pytest.approx(expected, abs=4.5 * found.std() / n**0.5)
    # Half the integral of E sin² X, with X normal around 0.5 and variance g² s.
    exact = quad(lambda s: (1 - np.cos(1.0) * np.exp(-2 * g**2 * s)) / 4, 0, 1)[0]
    assert -log_z.mean() == pytest.approx(exact, abs=4.5 * log_z.std() / n**0.5)


def test_reverse_process_undoes_the_forward_one_on_normal_data():
    """Variance by both equations, for data of variance 0.3 and β = 2 per unit of time."""
    beta, n = 2.0, 20_000
    h = 1 / n
    forward = 1 - 0.7 * np.exp(-beta * h * np.arange(n, 0, -1))
    variance = forward[0]
    for v in forward:  # drift (β/2) X - β X/v, and noise β
        variance += h * (2 * (beta / 2 - beta / v) * variance + beta)
    assert variance == pytest.approx(0.3, abs=1e-3)
