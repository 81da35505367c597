"""The DDPM objective, and how far a denoiser is from the optimum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import generator_device, standard_normal
from gmmtf.schedule import NoiseSchedule, stratified_times


@dataclass(frozen=True)
class Evaluation:
    """Risks of a denoiser, per coordinate.

    ``loss``: E‖ε - f‖²/(Nd), the DDPM objective (C3). ``excess_risk``: E‖f - ε^B‖²/(Nd), which
    equals the loss minus the Bayes risk and has far less variance than that difference.
    ``score_error``: E‖s_f - s‖²/(Nd) = E[excess risk at t / (1-ᾱ_t)] (C5).
    """

    loss: Estimate
    excess_risk: Estimate
    score_error: Estimate


def ddpm_loss(
    denoise: Denoiser, schedule: NoiseSchedule, x_0: Tensor, t: Tensor, noise: Tensor
) -> Tensor:
    """DDPM's noise-prediction loss on one batch: a scalar (C3).

    Parameters
    ----------
    x_0, noise
        Clean data and standard normal noise, both ``[batch, ...]``.
    t
        Times, integers ``[batch]``.

    Raises
    ------
    ValueError
        If shapes or times do not fit.
    """
    predicted = _checked(denoise, schedule.add_noise(x_0, t, noise), t)
    return (predicted - noise).square().mean()


@torch.no_grad()
def evaluate(
    denoise: Denoiser,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: int | None = None,
    n_samples: int = 256,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Evaluation:
    """Loss, excess risk and score-matching error of a denoiser by Monte Carlo (F2A).

    Parameters
    ----------
    t
        A time, or None for times stratified over the schedule.
    n_samples
        Number of data points.
    generator
        Source of the randomness; its device is where the data are drawn.

    Raises
    ------
    ValueError
        If the denoiser returns another shape than it is given, or an argument is out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    if n_samples < 2:
        raise ValueError(f"n_samples: expected at least 2, got {n_samples}")
    if t is None:
        times = stratified_times(schedule, n_samples, generator)
    else:
        times = torch.full((n_samples,), t, device=generator_device(generator))
    bayes = BayesDenoiser(mixture, schedule)
    losses, excesses = [], []
    for batch_times in torch.split(times, batch_size):
        x_0 = mixture.sample(len(batch_times), generator, dtype).x_0
        noise = standard_normal(x_0.shape, generator, dtype)
        x_t = schedule.add_noise(x_0, batch_times, noise)
        predicted = _checked(denoise, x_t, batch_times)
        losses.append(_mean_square(predicted - noise))
        excesses.append(_mean_square(predicted - bayes(x_t, batch_times)))
    excess = torch.cat(excesses)
    estimate = Estimate.from_strata if t is None else Estimate.from_samples
    return Evaluation(
        loss=estimate(torch.cat(losses)),
        excess_risk=estimate(excess),
        score_error=estimate(excess / (1 - schedule.alpha_bar(times))),
    )


def _mean_square(difference: Tensor) -> Tensor:
    """Mean square of each data point's coordinates, float64 ``[batch]``."""
    return difference.double().square().flatten(1).mean(1)


def _checked(denoise: Denoiser, x_t: Tensor, t: Tensor) -> Tensor:
    predicted = denoise(x_t, t)
    if predicted.shape != x_t.shape:
        raise ValueError(
            f"denoise: expected a noise of shape {tuple(x_t.shape)}, got {tuple(predicted.shape)}"
        )
    return predicted
