"""A number together with its standard error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.arguments import checked


@dataclass(frozen=True)
class Estimate:
    """An estimated number.

    Sums, products and quotients are those of *independent* estimates, with errors propagated to
    first order; a plain number has no error. For two numbers found on the same data use
    :meth:`paired`.

    Parameters
    ----------
    value
        The estimate.
    standard_error
        Its standard error, in the units of ``value``; 0 for a closed form.
    """

    value: float
    standard_error: float = 0.0

    @classmethod
    @checked
    def from_samples(cls, samples: Tensor) -> Estimate:
        """Mean and standard error of independent samples, a vector of at least two."""
        if samples.ndim != 1 or samples.numel() < 2:
            raise ValueError(
                f"samples: expected a vector of at least 2, got shape {tuple(samples.shape)}"
            )
        samples = _floats(samples)
        error = float(samples.std()) / math.sqrt(samples.numel())
        return cls(float(samples.mean()), error)

    @classmethod
    @checked
    def from_strata(cls, samples: Tensor) -> Estimate:
        """Mean and standard error of samples drawn one in each of many neighbouring strata.

        Neighbours are compared in pairs, so that the variation from stratum to stratum, which
        stratification removes from the mean, does not count as error. An odd last sample counts in
        the mean only.
        """
        whole = cls.from_samples(samples)
        paired = _floats(samples)[: samples.numel() // 2 * 2].reshape(-1, 2)
        variance = float((paired[:, 0] - paired[:, 1]).square().mean()) / 2
        return cls(whole.value, math.sqrt(variance / samples.numel()))

    @classmethod
    @checked
    def paired(cls, first: Tensor, second: Tensor, *, strata: bool = False) -> Estimate:
        """Mean difference ``first - second`` of two numbers found on the same data.

        Both are vectors with one entry a data point; ``strata`` as in :meth:`from_strata`.
        """
        if first.shape != second.shape:
            raise ValueError(
                f"second: expected the shape of first, {tuple(first.shape)}, "
                f"got {tuple(second.shape)}"
            )
        if first.ndim != 1 or first.numel() < 2:
            raise ValueError(
                f"first, second: expected vectors of at least 2, got shape {tuple(first.shape)}"
            )
        return (cls.from_strata if strata else cls.from_samples)(_floats(first) - _floats(second))

    @classmethod
    @checked
    def mean(cls, estimates: Iterable[Estimate]) -> Estimate:
        """Mean of independent estimates of one number, with the error that theirs imply."""
        each = _some(estimates)
        error = math.sqrt(sum(e.standard_error**2 for e in each)) / len(each)
        return cls(sum(e.value for e in each) / len(each), error)

    @classmethod
    @checked
    def pooled(cls, estimates: Iterable[Estimate]) -> Estimate:
        """Mean over seeds, with the larger of two errors: what theirs imply, or their scatter.

        The scatter sees what differs from run to run and no single run can know.
        """
        each = _some(estimates)
        mean = cls.mean(each)
        if len(each) == 1:
            return mean
        values = torch.tensor([e.value for e in each], dtype=torch.float64, device="cpu")
        return cls(mean.value, max(mean.standard_error, cls.from_samples(values).standard_error))

    @checked
    def relative_to(self, expected: Estimate | float) -> float:
        """``|value / expected - 1|``."""
        return abs(self.value / float(expected) - 1)

    @checked
    def errors_from(self, expected: Estimate | float) -> float:
        """``|value - expected|`` in standard errors of the difference; ``inf`` if it has none."""
        difference = self - expected
        if difference.standard_error == 0:
            return 0.0 if difference.value == 0 else math.inf
        return abs(difference.value) / difference.standard_error

    def __add__(self, other: Estimate | float) -> Estimate:
        other = _estimate(other)
        error = math.hypot(self.standard_error, other.standard_error)
        return Estimate(self.value + other.value, error)

    def __sub__(self, other: Estimate | float) -> Estimate:
        return self + -_estimate(other)

    def __mul__(self, other: Estimate | float) -> Estimate:
        other = _estimate(other)
        error = math.hypot(self.standard_error * other.value, self.value * other.standard_error)
        return Estimate(self.value * other.value, error)

    def __truediv__(self, other: Estimate | float) -> Estimate:
        other = _estimate(other)
        value = self.value / other.value
        error = math.hypot(self.standard_error, value * other.standard_error) / abs(other.value)
        return Estimate(value, error)

    def __radd__(self, other: float) -> Estimate:
        return self + other

    def __rsub__(self, other: float) -> Estimate:
        return -self + other

    def __rmul__(self, other: float) -> Estimate:
        return self * other

    def __rtruediv__(self, other: float) -> Estimate:
        return _estimate(other) / self

    def __neg__(self) -> Estimate:
        return Estimate(-self.value, self.standard_error)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.standard_error:.1g}"


def _floats(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.double()


def _estimate(number: Estimate | float) -> Estimate:
    return number if isinstance(number, Estimate) else Estimate(float(number))


def _some(estimates: Iterable[Estimate]) -> list[Estimate]:
    each = list(estimates)
    if not each:
        raise ValueError("estimates: expected at least one, got none")
    return each
