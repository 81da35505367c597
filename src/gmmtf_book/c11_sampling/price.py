"""The price of an excess risk: by how much it can move the law of what is generated (C5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, bayes_risk, oracle_risk
from gmmtf.denoisers import Denoiser
from gmmtf.laws.level import noise_level
from gmmtf.randomness import standard_normal
from gmmtf_book.c11_sampling.plan import SCHEDULE


def step_weights(schedule: NoiseSchedule) -> Tensor:
    """Price w_t = β_t/(2 α_t (1-ᾱ_{t-1})) of an excess risk at time t, float64 ``[T]``.

    By N d Σ_t w_t (excess risk at t) the Kullback-Leibler divergence of the true path from that of
    ancestral sampling exceeds its value for the Bayes denoiser. w_0 = 0: the last step draws
    nothing, and the divergence is that at t = 0.
    """
    weights = torch.zeros_like(schedule.betas)
    before = schedule.alpha_bars[:-1]
    weights[1:] = schedule.betas[1:] / (2 * schedule.alphas[1:] * (1 - before))
    return weights


@torch.no_grad()
def path_divergence(
    denoise: Denoiser, mixture: MultiTokenGMM, schedule: NoiseSchedule, *, n_samples: int,
    generator: torch.Generator | None = None,
) -> Estimate:  # fmt: skip
    """Divergence of the true path X_0, ..., X_{T-1} from ancestral sampling's, nats per data point.

    Monte Carlo of the logarithm of the density ratio on drawn paths, without any formula for
    risks. Raises ``ValueError`` if K < M, where the density is not a product over tokens.
    """
    if mixture.k < mixture.n_patterns:
        raise ValueError(f"n_active: expected all {mixture.n_patterns} patterns, got {mixture.k}")
    abars, betas = schedule.alpha_bars.tolist(), schedule.betas.tolist()
    clean = mixture.sample(n_samples, generator, torch.float64).x_0
    first = torch.zeros(n_samples, dtype=torch.long)
    x = schedule.add_noise(clean, first, standard_normal(clean.shape, generator, torch.float64))
    level = noise_level(mixture, schedule, torch.tensor(0))
    component = _log_normal(x[:, :, None, :] - level.signal * mixture.means, float(level.variance))
    ratio = (mixture.probabilities.log() + component.sum(-1)).logsumexp(-1).sum(1)
    for t in range(1, schedule.n_steps):
        step = standard_normal(x.shape, generator, torch.float64)
        later = math.sqrt(1 - betas[t]) * x + math.sqrt(betas[t]) * step
        times = torch.full((n_samples,), t)
        x_0 = schedule.noise_to_x0(later, times, denoise(later, times))
        mean = math.sqrt(abars[t - 1]) * betas[t] * x_0
        mean = (mean + math.sqrt(1 - betas[t]) * (1 - abars[t - 1]) * later) / (1 - abars[t])
        variance = betas[t] * (1 - abars[t - 1]) / (1 - abars[t])
        forward = _log_normal(later - math.sqrt(1 - betas[t]) * x, betas[t])
        ratio = ratio + (forward - _log_normal(x - mean, variance)).sum((1, 2))
        x = later
    return Estimate.from_samples(ratio - _log_normal(x, 1.0).sum((1, 2)))


def _log_normal(x: Tensor, variance: float) -> Tensor:
    """Log density of a centred normal number, by coordinate."""
    return -x.square() / (2 * variance) - math.log(2 * math.pi * variance) / 2


def label_gaps(mixture: MultiTokenGMM, times: Sequence[int]) -> list[float]:
    """Bayes minus oracle risk at some times: the price of not knowing the labels."""
    return [
        bayes_risk(mixture, SCHEDULE, t=t, n_points=1024).value
        - oracle_risk(mixture, SCHEDULE, t=t)
        for t in times
    ]


def price(risks: pd.DataFrame, mixture: MultiTokenGMM) -> pd.DataFrame:
    """Cumulative price d Σ_{s ≤ t} w_s (risk at s) in nats per token, a row a time.

    ``risks``: a row for each of some times, which rise. Between them risks are interpolated
    linearly.
    """
    times, weights = np.arange(SCHEDULE.n_steps), step_weights(SCHEDULE).numpy()
    between = {name: np.interp(times, risks.index, column) for name, column in risks.items()}
    return mixture.dim * pd.DataFrame(between, index=times).mul(weights, axis=0).cumsum()


def entropy(mixture: MultiTokenGMM) -> float:
    """Entropy H(π) of a label, in nats."""
    pi = mixture.probabilities
    return -float((pi * pi.log()).sum())


def cloud_divergence(mixture: MultiTokenGMM) -> float:
    """Divergence per token of the law from one Gaussian with its mean and covariance."""
    pi = mixture.probabilities.double()
    unit = mixture.require_equal_orthogonal("the price of one cloud") / mixture.sigma
    between = unit**2 * (pi.diag() - torch.outer(pi, pi))
    broad = torch.linalg.slogdet(torch.eye(len(pi), dtype=pi.dtype) + between).logabsdet / 2
    return float(broad) - entropy(mixture)
