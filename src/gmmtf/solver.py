"""Sampling in few steps with a multistep solver of the probability flow, from diffusers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import TqdmWarning, tqdm

from gmmtf.denoisers import Denoiser
from gmmtf.randomness import standard_normal
from gmmtf.sampling import OnStep, check_clip, predict
from gmmtf.schedule import NoiseSchedule


@torch.no_grad()
def dpm_solver(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    shape: Sequence[int],
    *,
    n_steps: int,
    order: int = 2,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    clip: float | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample with DPM-Solver++ (Lu et al. 2022), a deterministic multistep solver.

    Every step uses one call of the denoiser and remembers the ones before. With order 1 it is DDIM;
    with order 2 its error falls with the square of the step. The states are float32 inside.

    Parameters
    ----------
    n_steps
        Number of calls of the denoiser.
    order
        1, 2 or 3.

    Other parameters as in :func:`gmmtf.sampling.ancestral`.

    Raises
    ------
    ValueError
        If ``n_steps`` is not an integer from 2 to T - 1, ``order`` is not 1, 2 or 3, or ``clip`` is
        not positive.
    ImportError
        If diffusers is not installed.
    """
    try:
        with warnings.catch_warnings():
            # diffusers asks tqdm for widgets, which warns in a notebook that has none.
            warnings.simplefilter("ignore", TqdmWarning)
            from diffusers import DPMSolverMultistepScheduler
    except ImportError as error:
        raise ImportError(
            "sampling with DPM-Solver++ needs diffusers: pip install diffusers"
        ) from error
    check_clip(clip)
    if isinstance(n_steps, bool) or not isinstance(n_steps, int):
        raise ValueError(f"n_steps: expected an integer, got {n_steps!r}")
    if not 2 <= n_steps < schedule.n_steps:
        raise ValueError(f"n_steps: expected 2 to {schedule.n_steps - 1}, got {n_steps}")
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order!r}")
    make: Any = DPMSolverMultistepScheduler  # untyped
    solver = make(
        num_train_timesteps=schedule.n_steps,
        trained_betas=schedule.betas.tolist(),
        solver_order=order,
        algorithm_type="dpmsolver++",
    )
    x = standard_normal(shape, generator, dtype)
    with warnings.catch_warnings():
        # diffusers hands a tensor to numpy in a way that numpy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        solver.set_timesteps(n_steps, device=x.device)
    for t in tqdm(solver.timesteps.tolist(), desc="sampling", leave=False):
        if on_step is not None:
            on_step(t, x)
        noise, _ = predict(denoise, schedule, x, t, clip)
        x = solver.step(noise, t, x).prev_sample.to(dtype)
    if on_step is not None:
        on_step(-1, x)
    return x
