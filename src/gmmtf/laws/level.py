"""The three numbers through which a noise level enters every formula of the mixture."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


class Level(NamedTuple):
    """A noise level, or a vector of them.

    ``signal``: √ᾱ, the factor on the patterns; ``variance``: τ² = ᾱσ² + 1 - ᾱ, the variance of a
    coordinate of ``x_t`` within its component; ``gain``: c = √(1-ᾱ)/τ², the factor from a centred
    token to the noise in it.
    """

    signal: Tensor
    variance: Tensor
    gain: Tensor

    def for_tokens(self, x: Tensor) -> Level:
        """The same level in the dtype and on the device of ``x``, shaped to multiply its tokens."""
        return Level(*(value.to(x).view(-1, 1, 1) for value in self))


@checked
def noise_level(mixture: MultiTokenGMM, schedule: NoiseSchedule, t: Tensor) -> Level:
    """Level at the times ``t`` (integers, any shape), in float64.

    Raises
    ------
    ValueError
        If a time is outside the schedule.
    """
    alpha_bar = schedule.alpha_bar(t)
    variance = alpha_bar * mixture.sigma**2 + 1 - alpha_bar
    return Level(alpha_bar.sqrt(), variance, (1 - alpha_bar).sqrt() / variance)


@checked
def check_tokens(mixture: MultiTokenGMM, x_t: Tensor, t: Tensor) -> None:
    """Raise ``ValueError`` unless ``x_t`` is ``[batch, tokens, d]`` and ``t`` is ``[batch]``."""
    if x_t.ndim != 3 or x_t.shape[2] != mixture.dim:
        raise ValueError(
            f"x_t: expected shape [batch, tokens, {mixture.dim}], got {tuple(x_t.shape)}"
        )
    if not x_t.is_floating_point():
        raise ValueError(f"x_t: expected floating point numbers, got {x_t.dtype}")
    if not isinstance(t, Tensor) or t.shape != x_t.shape[:1]:
        found = tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(
            f"t: expected one time per data point, shape {tuple(x_t.shape[:1])}, got {found}"
        )
