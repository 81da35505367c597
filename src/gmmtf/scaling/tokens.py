"""The best weight of the invariant family, and the tokens that it needs (C4, F2B)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf.risks.head_risk import ExpansionFailed, ValidityWarning
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import risk, squared_error
from gmmtf.schedule import NoiseSchedule, Times

MAX_TOKENS = 2**60
"""Largest number of tokens that :func:`tokens_needed` tries."""

_MEANINGLESS = 1e3  # stands for the logarithm of a risk that is not a number


@checked
def best_weight(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    head: HeadScalars = PLAIN,
    start: ReducedWeight | None = None,
    n_points: int = 2048,
    seed: int = 0,
) -> tuple[ReducedWeight, float]:
    """Minimise the risk over the invariant family, by L-BFGS on the expansion.

    Parameters
    ----------
    t
        A time, several (the mean over them), or None for the mean over the schedule.
    head
        Options of the head.
    start
        Where to begin; None for 8/r² times the identity on the patterns, which already selects.

    Returns
    -------
    tuple[ReducedWeight, float]
        The best weight and its excess risk on the net of ``n_points`` query tokens (for K < M the
        excess given the active set).

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, or a time is outside the schedule.
    ExpansionFailed
        If the expansion does not hold at the weight found.
    """
    radius = mixture.require_equal_orthogonal("the invariant family")
    queries = draw_queries(mixture, schedule, t=t, n_points=n_points, seed=seed)
    if start is None:
        start = ReducedWeight.on_patterns(mixture, 8)
    # In units of 1/r² the products of tokens, and so the variables, are of order one.
    pattern = (start.pattern * radius**2).clone().requires_grad_()
    complement = (start.complement * radius**2).clone().requires_grad_()

    def value() -> Tensor:
        weight = ReducedWeight(pattern / radius**2, complement / radius**2)
        return (queries.factor * squared_error(weight, queries, head)).mean()

    minimise_log([pattern, complement], value, max_iter=200, tolerance_change=1e-12)
    best = ReducedWeight(pattern.detach() / radius**2, complement.detach() / radius**2)
    found = float(value().detach())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ValidityWarning)
        checked = risk(best, mixture, schedule, t=t, head=head, n_points=256, seed=seed + 1)
    if not (checked.holds and 0 < found < math.inf):
        raise ExpansionFailed(
            f"n_tokens: with {mixture.n_tokens} tokens the expansion does not hold at the best "
            f"weight found (estimated error {checked.validity:.2g} of the risk, variance of the "
            f"mean weight {checked.dispersion:.2g})"
        )
    return best, found


def minimise_log(variables: Sequence[Tensor], value: Callable[[], Tensor], **options: Any) -> None:
    """Minimise the logarithm of a number over variables, in place, by L-BFGS.

    The logarithm makes the tolerances relative: excess risks span many decades. Where the number is
    not positive and finite the search is made to turn back.

    Parameters
    ----------
    variables
        Leaf tensors that need gradients.
    value
        Computes the number from them.
    options
        Of ``torch.optim.LBFGS``.
    """
    optimizer = torch.optim.LBFGS(variables, line_search_fn="strong_wolfe", **options)

    def closure() -> float:
        optimizer.zero_grad()
        loss = value()
        if not 0 < float(loss.detach()) < math.inf:
            for variable in variables:
                variable.grad = torch.zeros_like(variable)
            return _MEANINGLESS
        torch.autograd.backward(torch.log(loss))
        return float(torch.log(loss.detach()))

    optimizer.step(closure)


@checked
def tokens_needed(
    target: float,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    head: HeadScalars = PLAIN,
    n_points: int = 2048,
) -> float:
    """Tokens per data point with which the best head of the family has excess risk ``target``.

    Solved by bisection in log N to one part in a thousand; not rounded to an integer. The
    mixture's own number of tokens is not used. Numbers of tokens with which the expansion does not
    hold at the best weight count as too few. ``inf`` if even ``MAX_TOKENS`` tokens do not
    suffice, as below the floor that the tilt leaves.

    Raises
    ------
    ValueError
        If ``target`` is not positive, the patterns are not orthogonal with equal norms, or a time
        is outside the schedule.
    """
    if not target > 0:
        raise ValueError(f"target: expected a positive number, got {target}")

    def excess(n: int) -> float:
        try:
            there = replace(mixture, n_tokens=n)
            return best_weight(there, schedule, t=t, head=head, n_points=n_points)[1]
        except ExpansionFailed:
            return math.inf

    low, high = 2, 4
    while excess(high) > target:
        low, high = high, 2 * high
        if high > MAX_TOKENS:
            return math.inf
    return _bisect(excess, target, low, high)


def _bisect(excess: Callable[[int], float], target: float, low: int, high: int) -> float:
    """Where the excess crosses the target, interpolated in log-log between neighbouring N."""
    while high - low > max(1, low // 500):
        middle = round(math.sqrt(low * high))
        middle = min(max(middle, low + 1), high - 1)
        low, high = (middle, high) if excess(middle) > target else (low, middle)
    at_low, at_high = math.log(excess(low)), math.log(excess(high))
    if math.isinf(at_low):
        return float(high)
    share = (at_low - math.log(target)) / (at_low - at_high)
    return float(low * (high / low) ** min(max(share, 0.0), 1.0))
