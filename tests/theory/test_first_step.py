"""The first step from W = 0 (theory result 1): simulated gradients against the formula."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from torch import Tensor

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws import posterior
from gmmtf.laws.level import noise_level
from gmmtf.risks import first_step
from gmmtf.risks.first_step import (
    descent_direction,
    exact_descent_direction,
    label_covariances,
    natural_step_size,
)
from gmmtf.risks.reduced_tokens import draw_tokens
from gmmtf.risks.simulation import squared_error
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(n_steps=40, beta_start=2e-3, beta_end=0.3)


def mixture_of(n_tokens: int, **changes: object) -> MultiTokenGMM:
    settings = {"n_patterns": 3, "dim": 10, "radius": 3.0, "sigma": 0.4, "weights": [0.6, 0.3, 0.1]}
    return MultiTokenGMM(**{**settings, "n_tokens": n_tokens, **changes})


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy_tokens(mixture: MultiTokenGMM, t: Tensor, generator: torch.Generator) -> Tensor:
    x_0 = mixture.sample(len(t), generator, torch.float64).x_0
    noise = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    return SCHEDULE.add_noise(x_0, t, noise)


# --- the formula, evaluated independently of the simulation ---


def label_covariance_moments(mixture: MultiTokenGMM) -> tuple[Tensor, Tensor]:
    """E[B] and E[B²] for B = diag(f) - f fᵀ, f the frequencies of the labels in a data point.

    By summing over every active set and every vector of label counts with its multinomial weight.
    """
    n, size = mixture.n_tokens, mixture.n_patterns
    sets = list(combinations(range(size), mixture.k))
    odds = mixture.log_set_weights.exp().tolist()
    products = [math.prod(odds[u] for u in active) for active in sets]
    mean, square = np.zeros((size, size)), np.zeros((size, size))
    for active, product in zip(sets, products, strict=True):
        chance = product / sum(products)
        pi = mixture.probabilities.numpy()[list(active)]
        counts = np.indices([n + 1] * mixture.k).reshape(mixture.k, -1).T
        counts = counts[counts.sum(1) == n]
        logs = gammaln(n + 1) + (counts * np.log(pi / pi.sum()) - gammaln(counts + 1)).sum(1)
        weight = np.exp(logs)
        assert weight.sum() == pytest.approx(1, abs=1e-9)
        f = np.zeros((len(counts), size))
        f[:, list(active)] = counts / n
        b = f[:, :, None] * np.eye(size) - f[:, :, None] * f[:, None, :]
        mean += chance * np.einsum("i,iuv->uv", weight, b)
        square += chance * np.einsum("i,iuv->uv", weight, b @ b)
    return torch.from_numpy(mean), torch.from_numpy(square)


def exact_direction(mixture: MultiTokenGMM, t: Tensor) -> tuple[Tensor, float]:
    """-∇L(0) at finite N, averaged over ``t``: its pattern part ``[M, M]``, and its γ part.

    Result 1 is (2c²/(Nd)) Σ_n E[x_n (√ᾱ m_n - x̄)ᵀ Ĉ]. Given the tokens, m_n is the mean of
    μ_{z_n}, so μ_{z_n} may take its place; given the labels the rest is Gaussian, with x̄ and Ĉ
    independent. With Σ the covariance of the scaled patterns over one data point's tokens,

        (2c²/d) ( E[Σ²] + τ²(N-1)/N E[Σ] + τ²/N (E tr Σ - τ²(N-1)/N) I ).
    """
    mean, square = label_covariance_moments(mixture)
    level = noise_level(mixture, SCHEDULE, t)
    n, power = mixture.n_tokens, level.signal**2 * mixture.radius**2
    inner = level.variance * (n - 1) / n
    front = 2 * level.gain**2 / mixture.dim
    on_all = front * level.variance / n * (power * mean.diagonal().sum() - inner)
    pattern = (front * power**2).mean() * square + (front * power * inner).mean() * mean
    return pattern + on_all.mean() * torch.eye(mixture.n_patterns), float(on_all.mean())


# --- simulated gradients ---


@pytest.mark.parametrize("k", [2, 3])
def test_gradient_at_zero_is_the_formula_on_every_batch(k):
    """Before any expectation, automatic differentiation gives result 1's integrand."""
    mixture = mixture_of(6, n_active=k)
    generator = seeded(0)
    t = torch.tensor([2, 10, 20, 35])
    x_t = noisy_tokens(mixture, t, generator)
    head = AttentionDenoiser(mixture, SCHEDULE, torch.float64)
    target = BayesDenoiser(mixture, SCHEDULE)(x_t, t)
    (gradient,) = torch.autograd.grad((head(x_t, t) - target).square().mean(), [head.weight])

    level = noise_level(mixture, SCHEDULE, t).for_tokens(x_t)
    given = posterior.posterior(mixture, SCHEDULE, x_t, t)
    mean = x_t.mean(1, keepdim=True)
    centred = x_t - mean
    covariance = centred.mT @ centred / mixture.n_tokens
    gap = level.signal * (given @ mixture.means) - mean
    each = 2 * level.gain**2 * (x_t.mT @ gap @ covariance) / (mixture.n_tokens * mixture.dim)
    torch.testing.assert_close(-gradient, each.mean(0), rtol=1e-10, atol=1e-14)


def full_directions(mixture: MultiTokenGMM, batches: int, seed: int) -> Tensor:
    """-gradient at W = 0 in coordinates (G, κ), a row a batch, by the full head."""
    generator = seeded(seed)
    head = AttentionDenoiser(mixture, SCHEDULE, torch.float64)
    bayes = BayesDenoiser(mixture, SCHEDULE)
    rows = []
    for _ in range(batches):
        t = stratified_times(SCHEDULE, SCHEDULE.n_steps, generator)
        x_t = noisy_tokens(mixture, t, generator)
        loss = (head(x_t, t) - bayes(x_t, t)).square().mean()
        (slope,) = torch.autograd.grad(loss, [head.weight])
        inside, _ = ReducedWeight.from_full(-slope, mixture)
        rows.append(torch.cat([inside.pattern.flatten(), inside.complement.view(1)]))
    return torch.stack(rows)


def reduced_directions(mixture: MultiTokenGMM, batches: int, seed: int) -> Tensor:
    """The same by the reduced simulation."""
    generator = seeded(seed)
    rows = []
    for _ in range(batches):
        t = stratified_times(SCHEDULE, SCHEDULE.n_steps, generator)
        drawn = draw_tokens(mixture, SCHEDULE, t, generator)
        zero = ReducedWeight.zero(mixture)
        at = [zero.pattern.requires_grad_(), zero.complement.requires_grad_()]
        errors = squared_error(ReducedWeight(*at), mixture, drawn)
        excess = (drawn.level.gain.flatten() ** 2 * errors).mean()
        pattern, complement = torch.autograd.grad(excess, at)
        rows.append(-torch.cat([pattern.flatten(), complement.view(1)]))
    return torch.stack(rows)


def exact_coordinates(mixture: MultiTokenGMM) -> Tensor:
    pattern, on_complement = exact_direction(mixture, torch.arange(SCHEDULE.n_steps))
    free = mixture.dim - mixture.n_patterns
    kappa = torch.tensor([on_complement * math.sqrt(free)], dtype=torch.float64)
    return torch.cat([pattern.flatten(), kappa])


@pytest.mark.parametrize("simulate", [full_directions, reduced_directions])
@pytest.mark.parametrize(("n", "k"), [(2, 3), (5, 3), (40, 3), (5, 2), (30, 2), (12, 1)])
def test_simulated_first_step_matches_the_finite_n_formula(simulate, n, k):
    mixture = mixture_of(n, n_active=k)
    rows = simulate(mixture, 300, seed=n + k)
    error = rows.std(0) / math.sqrt(len(rows))
    exact = exact_coordinates(mixture)
    z = (rows.mean(0) - exact) / error
    assert bool((z.abs() < 4).all()), z
    diagonal = [0, 4, 8] if k > 1 else []
    assert bool((exact[diagonal].abs() > 15 * error[diagonal]).all())  # the test can tell


def test_first_step_tends_to_the_limit_for_many_tokens():
    """The finite-N formula approaches ``descent_direction`` like 1/N; the simulation follows."""
    limit = descent_direction(mixture_of(2), SCHEDULE).pattern
    gaps = []
    for n in (32, 64, 128):
        pattern, on_complement = exact_direction(mixture_of(n), torch.arange(SCHEDULE.n_steps))
        gaps.append(float((pattern - limit).norm() / limit.norm()))
        assert abs(on_complement) < 3 / n * float(limit.norm())
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)
    assert gaps[1] / gaps[2] == pytest.approx(2, rel=0.05)
    mixture = mixture_of(128, dim=200)
    rows = reduced_directions(mixture, 12, seed=1)[:, :9]
    error = rows.std(0) / math.sqrt(len(rows))
    limit = descent_direction(mixture, SCHEDULE).pattern.flatten()
    room = gaps[2] * limit.norm()  # what is left of the 1/N
    assert bool(((rows.mean(0) - limit).abs() < 6 * error + room).all())
    assert float(error.max()) < 0.05 * float(limit.max())


@pytest.mark.parametrize(("n", "k"), [(2, 3), (5, 3), (40, 3), (5, 2), (30, 2), (12, 1)])
def test_the_library_formula_is_the_sum_over_all_label_counts(n, k):
    mixture = mixture_of(n, n_active=k)
    found = exact_descent_direction(mixture, SCHEDULE)
    coordinates = torch.cat([found.pattern.flatten(), found.complement[None]])
    torch.testing.assert_close(coordinates, exact_coordinates(mixture), rtol=1e-6, atol=1e-9)


UNEQUAL_SETS = [
    {"n_active": 2},
    {"n_active": 2, "weights": None, "inclusion": (0.9, 0.75, 0.35)},
    {"n_active": 1},
]


@pytest.mark.parametrize("changes", [{}, *UNEQUAL_SETS])
@pytest.mark.parametrize("n", [2, 3, 9])
def test_label_covariances_are_sums_over_all_label_counts(n, changes):
    mixture = mixture_of(n, **changes)
    for found, expected in zip(
        label_covariances(mixture), label_covariance_moments(mixture), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_moments_and_limit_are_the_same_however_few_sets_are_done_at_a_time(monkeypatch):
    mixture = MultiTokenGMM(
        n_patterns=5, dim=6, n_tokens=7, radius=3.0, sigma=0.4, n_active=3,
        inclusion=(0.2, 0.4, 0.7, 0.8, 0.9),
    )  # fmt: skip
    whole = [*label_covariances(mixture), descent_direction(mixture, SCHEDULE).pattern]
    monkeypatch.setattr(first_step, "_PART_ELEMENTS", 3 * 25)  # of ten sets
    parts = [*label_covariances(mixture), descent_direction(mixture, SCHEDULE).pattern]
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("changes", UNEQUAL_SETS)
def test_the_limit_with_few_active_patterns_is_that_of_the_exact_step(changes):
    limit = descent_direction(mixture_of(2, **changes), SCHEDULE).pattern
    gaps = []
    for n in (10**3, 2 * 10**3, 10**7):
        exact = exact_descent_direction(mixture_of(n, **changes), SCHEDULE)
        gaps.append(float((exact.pattern - limit).norm()))
        assert float(exact.complement.abs()) < 10 / n
    scale = float(exact_descent_direction(mixture_of(2), SCHEDULE).pattern.norm())
    assert gaps[2] < 1e-6 * scale
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.01)
    if mixture_of(2, **changes).k == 1:  # one pattern: nothing to select
        assert float(limit.abs().max()) == 0
    else:
        assert float(limit[0, 1]) < 0 < float(limit[0, 0])


@pytest.mark.parametrize("k", [2, 3])
def test_the_limit_for_patterns_that_are_not_orthogonal_is_the_mean_over_active_sets(k):
    """E (2c²ᾱ/d) C (ᾱC + τ²I) in the d dimensions of the tokens, set by set."""
    patterns = torch.tensor([[2.0, 0.5, 0, 1], [0.3, 1.5, -1, 0], [0.0, 1.0, 1, 2]]).double()
    pi = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mixture = MultiTokenGMM.from_patterns(patterns, n_tokens=4, sigma=0.4, weights=pi, n_active=k)
    level = noise_level(mixture, SCHEDULE, torch.arange(SCHEDULE.n_steps))
    sets = list(combinations(range(3), k))
    total = torch.zeros(4, 4, dtype=torch.float64)
    for active in sets:
        share = pi[list(active)] / pi[list(active)].sum()
        given = patterns[list(active)]
        mean = share @ given
        covariance = (share[:, None] * given).T @ given - torch.outer(mean, mean)
        for signal, variance, gain in zip(*level, strict=True):
            inner = signal**2 * covariance + variance * torch.eye(4).double()
            total += 2 * gain**2 * signal**2 / 4 * covariance @ inner / len(sets)
    expected = patterns @ (total / SCHEDULE.n_steps) @ patterns.T
    found = descent_direction(mixture, SCHEDULE).products(mixture)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_too_many_sets_are_refused_with_their_number():
    mixture = MultiTokenGMM(n_patterns=40, dim=40, n_tokens=4, radius=3.0, sigma=0.4, n_active=20)
    for refused in (
        lambda: descent_direction(mixture, SCHEDULE),
        lambda: exact_descent_direction(mixture, SCHEDULE),
        lambda: label_covariances(mixture),
    ):
        with pytest.raises(ValueError, match=rf"C\(40, 20\) = {math.comb(40, 20)} active sets"):
            refused()


def test_the_natural_step_size_is_k_m_d_over_the_sixth_power_of_the_norm():
    assert natural_step_size(mixture_of(6)) == pytest.approx(3 * 3 * 10 / 3.0**6)
    assert natural_step_size(mixture_of(6, n_active=2)) == pytest.approx(2 * 3 * 10 / 3.0**6)
