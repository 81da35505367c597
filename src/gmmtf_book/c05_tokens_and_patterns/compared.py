"""A simulated number beside its prediction, and families of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gmmtf import Estimate


@dataclass(frozen=True)
class Compared:
    """A simulated number, over all seeds, and its prediction."""

    simulated: Estimate
    predicted: float

    @property
    def deviation(self) -> float:
        """|simulated / predicted - 1|."""
        return self.simulated.relative_to(self.predicted)

    @property
    def standard_errors(self) -> float:
        """|simulated - predicted| in standard errors."""
        return self.simulated.errors_from(self.predicted)

    def disagreement(self, tolerance: float = 0.05, errors: float = 2.0) -> float:
        """Deviation in units of what is allowed, the wider of two: at most 1 where both agree."""
        return min(self.deviation / tolerance, self.standard_errors / errors)


class Series(NamedTuple):
    """A family of cases: abscissae, simulated excesses, and their predictions."""

    x: list[float]
    simulated: list[Estimate]
    predicted: list[float]

    @property
    def pairs(self) -> list[Compared]:
        """Each simulated number beside its prediction."""
        return [Compared(*pair) for pair in zip(self.simulated, self.predicted, strict=True)]
