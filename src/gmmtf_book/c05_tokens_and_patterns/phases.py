"""Where the excess risk falls below a share of its start: phase diagrams (C4, F2C)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from scipy.optimize import brentq

from gmmtf import MultiTokenGMM, ReducedWeight, best_weight, descend, natural_step_size, risk
from gmmtf.record import Recording
from gmmtf.risks.head_risk import ExpansionFailed
from gmmtf.risks.queries import draw_queries
from gmmtf.scaling.steps import pattern_excess
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case, Plan
from gmmtf_book.c05_tokens_and_patterns.sweeps import own_rate

SHARE = 0.05  # of the excess at W = 0 that is asked for
STEPS = 40  # of the descent of a phase diagram
RELATIVE_STEP_SIZE = 4.0  # of these steps, in units of K M d/r⁶


def run(record: Recording, plan: Plan, sizes: Plan) -> None:
    """Compute the cells of both diagrams that the record does not hold yet.

    ``plan`` says which cells and with how many query tokens, ``sizes`` has d, r, σ and M.
    """
    points = plan.phase_points
    for n in plan.phase_tokens:
        for p in plan.phase_rarest:
            mixture = sizes.mixture(Case(sizes.n_patterns, n, None, p))
            record.point(partial(after_descent, mixture, points), kind="phase", N=n, pi_min=p)
        for r in plan.phase_radii:
            mixture = replace(sizes, radius=r).mixture(Case(sizes.n_patterns, n))
            record.point(partial(at_best, mixture, points), kind="best", N=n, r=r)


def after_descent(mixture: MultiTokenGMM, n_points: int) -> dict[str, float]:
    """Excess after the descent over that at W = 0: of all tokens, and of the rarest pattern's."""
    few = max(1, n_points // 8)
    begin, end = (
        excesses(weight, mixture, n_points=few, n_queries=n_points)
        for weight in (ReducedWeight.zero(mixture), last_weight(mixture, n_points))
    )
    return {"all": end[0] / begin[0], "rare": end[1] / begin[1]}


def excesses(
    weight: ReducedWeight, mixture: MultiTokenGMM, *, n_points: int, n_queries: int
) -> tuple[float, float]:
    """Predicted excess of all tokens, and of the rarest pattern's."""
    queries = draw_queries(mixture, SCHEDULE, n_points=n_queries, seed=1)
    whole = risk(weight, mixture, SCHEDULE, n_points=n_points, seed=1).excess_risk.value
    return whole, pattern_excess(weight, queries, 0)


def last_weight(mixture: MultiTokenGMM, n_points: int) -> ReducedWeight:
    """Weight at which the descent of a phase diagram ends."""
    lr = RELATIVE_STEP_SIZE * natural_step_size(mixture)
    path = descend(mixture, SCHEDULE, STEPS, lr=lr, n_points=n_points, record_every=STEPS)
    return list(path)[-1].weight


def at_best(mixture: MultiTokenGMM, n_points: int) -> float | None:
    """Excess of the best weight over that at W = 0; None where the expansion does not hold."""
    try:
        best = best_weight(mixture, SCHEDULE, n_points=n_points)[1]
    except ExpansionFailed:
        return None
    start = ReducedWeight.zero(mixture)
    return best / risk(start, mixture, SCHEDULE, seed=1).excess_risk.value


def first_step_boundary(plan: Plan, tokens: list[int]) -> list[float]:
    """π_min, for each N, at which the rarest product reaches 1 in the descent at its first rate."""

    def product(log_p: float, n: int) -> float:
        mixture = plan.mixture(Case(plan.n_patterns, n, None, math.exp(log_p)))
        lr = RELATIVE_STEP_SIZE * natural_step_size(mixture)
        return STEPS * lr * own_rate(mixture) - 1

    ends = math.log(1e-6), math.log(0.9 / plan.n_patterns)
    return [math.exp(brentq(product, *ends, args=(n,))) for n in tokens]
