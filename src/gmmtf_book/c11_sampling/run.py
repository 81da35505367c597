"""Whole data points from noise: who generates them, and how far they are from the law (C5, C3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gmmtf import fidelity, sampling
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import derived_seed
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c11_sampling.laws import cloud_path, sampler_times


def trained_weight(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, *, steps: int, n_points: int, seed: int
) -> dict[str, Any]:
    """Train the plain head from W = 0 in the limit of infinite batches, as a JSON value.

    ``pattern``: G ``[M][M]``; ``complement``: κ; ``start``, ``end``: excess risks.
    """
    records = list(
        descend(mixture, schedule, steps, n_points=n_points, record_every=steps, seed=seed)
    )
    weight = records[-1].weight
    return {
        **weight.as_json(),
        "start": records[0].excess_risk.value,
        "end": records[-1].excess_risk.value,
    }


def head(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    tilt_correction: bool = False,
    device: torch.device | str = "cpu",
) -> AttentionDenoiser:
    """Return the head with the full weight, in float32, without gradients."""
    found = AttentionDenoiser(mixture, schedule, tilt_correction=tilt_correction)
    with torch.no_grad():
        found.weight.copy_(weight.to_full(mixture))
    return found.requires_grad_(False).to(device)


def handing_over(first: Denoiser, then: Denoiser, time: int) -> Denoiser:
    """Let ``first`` denoise at times from ``time`` on, and ``then`` below; one time a batch."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        return first(x_t, t) if int(t[0]) >= time else then(x_t, t)

    return denoise


def generate(
    denoise: Denoiser,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    n_steps: int,
    eta: float,
    batch: int,
    seed: int,
    device: torch.device | str = "cpu",
    on_step: sampling.OnStep | None = None,
) -> Tensor:
    """Generate data points ``[batch, N, d]`` by DDIM; ``eta=1`` and T steps is ancestral sampling.

    The same seed gives the same noise to every denoiser.
    """
    return sampling.ddim(
        denoise,
        schedule,
        (batch, mixture.n_tokens, mixture.dim),
        n_calls=n_steps,
        eta=eta,
        generator=torch.Generator(device).manual_seed(seed),
        on_step=on_step,
    )


def distances(x: Tensor, mixture: MultiTokenGMM, *, seed: int) -> dict[str, Any]:
    """Distances of generated data points from the law as a JSON value (C5).

    The entries of :class:`gmmtf.fidelity.Fidelity`, an estimate as value and standard error, and
    those of :func:`cloud_moments`.
    """
    reference = mixture.sample(len(x), _stream(seed, 2), torch.float64).x_0
    found = fidelity.measure(x, mixture, reference, generator=_stream(seed, 3))
    values = {
        name: [value.value, value.standard_error] if isinstance(value, Estimate) else value
        for name, value in vars(found).items()
    }
    return values | cloud_moments(x, mixture)


def floor(mixture: MultiTokenGMM, *, batch: int, seed: int) -> dict[str, Any]:
    """Return the same distances for a sample of the law itself."""
    return distances(mixture.sample(batch, _stream(seed, 1)).x_0, mixture, seed=seed)


def cloud_moments(x: Tensor, mixture: MultiTokenGMM) -> dict[str, float]:
    """Return the second moments that a cloud predicts, of tokens ``[batch, N, d]``.

    ``spread_span``, ``spread_rest``: tokens about their data point's mean, per coordinate of the
    patterns' span and of its complement; ``centre_span``, ``centre_rest``: N times the mean square
    of the means.
    """
    x = x.to("cpu", torch.float64)
    unit = mixture.means / mixture.require_equal_orthogonal("the cloud")
    span = x @ unit.T
    free = mixture.dim - mixture.n_patterns
    mean, mean_span = x.mean(1), span.mean(1)
    spread = (x - mean[:, None]).square().sum((1, 2)).mean() / (mixture.n_tokens - 1)
    in_span = (span - mean_span[:, None]).square().sum((1, 2)).mean() / (mixture.n_tokens - 1)
    centre, centre_span = mean.square().sum(1).mean(), mean_span.square().sum(1).mean()
    n = mixture.n_tokens
    return {
        "spread_span": float(in_span) / mixture.n_patterns,
        "spread_rest": float(spread - in_span) / max(1, free),
        "centre_span": n * float(centre_span) / mixture.n_patterns,
        "centre_rest": n * float(centre - centre_span) / max(1, free),
    }


def predicted_moments(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    n_steps: int,
    eta: float,
    tilt_correction: bool = False,
) -> dict[str, float]:
    """Predict :func:`cloud_moments` of what a head generates from noise, without tokens."""
    times = sampler_times(schedule, n_steps)
    end = cloud_path(weight, mixture, schedule, times, eta=eta, tilt_correction=tilt_correction)[-1]
    return {
        "spread_span": float(end.covariance.diagonal()[:-1].mean()),
        "spread_rest": float(end.covariance[-1, -1]),
        "centre_span": float(end.drift.diagonal()[:-1].mean()),
        "centre_rest": float(end.drift[-1, -1]),
    }


def _stream(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(seed, stream))
