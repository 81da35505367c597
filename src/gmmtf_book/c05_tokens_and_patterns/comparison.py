"""Simulated numbers beside predicted ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gmmtf.estimate import Estimate
from gmmtf_book.c05_tokens_and_patterns.plan import Case, Plan


@dataclass(frozen=True)
class Compared:
    """A simulated number, over all seeds, and its prediction."""

    simulated: Estimate
    predicted: float

    @property
    def deviation(self) -> float:
        """|simulated / predicted - 1|."""
        return abs(self.simulated.value / self.predicted - 1)

    @property
    def standard_errors(self) -> float:
        """|simulated - predicted| in standard errors."""
        return abs(self.simulated.value - self.predicted) / self.simulated.standard_error


def compare(
    values: dict[str, Any], plan: Plan, case: Case, step: int | None = None, what: str = "excess"
) -> Compared:
    """Return a case's simulated and predicted excess at a recorded step, by default the last.

    The standard error is the larger of that from the evaluations and that from the scatter over
    seeds. ``what`` is ``"excess"``, or ``"rare"`` for the rarest pattern's tokens after the run.
    """
    place = len(plan.record_at) - 1 if step is None else plan.record_at.index(step)
    runs = [values[f"{case.key} seed {seed}"][what] for seed in plan.seeds]
    pairs = runs if what == "rare" else [each[place] for each in runs]
    predicted = float(values[f"{case.key} predicted"][what][place + 1])
    return Compared(pooled([Estimate(*pair) for pair in pairs]), predicted)


def pooled(estimates: Iterable[Estimate]) -> Estimate:
    """Mean of independent estimates, with the larger of two standard errors: theirs or scatter."""
    each = list(estimates)
    size = len(each)
    mean = sum(e.value for e in each) / size
    own = math.sqrt(sum(e.standard_error**2 for e in each)) / size
    if size == 1:
        return Estimate(mean, own)
    scatter = math.sqrt(sum((e.value - mean) ** 2 for e in each) / (size - 1) / size)
    return Estimate(mean, max(own, scatter))
