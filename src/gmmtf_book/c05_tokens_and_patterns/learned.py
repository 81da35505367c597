"""Steps until a rare pattern is learned: rare among tokens, or among data points (C4, F2C)."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from gmmtf import ReducedWeight, steps_to_risk
from gmmtf.randomness import derived_seed
from gmmtf.record import Recording
from gmmtf_book.c05_tokens_and_patterns import one_pattern
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case, Plan
from gmmtf_book.c05_tokens_and_patterns.sweeps import HALF, own_rate

_AROUND = (0.7, 0.85, 1.0, 1.15, 1.4)
"""Where the excess is simulated, in units of the steps predicted."""


def run(record: Recording, plan: Plan, device: torch.device | str) -> None:
    """Compute the times that the record does not hold yet."""
    for cases in plan.learned_cases().values():
        for case in cases:
            expected = record.point(partial(predict, plan, case), kind="learned", **case.labels)
            for seed in plan.seeds:
                compute = partial(simulate, plan, case, expected["steps"], seed, device)
                record.point(compute, kind="counted", seed=seed, **case.labels)


def predict(plan: Plan, case: Case) -> dict[str, float]:
    """Steps by the descent on the expansion, and by the first step alone, 1/(η ρ_u)."""
    mixture = plan.mixture(case)
    lr = plan.step_size(mixture)
    steps = steps_to_risk(HALF, mixture, SCHEDULE, relative=True, pattern=0, lr=lr,
                          max_steps=4000, n_points=16 * plan.n_points)  # fmt: skip
    return {"steps": steps, "first": 1 / (lr * own_rate(mixture))}


def simulate(
    plan: Plan, case: Case, expected: float, seed: int, device: torch.device | str
) -> float:
    """Steps by simulation, from its excess at steps around those expected.

    Data points are drawn afresh at every step, and the excess is found on others.
    """
    mixture = plan.mixture(case)
    at = sorted({max(1, round(factor * expected)) for factor in _AROUND})
    path = one_pattern.descend(mixture, at[-1], lr=plan.step_size(mixture), seed=seed,
                               batch_size=2 * plan.batch_size, device=device)  # fmt: skip
    kept = [weight for step, weight in path if step in at]
    held_out = torch.Generator(device).manual_seed(derived_seed(seed, 3))
    start, *excess = one_pattern.simulated_excess(
        [ReducedWeight.zero(mixture), *kept], mixture, 2 * plan.eval_samples, held_out, pattern=0
    )
    return crossing(at, [e.value / start.value for e in excess], HALF)


def crossing(steps: list[int], shares: list[float], target: float) -> float:
    """Step at which falling shares reach the target, linear between logarithms.

    Beyond the first and the last step the line is continued.
    """
    low = [place for place, share in enumerate(shares) if share <= target]
    after = max(1, low[0] if low else len(shares) - 1)
    x, y = (np.log(values[after - 1 : after + 1]) for values in (steps, shares))
    return math.exp(x[0] + (math.log(target) - y[0]) * (x[1] - x[0]) / (y[1] - y[0]))
