"""The reverse process: from noise to data with any denoiser.

``torch.compile(..., fullgraph=True, dynamic=False)`` makes one graph of a call of :func:`ancestral`
or :func:`ddim`, all steps unrolled, with a denoiser that is one graph. It draws from PyTorch's own
generator, since graphs hold no other (``generator=None``), has no observer and no progress bar.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from tqdm import TqdmWarning, tqdm

from gmmtf.arguments import checked, count, positive, shown
from gmmtf.denoisers import Denoiser
from gmmtf.randomness import standard_normal
from gmmtf.schedule import NoiseSchedule

_S = TypeVar("_S")
_F = TypeVar("_F", bound=Callable[..., Any])

OnStep = Callable[[int, Tensor], None]
"""Called with the time t and the state x_t before each step, and with (-1, x_0) at the end."""

SPACINGS = ("even", "karras")
"""Ways to choose the times at which a solver calls the denoiser."""


@checked
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
    dtype
        Type of the sample and of what the denoiser is given. The state is float32 or float64:
        float16 and bfloat16 would lose the small steps.
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
        If ``clip`` is not positive, or the denoiser returns another shape than it is given.
    FloatingPointError
        If the sample is not finite, since what the denoiser returns is not.
    """
    _check_clip(clip)
    alphas, alpha_bars = _numbers(schedule)
    state = _state_type(dtype)
    x = standard_normal(shape, generator, state)
    for t in _shown(range(schedule.n_steps - 1, -1, -1)):
        if on_step is not None:
            on_step(t, x.to(dtype))
        _, x_0 = _predict(denoise, schedule, x, t, clip, dtype)
        if t == 0:
            x = x_0
            continue
        now, before, alpha = alpha_bars[t], alpha_bars[t - 1], alphas[t]
        mean = before**0.5 * (1 - alpha) * x_0 + alpha**0.5 * (1 - before) * x
        variance = (1 - alpha) * (1 - before) / (1 - now)
        x = mean / (1 - now) + variance**0.5 * standard_normal(shape, generator, state)
    return _finished(x, dtype, on_step)


@checked
@torch.no_grad()
def ddim(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    shape: Sequence[int],
    *,
    n_calls: int,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    clip: float | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample by DDIM in ``n_calls`` steps (Song, Meng and Ermon 2021, equations 12 and 16).

    ``eta = 0`` is the deterministic process; ``eta = 1`` with ``n_calls = T`` is the ancestral one.
    The times are evenly spaced from T-1 to 0. Other parameters as in :func:`ancestral`.

    Raises
    ------
    ValueError
        If ``n_calls`` is not an integer from 1 to T, ``eta`` is not in [0, 1], or ``clip`` is not
        positive.
    FloatingPointError
        As :func:`ancestral`.
    """
    _check_clip(clip)
    n_calls = count("n_calls", n_calls, 1)
    if n_calls > schedule.n_steps:
        raise ValueError(f"n_calls: expected an integer to {schedule.n_steps}, got {n_calls!r}")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: expected a number from 0 to 1, got {eta}")
    times = _even_times(schedule.n_steps - 1, n_calls)
    _, alpha_bars = _numbers(schedule)
    state = _state_type(dtype)
    x = standard_normal(shape, generator, state)
    for t, following in _shown(list(zip(times, [*times[1:], None], strict=True))):
        if on_step is not None:
            on_step(t, x.to(dtype))
        noise, x_0 = _predict(denoise, schedule, x, t, clip, dtype)
        if following is None:
            x = x_0
            continue
        now, after = alpha_bars[t], alpha_bars[following]
        variance = eta**2 * (1 - after) / (1 - now) * (1 - now / after)
        x = after**0.5 * x_0 + max(0.0, 1 - after - variance) ** 0.5 * noise
        if eta > 0:
            x = x + variance**0.5 * standard_normal(shape, generator, state)
    return _finished(x, dtype, on_step)


@checked
@torch.no_grad()
def dpm_solver(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    shape: Sequence[int],
    *,
    n_calls: int,
    order: int = 2,
    spacing: str = "even",
    stochastic: bool = False,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    clip: float | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample with DPM-Solver++ (Lu et al. 2022), a multistep solver.

    Every step uses one call of the denoiser and remembers the ones before. With order 1 it is DDIM;
    with order 2 its error falls with the square of the step. The states are float32 inside. Other
    parameters are as in :func:`ancestral`.

    Parameters
    ----------
    n_calls
        Number of calls of the denoiser.
    order
        1, 2 or 3.
    spacing
        One of `SPACINGS`: evenly spaced times, or those of :func:`karras_times`.
    stochastic
        Whether to solve the equation of the reverse process with its noise (SDE-DPM-Solver++) in
        place of the flow, which has none.

    Raises
    ------
    ValueError
        If ``n_calls`` is not an integer from 2 to T - 1, or the schedule has not so many times that
        are spaced as asked, ``order`` is not 1, 2 or 3, the spacing is unknown, or ``clip`` is not
        positive.
    FloatingPointError
        As :func:`ancestral`.
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
            "sampling with DPM-Solver++ needs diffusers: pip install 'gmmtf[images]'"
        ) from error
    _check_clip(clip)
    if not 2 <= (n_calls := count("n_calls", n_calls, 1)) < schedule.n_steps:
        raise ValueError(f"n_calls: expected 2 to {schedule.n_steps - 1}, got {n_calls}")
    if order not in (1, 2, 3):
        raise ValueError(f"order: expected 1, 2 or 3, got {order!r}")
    if spacing not in SPACINGS:
        raise ValueError(f"spacing: expected one of {SPACINGS}, got {spacing!r}")
    chosen = karras_times(schedule, n_calls) if spacing == "karras" else None
    make: Any = DPMSolverMultistepScheduler  # untyped
    with torch.device("cpu"):  # diffusers makes its tables on the default device
        solver = make(
            num_train_timesteps=schedule.n_steps,
            trained_betas=schedule.betas.tolist(),
            solver_order=order,
            algorithm_type="sde-dpmsolver++" if stochastic else "dpmsolver++",
        )
    signals = solver.alphas_cumprod
    if not bool(((signals > 0) & (signals < 1)).all()):  # float32 has lost a noise or a signal
        solver.alphas_cumprod = schedule.alpha_bars
    state = _state_type(dtype)
    x = standard_normal(shape, generator, state)
    with warnings.catch_warnings():
        # diffusers hands a tensor to numpy in a way that numpy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        calls = {"num_inference_steps": n_calls} if chosen is None else {"timesteps": chosen}
        solver.set_timesteps(**calls, device=x.device)
    for t in _shown(solver.timesteps.tolist()):
        if on_step is not None:
            on_step(t, x.to(dtype))
        noise, _ = _predict(denoise, schedule, x, t, clip, dtype)
        added = standard_normal(shape, generator, state) if stochastic else None
        with torch.device(x.device):
            x = solver.step(noise, t, x, variance_noise=added).prev_sample.to(state)
    return _finished(x, dtype, on_step)


@checked
def karras_times(schedule: NoiseSchedule, n_calls: int, rho: float = 7.0) -> list[int]:
    """Times of a schedule whose noise is spaced as by Karras et al. (2022), equation 5.

    With σ_t = sqrt((1 - ᾱ_t)/ᾱ_t) the numbers σ^(1/ρ) are evenly spaced from σ_{T-1} to σ_0; each
    is replaced by the nearest one of the schedule, in log σ. A larger ρ spends more calls at low
    noise.

    Raises
    ------
    ValueError
        If ``n_calls`` is not an integer from 2 to T, ρ is not positive, or two of the times are the
        same: the schedule is too coarse for so many.
    """
    if not 2 <= (n_calls := count("n_calls", n_calls, 1)) <= schedule.n_steps:
        raise ValueError(f"n_calls: expected 2 to {schedule.n_steps}, got {n_calls}")
    power = 1 / positive("rho", rho)
    signals = schedule.alpha_bars.double().cpu()
    logs = (torch.log1p(-signals) - signals.log()) / 2
    ends = (logs[[-1, 0]] * power).exp()
    evenly = torch.linspace(0, 1, n_calls, dtype=torch.float64, device="cpu")
    wanted = torch.lerp(ends[0], ends[1], evenly).log() / power
    times: list[int] = (logs[:, None] - wanted).abs().argmin(0).tolist()
    if len(set(times)) < n_calls:
        raise ValueError(
            f"n_calls: expected fewer times than {n_calls}, for which this schedule of "
            f"{schedule.n_steps} steps is too coarse at low noise"
        )
    return times


def _constant(function: _F) -> _F:
    """Mark a function whose result a graph holds as it is when it is made.

    So does ``torch.compiler.assume_constant_result``, which loads the compiler, for a second, also
    where nothing is compiled.
    """
    function.__dict__["_dynamo_marked_constant"] = True
    return function


@_constant
def _numbers(schedule: NoiseSchedule) -> tuple[list[float], list[float]]:
    """α and ᾱ of all times."""
    return schedule.alphas.tolist(), schedule.alpha_bars.tolist()


@_constant
def _even_times(last: int, n_calls: int) -> list[int]:
    """``n_calls`` evenly spaced times from ``last`` to 0."""
    even = torch.linspace(last, 0, n_calls, dtype=torch.float64, device="cpu")
    times: list[int] = even.round().long().tolist()
    return times


def _shown(steps: Sequence[_S]) -> Iterable[_S]:
    """The steps with a progress bar, which a graph has no place for."""
    if torch.compiler.is_compiling():
        return steps
    return tqdm(steps, desc="sampling", leave=False)


def _finished(x: Tensor, dtype: torch.dtype, on_step: OnStep | None) -> Tensor:
    message = "denoise: expected noise that leads to finite samples"
    finite = torch.isfinite(x).all()
    if torch.compiler.is_compiling():
        torch._assert_async(finite, message)
    elif not bool(finite):
        raise FloatingPointError(message)
    if on_step is not None:
        on_step(-1, x.to(dtype))
    return x.to(dtype)


def _state_type(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _check_clip(clip: float | None) -> None:
    """Raise ``ValueError`` unless ``clip`` is a positive number or None."""
    if clip is not None and not clip > 0:
        raise ValueError(f"clip: expected a positive number or None, got {clip}")


def _predict(
    denoise: Denoiser,
    schedule: NoiseSchedule,
    x: Tensor,
    t: int,
    clip: float | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """The estimates of the noise and of x_0 that belong to each other, x_0 clipped."""
    times = torch.full(x.shape[:1], t, device=x.device)
    predicted = denoise(x.to(dtype), times)
    if not isinstance(predicted, Tensor) or predicted.shape != x.shape:
        raise ValueError(
            f"denoise: expected a noise of shape {tuple(x.shape)}, got {shown(predicted)}"
        )
    noise = predicted.to(x)
    x_0 = schedule.noise_to_x0(x, times, noise)
    if clip is not None:
        clip = min(clip, torch.finfo(x.dtype).max)
        x_0 = x_0.clamp(-clip, clip)
        noise = schedule.x0_to_noise(x, times, x_0)
    return noise, x_0
