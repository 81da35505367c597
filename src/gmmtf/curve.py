"""Training curves in units that do not depend on the size of the law."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from gmmtf.arguments import checked, fitted, shown, tensor
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM


@runtime_checkable
class Recorded(Protocol):
    """What a curve reads of a record, besides the weight."""

    @property
    def step(self) -> int:
        """Steps taken."""

    @property
    def excess_risk(self) -> Estimate:
        """Excess over the Bayes risk."""

    @property
    def score_error(self) -> Estimate:
        """Score-matching error."""


@runtime_checkable
class RecordedWeight(Protocol):
    """A record with its weight, such as :class:`gmmtf.descent.DescentRecord`.

    It is :class:`Recorded` too, or has its risks given the active set.
    """

    @property
    def weight(self) -> ReducedWeight:
        """The weight at that step."""


class _GivenSet:
    """A record of a prediction for K < M, read with the active set given."""

    def __init__(self, record: Any) -> None:
        self.step: int = record.step
        self.excess_risk: Estimate = record.excess_given_set
        self.score_error: Estimate = record.score_given_set


@dataclass(frozen=True, eq=False)
class Curve:
    """Risks and weight at chosen steps of a run.

    Attributes
    ----------
    steps
        The steps, S of them.
    excess, score
        Excess risk and score-matching error at each; of a prediction for K < M, given the active
        set.
    products
        r²G, the query-key products of the patterns, float64 ``[S, M, M]``.
    complement
        r²γ, the products of two unit vectors of the complement times r², float64 ``[S]``.
    """

    steps: list[int]
    excess: list[Estimate]
    score: list[Estimate]
    products: Tensor
    complement: Tensor

    def __post_init__(self) -> None:
        kinds = {"steps": Sequence[int], "excess": Sequence[Estimate], "score": Sequence[Estimate]}
        for name, kind in kinds.items():
            object.__setattr__(self, name, list(fitted(name, getattr(self, name), kind)))
        for name in ("products", "complement"):
            value = tensor(name, getattr(self, name)).to("cpu", torch.float64, copy=True)
            if value.ndim != (3 if name == "products" else 1) or not bool(value.isfinite().all()):
                raise ValueError(f"{name}: expected finite numbers, got {shown(value)}")
            object.__setattr__(self, name, value)
        for name, value in vars(self).items():
            if len(value) != len(self.steps):
                raise ValueError(f"{name}: expected {len(self.steps)} entries, got {len(value)}")

    @classmethod
    @checked
    def from_records(cls, records: Iterable[RecordedWeight], law: MultiTokenGMM) -> Curve:
        """Collect the records of a descent.

        For K < M a prediction knows the active set, as :class:`gmmtf.risks.head_risk.HeadRisk` says
        of ``excess_given_set``; its excess and score error are those.
        """
        kept: list[Any] = list(records)
        read = [_GivenSet(r) if getattr(r, "active_set", None) == "given" else r for r in kept]
        return cls.from_weights(read, [record.weight for record in kept], law)

    @classmethod
    @checked
    def from_weights(
        cls, records: Iterable[Recorded], weights: Iterable[ReducedWeight], law: MultiTokenGMM
    ) -> Curve:
        """Collect records of any training, such as one with the full weight, and its weights."""
        kept, at = list(records), list(weights)
        if not kept or len(kept) != len(at):
            raise ValueError(
                f"records: expected at least one, and a weight each, got {len(kept)} with "
                f"{len(at)} weights"
            )
        unit = law.require_equal_orthogonal("a curve of products") ** 2
        return cls(
            steps=[record.step for record in kept],
            excess=[record.excess_risk for record in kept],
            score=[record.score_error for record in kept],
            products=torch.stack([unit * weight.pattern for weight in at]),
            complement=torch.stack([unit * weight.gamma(law) for weight in at]),
        )

    @classmethod
    @checked
    def mean(cls, curves: Sequence[Curve]) -> Curve:
        """Mean of runs that differ in their seeds alone; standard errors from the runs' own.

        Raises
        ------
        ValueError
            If there is no curve, or their steps differ.
        """
        if not curves:
            raise ValueError("curves: expected at least one, got none")
        steps = curves[0].steps
        for other in curves:
            if other.steps != steps:
                raise ValueError(f"curves: expected the same steps, got {steps} and {other.steps}")
        return cls(
            steps=steps,
            excess=[Estimate.mean(each) for each in zip(*(c.excess for c in curves), strict=True)],
            score=[Estimate.mean(each) for each in zip(*(c.score for c in curves), strict=True)],
            products=torch.stack([curve.products for curve in curves]).mean(0),
            complement=torch.stack([curve.complement for curve in curves]).mean(0),
        )

    @checked
    def weight(self, law: MultiTokenGMM, index: int = -1) -> ReducedWeight:
        """Return the weight at one of the steps, by its position in :attr:`steps`."""
        unit = law.require_equal_orthogonal("a weight of given products") ** 2
        free: float = (law.dim - law.n_patterns) ** 0.5
        return ReducedWeight(self.products[index] / unit, self.complement[index] * free / unit)

    def as_json(self) -> dict[str, Any]:
        """Return what a record keeps, see :mod:`gmmtf.jsonvalues`: lists, numbers, estimates."""
        return {
            "step": self.steps,
            "excess": self.excess,
            "score": self.score,
            "products": self.products.tolist(),
            "complement": self.complement.tolist(),
        }

    @classmethod
    @checked
    def from_json(cls, stored: Mapping[str, Any]) -> Curve:
        """Read what :meth:`as_json` gave; other entries are ignored.

        Raises
        ------
        ValueError
            If an entry is missing, or their lengths differ.
        """
        names = ("step", "excess", "score", "products", "complement")
        if not set(names) <= set(stored):
            raise ValueError(f"stored: expected {', '.join(names)}, got {sorted(stored)}")
        return cls(*(stored[name] for name in names))
