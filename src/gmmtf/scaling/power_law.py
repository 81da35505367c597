"""Power laws fitted to points (C4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class PowerLaw:
    """A fit y = prefactor · x^exponent, with a 95 % confidence interval of the exponent."""

    exponent: float
    low: float
    high: float
    prefactor: float

    def __str__(self) -> str:
        return f"{self.exponent:.3f} [{self.low:.3f}, {self.high:.3f}]"


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Fit a power law by least squares on logarithms.

    The interval is Student's, from the scatter about the line; it says how straight the line is,
    not how far it may be extended.

    Raises
    ------
    ValueError
        If there are fewer than three points, or a number is not positive and finite.
    """
    try:
        first, second = (np.array(values, dtype=float) for values in (x, y))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"x, y: expected finite positive numbers ({error})") from error
    if first.shape != second.shape or first.ndim != 1 or len(first) < 3:
        raise ValueError(
            f"x, y: expected at least 3 points each, got shapes {first.shape} and {second.shape}"
        )
    points = np.stack([first, second])
    if not (np.isfinite(points).all() and (points > 0).all()):
        raise ValueError("x, y: expected finite positive numbers")
    fit = stats.linregress(*np.log(points))
    margin = float(stats.t.ppf(0.975, len(first) - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    return PowerLaw(slope, slope - margin, slope + margin, math.exp(float(fit.intercept)))
