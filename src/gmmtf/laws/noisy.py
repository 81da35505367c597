"""Draws of noisy data points, with what a denoiser does not see."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws.law import Law
from gmmtf.randomness import standard_normal
from gmmtf.schedule import NoiseSchedule


class Noisy(NamedTuple):
    """Noisy data points: ``x_t = √ᾱ_t x_0 + √(1-ᾱ_t) noise`` at the times ``t``.

    ``x_t``, ``x_0`` and ``noise``: ``[batch, N, d]``; ``t``: ``[batch]``; ``labels`` and
    ``active`` as in :class:`~gmmtf.laws.law.Tokens`.
    """

    x_t: Tensor
    t: Tensor
    noise: Tensor
    x_0: Tensor
    labels: Tensor
    active: Tensor


@checked
def draw_noisy(
    law: Law,
    schedule: NoiseSchedule,
    t: Tensor,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Noisy:
    """Draw one data point of the law for each of the times, and noise it.

    Parameters
    ----------
    t
        Times, integers ``[batch]``.
    generator
        Source of the randomness; the draws live on its device.

    Raises
    ------
    ValueError
        If a time is outside the schedule.
    """
    schedule.check_times(t)
    x_0, labels, active = law.sample(len(t), generator, dtype)
    noise = standard_normal(x_0.shape, generator, dtype)
    t = t.to(x_0.device)
    return Noisy(schedule.add_noise(x_0, t, noise), t, noise, x_0, labels, active)
