"""The Bayes denoiser by computations that share nothing with its derivation."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, product

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import draw_noisy
from gmmtf.schedule import NoiseSchedule


def by_enumeration(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, x_t: Tensor, t: Tensor
) -> Tensor:
    """E[eps | X] as a sum over all M^N label sequences."""
    sequences = torch.tensor(list(product(range(mixture.n_patterns), repeat=mixture.n_tokens)))
    prior = torch.zeros(len(sequences), dtype=torch.float64)
    sets = list(combinations(range(mixture.n_patterns), mixture.k))
    for chosen in sets:
        weights = torch.zeros_like(mixture.probabilities)
        weights[list(chosen)] = mixture.probabilities[list(chosen)]
        prior += (weights / weights.sum())[sequences].prod(1) / len(sets)
    level = noise_level(mixture, schedule, t).for_tokens(x_t)
    centred = x_t[:, None] - level.signal[:, None] * mixture.means[sequences]
    log_likelihood = -centred.square().sum((2, 3)) / (2 * level.variance[..., 0])
    weights = torch.softmax(prior.log() + log_likelihood, dim=1)
    return level.gain * (weights[:, :, None, None] * centred).sum(1)


def difference_from_enumeration(schedule: NoiseSchedule, generator: torch.Generator) -> float:
    """Worst difference over the schedule, for a tiny mixture with K = M and with K < M."""
    worst, pi = 0.0, [0.2, 0.3, 0.5]
    tiny = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=5, radius=2.0, sigma=0.5, weights=pi)
    t = torch.arange(0, schedule.n_steps, max(1, schedule.n_steps // 40))
    for mixture in (tiny, replace(tiny, n_active=2)):
        x_t = draw_noisy(mixture, schedule, t, generator, torch.float64).x_t
        exact = by_enumeration(mixture, schedule, x_t, t)
        difference = exact - BayesDenoiser(mixture, schedule)(x_t, t)
        worst = max(worst, float(difference.abs().max()))
    return worst


def difference_from_quadrature(schedule: NoiseSchedule, generator: torch.Generator) -> float:
    """Worst difference from the integral over the noise of a token in the plane."""
    worst, pi = 0.0, [0.3, 0.7]
    flat = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=2, radius=2.0, sigma=0.5, weights=pi)
    components = Independent(Normal(flat.means, flat.sigma), 1)
    p_0 = MixtureSameFamily(Categorical(flat.probabilities), components)
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    eps = torch.cartesian_prod(axis, axis)
    for t in (schedule.n_steps // 5, schedule.n_steps // 2, schedule.n_steps * 3 // 5):
        times = torch.tensor([t])
        abar = schedule.alpha_bar(times)
        x_t = torch.randn(1, 2, 2, generator=generator, dtype=torch.float64)
        estimate = BayesDenoiser(flat, schedule)(x_t, times)[0]
        for token, found in zip(x_t[0], estimate, strict=True):
            log_weight = p_0.log_prob((token - math.sqrt(1 - abar) * eps) / math.sqrt(abar))
            weight = torch.softmax(log_weight - eps.square().sum(1) / 2, dim=0)
            worst = max(worst, float((weight @ eps - found).abs().max()))
    return worst
