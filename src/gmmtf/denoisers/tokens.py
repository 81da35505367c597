"""Checked tokens, one after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.schedule import NoiseSchedule


@checked
def flatten_tokens(
    x_t: Tensor, t: Tensor, schedule: NoiseSchedule, dim: int
) -> tuple[Tensor, Tensor]:
    """Tokens float64 ``[batch·tokens, d]`` and the noise level ᾱ of each, ``[batch·tokens, 1]``."""
    if x_t.ndim != 3 or x_t.shape[2] != dim or not x_t.is_floating_point():
        raise ValueError(
            f"x_t: expected floats [batch, tokens, {dim}], got {x_t.dtype} {list(x_t.shape)}"
        )
    if not isinstance(t, Tensor) or t.shape != x_t.shape[:1]:
        found = list(t.shape) if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(f"t: expected one time per data point, [{len(x_t)}], got {found}")
    alpha_bar = schedule.alpha_bar(t).to(x_t.device, torch.float64)
    return x_t.double().flatten(0, 1), alpha_bar.repeat_interleave(x_t.shape[1])[:, None]
