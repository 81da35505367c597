"""The reverse process: from noise to data with any denoiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from gmmtf.denoisers import Denoiser
from gmmtf.randomness import standard_normal
from gmmtf.schedule import NoiseSchedule

OnStep = Callable[[int, Tensor], None]
"""Called with the time t and the state x_t before each step, and with (-1, x_0) at the end."""


@torch.no_grad()
def ancestral(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    shape: Sequence[int],
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    clip: float | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample by DDPM's ancestral process, T steps (Ho, Jain and Abbeel 2020, algorithm 2).

    Each step draws from the Gaussian q(x_{t-1} | x_t, x_0) with x_0 replaced by the denoiser's
    estimate; its variance is β_t(1-ᾱ_{t-1})/(1-ᾱ_t).

    Parameters
    ----------
    denoise
        ``denoise(x_t, t) -> noise``.
    shape
        Shape of the sample, ``[batch, tokens, dim]`` for the denoisers of this library.
    generator
        Source of the randomness; its device is where the sample is drawn.
    clip
        If given, the estimate of x_0 is clipped to [-clip, clip]; for data of bounded range.
    on_step
        Observer, see :data:`OnStep`.

    Returns
    -------
    Tensor
        Sample of ``x_0`` of the given shape.

    Raises
    ------
    ValueError
        If ``clip`` is not positive.
    """
    check_clip(clip)
    alpha_bars = schedule.alpha_bars.tolist()
    x = standard_normal(shape, generator, dtype)
    for t in tqdm(range(schedule.n_steps - 1, -1, -1), desc="sampling", leave=False):
        if on_step is not None:
            on_step(t, x)
        _, x_0 = predict(denoise, schedule, x, t, clip)
        if t == 0:
            x = x_0
            continue
        now, before, alpha = alpha_bars[t], alpha_bars[t - 1], float(schedule.alphas[t])
        mean = before**0.5 * (1 - alpha) * x_0 + alpha**0.5 * (1 - before) * x
        variance = (1 - alpha) * (1 - before) / (1 - now)
        x = mean / (1 - now) + variance**0.5 * standard_normal(shape, generator, dtype)
    if on_step is not None:
        on_step(-1, x)
    return x


@torch.no_grad()
def ddim(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    shape: Sequence[int],
    *,
    n_steps: int,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    clip: float | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample by DDIM with ``n_steps`` steps (Song, Meng and Ermon 2021, equations 12 and 16).

    ``eta = 0`` is the deterministic process; ``eta = 1`` with ``n_steps = T`` is the ancestral one.
    The times are evenly spaced from T-1 to 0. Other parameters as in :func:`ancestral`.

    Raises
    ------
    ValueError
        If ``n_steps`` is not an integer from 1 to T, ``eta`` is not in [0, 1], or ``clip`` is not
        positive.
    """
    check_clip(clip)
    if not (isinstance(n_steps, int) and 1 <= n_steps <= schedule.n_steps):
        raise ValueError(f"n_steps: expected an integer to {schedule.n_steps}, got {n_steps!r}")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: expected a number from 0 to 1, got {eta}")
    last = schedule.n_steps - 1
    times = torch.linspace(last, 0, n_steps, dtype=torch.float64).round().long().tolist()
    alpha_bars = schedule.alpha_bars.tolist()
    x = standard_normal(shape, generator, dtype)
    pairs = zip(times, [*times[1:], None], strict=True)
    for t, following in tqdm(pairs, desc="sampling", total=n_steps, leave=False):
        if on_step is not None:
            on_step(t, x)
        noise, x_0 = predict(denoise, schedule, x, t, clip)
        if following is None:
            x = x_0
            continue
        now, after = alpha_bars[t], alpha_bars[following]
        variance = eta**2 * (1 - after) / (1 - now) * (1 - now / after)
        x = after**0.5 * x_0 + max(0.0, 1 - after - variance) ** 0.5 * noise
        if eta > 0:
            x = x + variance**0.5 * standard_normal(shape, generator, dtype)
    if on_step is not None:
        on_step(-1, x)
    return x


def check_clip(clip: float | None) -> None:
    """Raise ``ValueError`` unless ``clip`` is a positive number or None."""
    if clip is not None and not clip > 0:
        raise ValueError(f"clip: expected a positive number or None, got {clip}")


def predict(
    denoise: Denoiser, schedule: NoiseSchedule, x: Tensor, t: int, clip: float | None
) -> tuple[Tensor, Tensor]:
    """The estimates of the noise and of x_0 that belong to each other, x_0 clipped."""
    times = torch.full(x.shape[:1], t, device=x.device)
    noise = denoise(x, times)
    x_0 = schedule.noise_to_x0(x, times, noise)
    if clip is not None:
        x_0 = x_0.clamp(-clip, clip)
        noise = schedule.x0_to_noise(x, times, x_0)
    return noise, x_0
