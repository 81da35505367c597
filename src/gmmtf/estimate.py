"""A number together with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """An estimated expectation.

    Parameters
    ----------
    value
        The estimate.
    standard_error
        Its standard error, in the units of ``value``; 0 for a closed form.
    """

    value: float
    standard_error: float

    @classmethod
    def from_samples(cls, samples: Tensor) -> Estimate:
        """Mean and standard error of independent samples, a vector of at least two."""
        if samples.ndim != 1 or samples.numel() < 2:
            raise ValueError(
                f"samples: expected a vector of at least 2, got shape {tuple(samples.shape)}"
            )
        error = float(samples.std()) / math.sqrt(samples.numel())
        return cls(float(samples.mean()), error)

    @classmethod
    def from_strata(cls, samples: Tensor) -> Estimate:
        """Mean and standard error of samples drawn one in each of many neighbouring strata.

        Neighbours are compared in pairs, so that the variation from stratum to stratum, which
        stratification removes from the mean, does not count as error. An odd last sample counts in
        the mean only.
        """
        whole = cls.from_samples(samples)
        paired = samples[: samples.numel() // 2 * 2].view(-1, 2)
        variance = float((paired[:, 0] - paired[:, 1]).square().mean()) / 2
        return cls(whole.value, math.sqrt(variance / samples.numel()))

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.standard_error:.1g}"
