"""What the recorded chapters share: plans, records with a plan behind them, and their curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from gmmtf import MultiTokenGMM, NoiseSchedule, descend
from gmmtf.arguments import count
from gmmtf.curve import Curve
from gmmtf.record import Recording
from gmmtf_book import RESULTS


@dataclass(frozen=True)
class Plan:
    """Sizes and settings of a run; lists, as parameter cells have them, become tuples.

    ``unrecorded``: settings that no recorded point depends on.
    """

    unrecorded: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))

    def settings(self) -> dict[str, Any]:
        """Return what all points of a record depend on."""
        return {name: v for name, v in asdict(self).items() if name not in self.unrecorded}


@dataclass(frozen=True)
class LawPlan(Plan):
    """A plan with one data law, of equally likely patterns unless it has ``weights``."""

    dim: int = 64
    n_tokens: int = 128
    n_patterns: int = 8
    radius: float = 8.0
    sigma: float = 0.3

    @property
    def mixture(self) -> MultiTokenGMM:
        """The data law."""
        names = ("dim", "n_tokens", "n_patterns", "radius", "sigma", "weights")
        return MultiTokenGMM(**{name: v for name, v in vars(self).items() if name in names})


PlanT = TypeVar("PlanT", bound=Plan)


@dataclass(frozen=True)
class Study(Generic[PlanT]):
    """A record, and the plan that its points follow.

    ``chapter``, ``paper``: name of the chapter, and the plan of its recorded run.
    """

    record: Recording
    plan: PlanT
    chapter: ClassVar[str]
    paper: ClassVar[Any]

    @classmethod
    def recorded(cls) -> Self:
        """Return the recorded large run."""
        return cls(Recording(RESULTS / f"{cls.chapter}.json"), cls.paper)


def spread_steps(last: int, n: int) -> list[int]:
    """Return 0, ``last``, and about ``n`` steps between, evenly spaced on a logarithmic axis."""
    last, n = count("last", last, 1), count("n", n, 1)
    return sorted({0, *(round(last ** (k / n)) for k in range(n + 1))})


def descent_curve(
    schedule: NoiseSchedule, law: MultiTokenGMM, at: Sequence[int], **options: Any
) -> Curve:
    """Descend to the last of the steps ``at``; ``options`` as of :func:`gmmtf.descend`."""
    return Curve.from_records(descend(law, schedule, at[-1], record_at=at, **options), law)


def rounded(path: dict[str, Any]) -> dict[str, Any]:
    """Return a curve for a record with four decimals a product: 32 patterns have a thousand."""
    return path | {
        "products": [[[round(x, 4) for x in row] for row in each] for each in path["products"]]
    }
