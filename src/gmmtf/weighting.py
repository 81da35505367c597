"""Weightings of the noise levels, with which risks are averaged over a schedule."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.schedule import NoiseSchedule

Weighting = Literal["uniform", "elbo", "min-snr"]
"""Name of a weighting, see :func:`loss_weights`."""

WEIGHTINGS: tuple[Weighting, ...] = ("uniform", "elbo", "min-snr")
"""The names of the weightings, see :func:`loss_weights`."""

MIN_SNR_GAMMA = 5.0
"""γ of Min-SNR weighting, the value that Hang et al. recommend."""


@checked
def loss_weights(schedule: NoiseSchedule, weighting: Weighting = "uniform") -> Tensor:
    """Weight of the noise-prediction loss at each time, float64 ``[T]``, with mean one.

    Parameters
    ----------
    weighting
        ``"uniform"``: all equal, DDPM's simple objective (Ho, Jain and Abbeel 2020, equation 14).
        ``"elbo"``: β_t / (2 α_t (1-ᾱ_t)), with which the losses make up the variational bound for
        the variances σ_t² = β_t (the same, equation 12). ``"min-snr"``: min(1, γ/SNR_t) with γ = 5,
        Min-SNR weighting as it is for noise prediction (Hang et al. 2023, section 3.4).
    """
    if weighting == "elbo":
        weights = schedule.betas / (2 * schedule.alphas * (1 - schedule.alpha_bars))
    elif weighting == "min-snr":
        weights = (MIN_SNR_GAMMA / schedule.snr).clamp(max=1)
    else:
        weights = torch.ones_like(schedule.betas)
    return weights / weights.mean()
