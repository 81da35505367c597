"""The price of an excess risk: by how much it can move the law of what is generated (C5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import derived_seed, standard_normal
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf.schedule import NoiseSchedule


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
    denoise: Denoiser,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    n_samples: int,
    generator: torch.Generator | None = None,
) -> Estimate:
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
    ratio = _log_density(mixture, schedule, x)
    for t in range(1, schedule.n_steps):
        step = standard_normal(x.shape, generator, torch.float64)
        later = math.sqrt(1 - betas[t]) * x + math.sqrt(betas[t]) * step
        times = torch.full((n_samples,), t)
        x_0 = schedule.noise_to_x0(later, times, denoise(later, times))
        mean = math.sqrt(abars[t - 1]) * betas[t] * x_0
        mean = mean + math.sqrt(1 - betas[t]) * (1 - abars[t - 1]) * later
        variance = betas[t] * (1 - abars[t - 1]) / (1 - abars[t])
        ratio = ratio + _log_normal(step, 1.0, betas[t])
        ratio = ratio - _log_normal(x - mean / (1 - abars[t]), variance, variance)
        x = later
    return Estimate.from_samples(ratio - _log_normal(x, 1.0, 1.0))


def _log_normal(x: Tensor, variance: float, scale: float) -> Tensor:
    """Σ over coordinates of -x²/(2 variance) - log(2π scale)/2, ``[batch]``."""
    return (-x.square() / (2 * variance) - math.log(2 * math.pi * scale) / 2).sum((1, 2))


def _log_density(mixture: MultiTokenGMM, schedule: NoiseSchedule, x: Tensor) -> Tensor:
    """Log density of noisy data points at time 0 for K = M, ``[batch]``."""
    level = noise_level(mixture, schedule, torch.tensor(0))
    centred = x[:, :, None, :] - level.signal * mixture.means
    variance = float(level.variance)
    joint = mixture.probabilities.log() - centred.square().sum(-1) / (2 * variance)
    constant = mixture.dim * math.log(2 * math.pi * variance) / 2
    return (joint.logsumexp(-1) - constant).sum(1)


def risk_at(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    time: int,
    *,
    n_samples: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[float]:
    """Excess risk of the plain head at one time by the reduced simulation: value, error."""
    generator = torch.Generator(device).manual_seed(derived_seed(seed, time))
    found = risk(
        weight, mixture, schedule, t=time, method="simulation", n_samples=n_samples,
        generator=generator, bayes=Estimate(0.0),
    ).excess_risk  # fmt: skip
    return [found.value, found.standard_error]


def predicted_risks(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    tilt_correction: bool = False,
    n_points: int = 256,
) -> list[float]:
    """Excess risks of the head at some times by the expansion."""
    scalars = HeadScalars(tilt_correction=float(tilt_correction))
    return [
        risk(weight, mixture, schedule, t=t, head=scalars, n_points=n_points)
        .excess_risk.value
        for t in times
    ]  # fmt: skip


def label_gaps(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, times: Sequence[int]
) -> list[float]:
    """Bayes minus oracle risk at some times: the price of not knowing the labels."""
    return [
        bayes_risk(mixture, schedule, t=t, n_points=1024).value
        - oracle_risk(mixture, schedule, t=t)
        for t in times
    ]


def price(
    times: Sequence[int], risks: Sequence[float], mixture: MultiTokenGMM, schedule: NoiseSchedule
) -> Tensor:
    """Cumulative price d Σ_{s ≤ t} w_s (risk at s) in nats per token, float64 ``[T]``.

    Between the given times, which rise, the risk is interpolated linearly.
    """
    grid = torch.arange(schedule.n_steps, dtype=torch.float64)
    known = torch.as_tensor(times, dtype=torch.float64)
    values = torch.as_tensor(risks, dtype=torch.float64)
    right = torch.searchsorted(known, grid).clamp(1, len(known) - 1)
    share = (grid - known[right - 1]) / (known[right] - known[right - 1])
    between = torch.lerp(values[right - 1], values[right], share.clamp(0, 1))
    return mixture.dim * torch.cumsum(step_weights(schedule) * between, 0)
