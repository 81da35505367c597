"""When labels can be read: the margin between two patterns in noisy data."""

from __future__ import annotations

from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


@checked
def label_margin(mixture: MultiTokenGMM, schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Margin κ = √ᾱ r / (√2 τ) at the times ``t`` (integers, any shape), in float64.

    A noisy token is nearer to a given wrong pattern than to its own with probability Φ(-κ).

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, or a time is outside the schedule.
    """
    radius = mixture.require_equal_orthogonal("the label margin")
    level = noise_level(mixture, schedule, t)
    return level.signal * radius / (2 * level.variance).sqrt()


@checked
def snr_at_margin(mixture: MultiTokenGMM, margin: float) -> float:
    """Signal-to-noise ratio ᾱ/(1-ᾱ) at which the label margin is κ: 2κ²/(r² - 2κ²σ²).

    Raises
    ------
    ValueError
        If the clean data have no such margin (r² ≤ 2κ²σ²), or the patterns are not orthogonal with
        equal norms.
    """
    radius = mixture.require_equal_orthogonal("the label margin")
    if margin < 0:
        raise ValueError(f"margin: expected a number from 0 on, got {margin}")
    if margin >= radius / (2**0.5 * mixture.sigma):
        raise ValueError(
            f"margin: expected less than that of clean data, r/(sqrt(2) sigma) = "
            f"{radius / (2**0.5 * mixture.sigma):.4g}, got {margin}"
        )
    return 2 * margin**2 / (radius**2 - 2 * margin**2 * mixture.sigma**2)
