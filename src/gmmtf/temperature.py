"""A denoiser of data that vary less, or more, than those another one was made for."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from gmmtf.arguments import checked, positive
from gmmtf.denoisers import Denoiser
from gmmtf.schedule import NoiseSchedule

LARGEST = 1e6
"""Temperatures and spreads lie between this and one over it."""

Positive = Annotated[float, "checked by check_temperature"]


def check_temperature(temperature: Any, name: str = "temperature") -> float:
    """Return a temperature, or raise ``ValueError`` if it is not a number between 1e-6 and 1e6."""
    return positive(name, temperature, LARGEST)


@checked
def tempered(
    denoise: Denoiser, schedule: NoiseSchedule, temperature: Positive, spread: Positive = 1.0
) -> Denoiser:
    """Return a denoiser with which any sampler draws data that vary less around their modes.

    At temperature ϑ the estimate of the noise is multiplied by (ᾱs² + 1 - ᾱ) / (ϑᾱs² + 1 - ᾱ), of
    the spread s (Xu et al. 2025, temporal score rescaling). From the Bayes denoiser of the normal
    law N(μ, s²) this makes exactly that of N(μ, ϑs²), and nearly so about the components of a
    mixture that lie far apart, whose weights it leaves as they are. With another spread it acts at
    other noise levels: those below σ = √((1 - ᾱ)/ᾱ) = s.

    Parameters
    ----------
    denoise
        ``denoise(x_t, t) -> noise``, with ``x_t`` ``[batch, ...]`` and ``t`` integers ``[batch]``.
    schedule
        The noise schedule, for ᾱ_t.
    temperature
        By what the variance is multiplied; below 1 for data that vary less.
    spread
        Standard deviation of the data around a mode, in the units of ``x_0``.

    Returns
    -------
    Denoiser
        ``denoise`` itself for the temperature 1.

    Raises
    ------
    ValueError
        If the temperature or the spread is not a number between 1e-6 and 1e6.
    """
    scale = check_temperature(temperature)
    variance = check_temperature(spread, "spread") ** 2
    if scale == 1:
        return denoise

    def colder(x_t: Tensor, t: Tensor) -> Tensor:
        noise = denoise(x_t, t)
        alpha_bar = schedule.alpha_bar(t)
        before, after = (k * alpha_bar * variance + 1 - alpha_bar for k in (1.0, scale))
        factor = (before / after).to(noise)
        return factor.view(-1, *[1] * (noise.ndim - 1)) * noise

    return colder
