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
from gmmtf.risks.first_step import (
    descent_direction,
    exact_descent_direction,
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
    mean, square = np.zeros((size, size)), np.zeros((size, size))
    for active in sets:
        pi = mixture.probabilities.numpy()[list(active)]
        counts = np.indices([n + 1] * mixture.k).reshape(mixture.k, -1).T
        counts = counts[counts.sum(1) == n]
        logs = gammaln(n + 1) + (counts * np.log(pi / pi.sum()) - gammaln(counts + 1)).sum(1)
        weight = np.exp(logs)
        assert weight.sum() == pytest.approx(1, abs=1e-9)
        f = np.zeros((len(counts), size))
        f[:, list(active)] = counts / n
        b = f[:, :, None] * np.eye(size) - f[:, :, None] * f[:, None, :]
        mean += np.einsum("i,iuv->uv", weight, b) / len(sets)
        square += np.einsum("i,iuv->uv", weight, b @ b) / len(sets)
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


def test_the_limit_of_many_tokens_needs_all_patterns_active():
    with pytest.raises(ValueError, match="n_active: the first-step formula needs all 3 patterns"):
        descent_direction(mixture_of(6, n_active=2), SCHEDULE)


def test_the_natural_step_size_is_k_m_d_over_the_sixth_power_of_the_norm():
    assert natural_step_size(mixture_of(6)) == pytest.approx(3 * 3 * 10 / 3.0**6)
    assert natural_step_size(mixture_of(6, n_active=2)) == pytest.approx(2 * 3 * 10 / 3.0**6)
