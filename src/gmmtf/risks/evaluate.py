"""The DDPM objective, and how far a denoiser is from the optimum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gmmtf.arguments import checked, count, shown
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.optimal import optimal_denoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.law import Law
from gmmtf.laws.noisy import draw_noisy
from gmmtf.randomness import generator_device
from gmmtf.schedule import NoiseSchedule, Times, stratified_times

_BATCH_BYTES = 2**28  # the working memory is a few times that


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


@checked
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


@checked
@torch.no_grad()
def evaluate(
    denoise: Denoiser,
    law: Law,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    n_samples: int = 256,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Evaluation:
    """Loss, excess risk and score-matching error of a denoiser by Monte Carlo (F2A).

    The optimal denoiser is computed in float64 whatever the data's ``dtype`` is.
    A module is evaluated on its device and in its evaluation mode, and keeps the mode it had.

    Parameters
    ----------
    law
        Any law that has an :func:`~gmmtf.denoisers.optimal.optimal_denoiser`.
    t
        A time, several, or None for all of the schedule; several are stratified.
    n_samples
        Number of data points.
    batch_size
        Largest number of data points at a time; fewer where they would take more than 256 MB.
    generator
        Source of the randomness; its device is where the data are drawn.

    Raises
    ------
    ValueError
        If the denoiser returns another shape than it is given, or an argument is out of range.
    FloatingPointError
        If what the denoiser returns is not finite.
    TypeError
        If the law has no optimal denoiser.
    """
    batch_size = count("batch_size", batch_size, 1)
    n_samples = count("n_samples", n_samples, 2)
    chosen = schedule.times(t)
    single = t is not None and len(chosen) == 1
    if single:
        times = chosen.to(generator_device(generator)).expand(n_samples)
    else:
        times = stratified_times(schedule, n_samples, generator, t=t)
    optimum = optimal_denoiser(law, schedule)
    device = _device(denoise)
    losses, excesses = [], []
    with evaluation_mode(denoise):
        for batch_times in torch.split(times, min(batch_size, _fitting(law))):
            x_t, now, noise = draw_noisy(law, schedule, batch_times, generator, dtype)[:3]
            predicted = _checked(denoise, x_t.to(device), now.to(device)).to(x_t.device)
            losses.append(_mean_square(predicted - noise))
            del noise  # each tensor of the size of the batch goes when it has served
            best = optimum(x_t.double(), now)
            del x_t
            excesses.append(_mean_square(predicted.to(torch.float64, copy=True).sub_(best)))
            del predicted, best
    loss, excess = torch.cat(losses), torch.cat(excesses)
    if not bool(torch.isfinite(loss).all()):
        raise FloatingPointError(f"denoise: expected finite noise, got a loss of {loss.mean():g}")
    estimate = Estimate.from_samples if single else Estimate.from_strata
    return Evaluation(
        loss=estimate(loss),
        excess_risk=estimate(excess),
        score_error=estimate(excess / (1 - schedule.alpha_bar(times))),
    )


@contextmanager
def evaluation_mode(denoise: Denoiser) -> Iterator[None]:
    """Put a module and all of its parts into evaluation mode, and each back into its own after."""
    parts = list(denoise.modules()) if isinstance(denoise, nn.Module) else []
    modes = [part.training for part in parts]
    try:
        for part in parts[:1]:
            part.eval()
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _fitting(law: Law) -> int:
    """How many data points in float64 a batch may have."""
    return max(1, _BATCH_BYTES // (8 * law.n_tokens * law.dim))


def _device(denoise: Denoiser) -> torch.device | None:
    """Where the denoiser computes, if that is known."""
    parameter = next(denoise.parameters(), None) if isinstance(denoise, nn.Module) else None
    return None if parameter is None else parameter.device


def _mean_square(difference: Tensor) -> Tensor:
    """Mean square of each data point's coordinates, float64 ``[batch]``."""
    return difference.double().square_().flatten(1).mean(1)


def _checked(denoise: Denoiser, x_t: Tensor, t: Tensor) -> Tensor:
    predicted = denoise(x_t, t)
    if not isinstance(predicted, Tensor) or predicted.shape != x_t.shape:
        raise ValueError(
            f"denoise: expected a noise of shape {tuple(x_t.shape)}, got {shown(predicted)}"
        )
    return predicted
