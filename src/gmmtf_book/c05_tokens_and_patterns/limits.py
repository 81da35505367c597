"""The recorded descents in the limit of many tokens in a high dimension."""

from __future__ import annotations

from typing import NamedTuple

from gmmtf import ReducedWeight, descend
from gmmtf.risks.limit import limit_excess
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case, Plan
from gmmtf_book.c05_tokens_and_patterns.summary import Study


class Limit(NamedTuple):
    """What is left after the runs of a family, as abscissae and values.

    ``all``: excess risk of all tokens; ``rare``: that of the rarest pattern's, as a share of its
    start.
    """

    all: tuple[list[float], list[float]]
    rare: tuple[list[float], list[float]]


def in_the_limit(study: Study, family: str) -> Limit:
    """Descend in the limit for each case of a family, with the step size of its run."""
    x, cases = study.plan.families()[family]
    whole, rare = zip(*(_after_run(study.plan, case) for case in cases), strict=True)
    return Limit((x, list(whole)), (x, list(rare)))


def _after_run(plan: Plan, case: Case) -> tuple[float, float]:
    mixture = plan.mixture(case)
    (last,) = descend(mixture, SCHEDULE, plan.record_at[-1], lr=plan.step_size(mixture),
                      method="limit", record_at=plan.record_at[-1:])  # fmt: skip
    own, start = (
        float(limit_excess(weight, mixture, SCHEDULE)[0].mean(0)[0])
        for weight in (last.weight, ReducedWeight.zero(mixture))
    )
    return last.excess.value, own / start
