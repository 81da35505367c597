"""Where the excess risk falls below a share of its start: phase diagrams (C4, F2C)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from scipy.optimize import brentq

from gmmtf import scaling
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.effective_descent import train
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.risks.effective import risk
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.queries import draw_queries
from gmmtf_book.c05_tokens_and_patterns.plan import Case, Plan
from gmmtf_book.c05_tokens_and_patterns.runs import SCHEDULE, evaluated, pattern_excess
from gmmtf_book.c05_tokens_and_patterns.sweeps import own_rate

SHARE = 0.05
"""Share of the excess at W = 0 that is asked for."""

STEPS = 40
"""Steps of the descent of a phase diagram."""

RELATIVE_STEP_SIZE = 4.0
"""Their size, in units of K M d/r⁶."""


def run_phases(
    recording: Recording,
    plan: Plan,
    tokens: list[int],
    rarest: list[float],
    radii: list[float],
    n_points: int,
) -> None:
    """Compute the cells of both diagrams that the recording does not hold yet."""
    for n in tokens:
        for p in rarest:
            mixture = plan.mixture(Case(plan.n_patterns, n, None, p))
            compute = partial(after_descent, mixture, n_points)
            recording.point(f"phase N={n} pi_min={p:g}", compute)
        for r in radii:
            mixture = replace(plan, radius=r).mixture(Case(plan.n_patterns, n))
            recording.point(f"phase N={n} r={r:g}", partial(at_best, mixture, n_points))


def after_descent(mixture: MultiTokenGMM, n_points: int) -> dict[str, float]:
    """Excess after the descent over that at W = 0: of all tokens, and of the rarest pattern's."""
    queries = draw_queries(mixture, SCHEDULE, n_points=n_points, seed=1)
    last = _last_weight(mixture, n_points)
    start = ReducedWeight.zero(mixture)
    each = max(1, n_points // 8)
    found, begin = (risk(w, mixture, SCHEDULE, n_points=each, seed=1) for w in (last, start))
    rare, rare_begin = (scaling.pattern_excess(w, queries, 0) for w in (last, start))
    return {
        "all": found.excess_risk.value / begin.excess_risk.value,
        "rare": rare / rare_begin,
    }


def at_best(mixture: MultiTokenGMM, n_points: int) -> float | None:
    """Excess of the best weight over that at W = 0; None where the expansion does not hold."""
    try:
        best = scaling.best_weight(mixture, SCHEDULE, n_points=n_points)[1]
    except ValueError as error:
        if str(error).startswith("n_tokens"):
            return None
        raise
    start = ReducedWeight.zero(mixture)
    return best / risk(start, mixture, SCHEDULE, seed=1).excess_risk.value


def first_step_boundary(plan: Plan, tokens: list[int]) -> list[float]:
    """π_min at which the rarest pattern's product reaches 1 in the descent at its first rate.

    One for each number of tokens; found by bisection.
    """

    def product(log_p: float, n: int) -> float:
        mixture = plan.mixture(Case(plan.n_patterns, n, None, math.exp(log_p)))
        lr = RELATIVE_STEP_SIZE * natural_step_size(mixture)
        return STEPS * lr * own_rate(mixture) - 1

    ends = math.log(1e-6), math.log(0.9 / plan.n_patterns)
    return [math.exp(brentq(product, *ends, args=(n,))) for n in tokens]


def run_checks(
    recording: Recording, plan: Plan, cells: list[tuple[int, float]], device: torch.device | str
) -> None:
    """Simulate the head at the predicted weight in some cells (N, π_min) of the diagram."""
    for n, p in cells:
        mixture = plan.mixture(Case(plan.n_patterns, n, None, p))
        compute = partial(checked, mixture, plan, device)
        recording.point(f"phase check N={n} pi_min={p:g}", compute)


def checked(mixture: MultiTokenGMM, plan: Plan, device: torch.device | str) -> dict[str, Any]:
    """Simulated excess, over the predicted start, of the weight that the descent predicts."""
    weight = _last_weight(mixture, plan.n_points)
    queries = draw_queries(mixture, SCHEDULE, n_points=8 * plan.n_points, seed=1)
    start = ReducedWeight.zero(mixture)
    begin = risk(start, mixture, SCHEDULE, seed=1).excess_risk.value
    rare_begin = scaling.pattern_excess(start, queries, 0)
    value, error = evaluated(weight, mixture, plan, plan.seeds[0], device)
    generator = torch.Generator(device).manual_seed(plan.seeds[0])
    rare = pattern_excess(weight, mixture, 0, plan.eval_samples, generator)
    return {
        "all": [value / begin, error / begin],
        "rare": [rare.value / rare_begin, rare.standard_error / rare_begin],
        "predicted": risk(weight, mixture, SCHEDULE, seed=1).excess_risk.value / begin,
        "rare predicted": scaling.pattern_excess(weight, queries, 0) / rare_begin,
    }


def _last_weight(mixture: MultiTokenGMM, n_points: int) -> ReducedWeight:
    lr = RELATIVE_STEP_SIZE * natural_step_size(mixture)
    records = train(mixture, SCHEDULE, STEPS, lr=lr, n_points=n_points, record_every=STEPS)
    return list(records)[-1].weight
