"""Variances of the noise of each step: what they must be, and those of known schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gmmtf.arguments import count, positive, shown, tensor

_CHANGES = {
    "rescale_betas_zero_snr": "a terminal signal-to-noise ratio of zero",
    "use_flow_sigmas": "the noise levels of flow matching",
}
"""Options of diffusers whose noise levels are not those of the betas, and what they stand for."""

_NEEDED = {
    "linear": ("beta_start", "beta_end"),
    "scaled_linear": ("beta_start", "beta_end"),
    "squaredcos_cap_v2": (),
}
"""Kinds of schedules of diffusers, and what each needs."""


def sound_betas(given: Tensor) -> Tensor:
    """A copy of the betas of a schedule, float64 on the CPU.

    Raises
    ------
    ValueError
        If they are not what :class:`gmmtf.NoiseSchedule` needs.
    """
    betas = tensor("betas", given).to("cpu", torch.float64, copy=True)
    if betas.ndim != 1 or betas.numel() == 0:
        raise ValueError(f"betas: expected a non-empty vector, got shape {tuple(betas.shape)}")
    if not bool(((betas > 0) & (betas < 1)).all()):
        raise ValueError("betas: expected finite numbers strictly between 0 and 1")
    if float(1 - betas[0]) == 1:
        raise ValueError(
            f"betas: expected a first beta above the rounding error of 1, got {betas[0]:.3g}"
        )
    last, tiny = float((1 - betas).prod()), torch.finfo(torch.float32).tiny
    if last < tiny:
        raise ValueError(
            f"betas: expected a last signal in the range of float32, above {tiny:.3g}, "
            f"got {last:.3g}; a zero terminal signal-to-noise ratio has no noise-predicting sampler"
        )
    return betas


def linear_betas(n_steps: int, beta_start: float, beta_end: float) -> Tensor:
    """β_t linear in t, ``[n_steps]``."""
    n_steps = count("n_steps", n_steps, 1)
    return torch.linspace(beta_start, beta_end, n_steps, dtype=torch.float64, device="cpu")


def cosine_betas(n_steps: int, offset: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """β_t whose ᾱ follows a squared cosine, at most ``max_beta``, ``[n_steps]``."""
    n_steps = count("n_steps", n_steps, 1)
    edges = torch.arange(n_steps + 1, dtype=torch.float64, device="cpu") / n_steps
    signal = torch.cos((edges + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - signal[1:] / signal[:-1]).clamp(max=max_beta)


def diffusers_betas(config: Any) -> Tensor:
    """β_t of a scheduler of diffusers, see :meth:`gmmtf.NoiseSchedule.from_diffusers`.

    Raises
    ------
    ValueError
        If the scheduler has no such betas, as those of flow matching, or changes them.
    """
    read = getattr(config, "config", config)
    if not isinstance(read, Mapping):
        raise ValueError(
            f"config: expected a scheduler of diffusers or its config, got {shown(config)}"
        )
    for name, what in _CHANGES.items():
        if read.get(name):
            raise ValueError(f"config: {name} stands for {what}, which no betas here have")
    if read.get("snr_shift_scale", 1) not in (None, 1):
        raise ValueError("config: snr_shift_scale changes the noise levels that betas give")
    kind, betas = read.get("beta_schedule"), read.get("trained_betas")
    if betas is not None:
        return tensor("config: trained_betas", betas)
    if not isinstance(kind, str) or kind not in _NEEDED:
        raise ValueError(
            "config: expected trained_betas, or a beta_schedule 'linear', 'scaled_linear' or "
            f"'squaredcos_cap_v2', got {shown(kind)}; if the scheduler has betas of another "
            "form, give them: NoiseSchedule(scheduler.betas)"
        )
    missing = [name for name in ("num_train_timesteps", *_NEEDED[kind]) if read.get(name) is None]
    if missing:
        raise ValueError(f"config: expected {', '.join(missing)} beside beta_schedule")
    n_steps = count("config: num_train_timesteps", read["num_train_timesteps"], 1)
    if kind == "squaredcos_cap_v2":
        return cosine_betas(n_steps)
    start, end = (positive(f"config: {name}", read[name]) for name in _NEEDED[kind])
    if kind == "linear":
        return linear_betas(n_steps, start, end)
    return linear_betas(n_steps, start**0.5, end**0.5).square()
