"""Noise schedules of the forward process.

The forward process of DDPM turns data ``x_0`` into ``x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε`` with standard
normal ``ε``. Times are array indices ``t = 0, ..., T-1``: DDPM and the book count from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import check_indices, checked, count
from gmmtf.betas import cosine_betas, diffusers_betas, linear_betas, sound_betas
from gmmtf.randomness import generator_device

Times = Annotated[int | Sequence[int] | None, "checked by NoiseSchedule.times"]
"""An integer time, several, or None for all times of a schedule."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A discrete variance-preserving noise schedule, held in float64.

    Parameters
    ----------
    betas
        Tensor of shape ``[T]``, the variances β_t of the noise added at each step, each in (0, 1).

    Raises
    ------
    ValueError
        If ``betas`` is not a non-empty vector of finite numbers in (0, 1), or the first noise or
        the last signal is lost in rounding: 1 - ᾱ_0 in float64, ᾱ_T in float32.
    """

    betas: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", sound_betas(self.betas))
        _ = self.alpha_bars  # made now, as a compiled graph cannot store it

    @classmethod
    @checked
    def linear(
        cls, n_steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
    ) -> NoiseSchedule:
        """Schedule with β_t linear in t, the default of DDPM (Ho, Jain and Abbeel 2020)."""
        return cls(linear_betas(n_steps, beta_start, beta_end))

    @classmethod
    @checked
    def cosine(
        cls, n_steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999
    ) -> NoiseSchedule:
        """Schedule whose ᾱ follows a squared cosine (Nichol and Dhariwal 2021, equation 17)."""
        return cls(cosine_betas(n_steps, offset, max_beta))

    @classmethod
    @checked
    def from_diffusers(cls, config: Any) -> NoiseSchedule:
        """Schedule of a scheduler of diffusers, or of its configuration.

        The numbers are those that diffusers computes in float32, here in float64.

        Parameters
        ----------
        config
            A scheduler with a ``config``, or a mapping such as a ``scheduler_config.json`` with
            ``trained_betas``, or with ``num_train_timesteps`` and a ``beta_schedule``
            ``"linear"``, ``"scaled_linear"`` (both with ``beta_start`` and ``beta_end``) or
            ``"squaredcos_cap_v2"``.

        Raises
        ------
        ValueError
            If the scheduler has no such betas, as those of flow matching, or changes them.
        """
        return cls(diffusers_betas(config))

    @property
    def n_steps(self) -> int:
        """Number of steps T."""
        return self.betas.numel()

    @cached_property
    def alphas(self) -> Tensor:
        """α_t = 1 - β_t, shape ``[T]``."""
        return 1 - self.betas

    @cached_property
    def alpha_bars(self) -> Tensor:
        """ᾱ_t = α_0 α_1 ... α_t, shape ``[T]``."""
        return torch.cumprod(self.alphas, dim=0)

    @cached_property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio ᾱ_t / (1-ᾱ_t), shape ``[T]``."""
        return self.alpha_bars / (1 - self.alpha_bars)

    def check_times(self, t: Tensor) -> None:
        """Raise ``ValueError`` unless ``t`` is an integer tensor with entries in [0, T).

        Entries on an accelerator, or in a compiled graph, are checked where they are: one out of
        range is a ``RuntimeError`` there, which may come later.
        """
        if not isinstance(t, Tensor) or t.is_floating_point() or t.dtype in (torch.bool,):
            found = t.dtype if isinstance(t, Tensor) else type(t).__name__
            raise ValueError(f"t: expected a tensor of integers, got {found}")
        check_indices("t", t, self.n_steps)

    @checked
    def times(self, t: Times = None) -> Tensor:
        """The times that ``t`` stands for, a vector: itself, several, or None for 0 to T-1.

        Raises
        ------
        ValueError
            If a time is not an integer in [0, T), or there is none.
        """
        if t is None:
            return torch.arange(self.n_steps, device="cpu")
        try:
            each = np.atleast_1d(np.asarray(t))
        except (ValueError, TypeError):  # rows of unequal length, or a type that numpy lacks
            each = np.empty(0)
        integers = each.ndim == 1 and each.size > 0 and np.issubdtype(each.dtype, np.integer)
        if not (integers and each.min() >= 0 and each.max() < self.n_steps):
            raise ValueError(f"t: expected an integer from 0 to {self.n_steps - 1}, got {t!r}")
        return torch.from_numpy(each.astype(np.int64))

    @checked
    def times_at(self, uniform: Tensor, t: Times = None) -> Tensor:
        """Times at the quantiles ``uniform`` in [0, 1) of :meth:`times`; of ``t`` if it is one.

        Raises
        ------
        ValueError
            As :meth:`times`.
        """
        if not bool(((uniform >= 0) & (uniform <= 1)).all()):
            raise ValueError("uniform: expected numbers from 0 to 1")
        return self._times_at(uniform, t)

    def _times_at(self, uniform: Tensor, t: Times) -> Tensor:
        times = self.times(t).to(uniform.device)
        return times[(uniform * len(times)).long().clamp(max=len(times) - 1)]

    @checked
    def alpha_bar(self, t: Tensor) -> Tensor:
        """ᾱ at the times ``t`` (integers, any shape), in float64 on the device of ``t``.

        Raises
        ------
        ValueError
            If a time is not an integer in [0, T).
        """
        self.check_times(t)
        return self.alpha_bars.to(t.device)[t.long()]

    @checked
    def add_noise(self, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """The noisy data ``x_t``. ``x_0`` and ``noise``: ``[batch, ...]``, ``t``: ``[batch]``."""
        _check_same_shape("noise", noise, "x_0", x_0)
        signal, sigma = self._signal_and_noise("x_0", x_0, t)
        return signal * x_0 + sigma * noise

    @checked
    def noise_to_x0(self, x_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """The clean data that ``x_t`` and a (predicted) noise imply."""
        _check_same_shape("noise", noise, "x_t", x_t)
        signal, sigma = self._signal_and_noise("x_t", x_t, t)
        return (x_t - sigma * noise) / signal

    @checked
    def x0_to_noise(self, x_t: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
        """The noise that ``x_t`` and (predicted) clean data imply."""
        _check_same_shape("x_0", x_0, "x_t", x_t)
        signal, sigma = self._signal_and_noise("x_t", x_t, t)
        return (x_t - signal * x_0) / sigma

    @checked
    def noise_to_score(self, noise: Tensor, t: Tensor) -> Tensor:
        """Score ∇ log p_t = -E[ε | x_t] / √(1-ᾱ_t) from the predicted noise (Tweedie's formula)."""
        _, sigma = self._signal_and_noise("noise", noise, t)
        return -noise / sigma

    @checked
    def score_to_noise(self, score: Tensor, t: Tensor) -> Tensor:
        """Predicted noise -√(1-ᾱ_t) ∇ log p_t from the score."""
        _, sigma = self._signal_and_noise("score", score, t)
        return -sigma * score

    def _signal_and_noise(self, name: str, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ_t and √(1-ᾱ_t), computed in float64, shaped to multiply ``x``."""
        if not x.is_floating_point():
            raise ValueError(f"{name}: expected floating point numbers, got {x.dtype}")
        self.check_times(t)
        if t.shape != x.shape[:1]:
            raise ValueError(
                f"t: expected one time per data point, shape {tuple(x.shape[:1])}, "
                f"got shape {tuple(t.shape)}"
            )
        alpha_bar = self.alpha_bar(t).view(-1, *[1] * (x.ndim - 1))
        return alpha_bar.sqrt().to(x), (1 - alpha_bar).sqrt().to(x)


def _check_same_shape(name: str, value: Tensor, reference_name: str, reference: Tensor) -> None:
    if value.shape != reference.shape:
        raise ValueError(
            f"{name}: expected the shape of {reference_name}, {tuple(reference.shape)}, "
            f"got {tuple(value.shape)}"
        )
    if reference.is_floating_point() and not value.is_floating_point():
        raise ValueError(f"{name}: expected floating point numbers, got {value.dtype}")


@checked
def stratified_times(
    schedule: NoiseSchedule,
    n: int,
    generator: torch.Generator | None = None,
    *,
    t: Times = None,
) -> Tensor:
    """Draw ``n`` times, one in each of ``n`` equal parts of the schedule, in increasing order.

    Taken together they are uniform on the schedule, or on the times ``t``, and means over them vary
    far less than means over independent times. They live on the generator's device.
    """
    n = count("n", n, 1)
    device = generator_device(generator)
    offsets = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
    uniform = (torch.arange(n, device=device) + offsets) / n
    return schedule._times_at(uniform, t)  # nothing is read from the device
