"""Steps of gradient descent that a pattern, or an excess risk, takes (C4, F2C)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import weights
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.head_risk import ExpansionFailed, ValidityWarning
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.risk import risk, squared_error
from gmmtf.schedule import NoiseSchedule


@checked
def steps_needed(
    reached: Callable[[ReducedWeight], bool],
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    lr: float | None = None,
    max_steps: int = 10_000,
    n_points: int = 1024,
    seed: int = 0,
) -> float:
    """Steps of gradient descent from W = 0 until ``reached(weight)``; ``inf`` if never.

    Descends on the expansion, on one net of query tokens, for at most ``max_steps`` steps.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    max_steps = count("max_steps", max_steps, 1)
    queries = draw_queries(mixture, schedule, n_points=n_points, seed=seed)
    for step, weight in _descent(queries, lr, max_steps):
        if reached(weight):
            return step
    return math.inf


@checked
def steps_to_risk(
    target: float,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    relative: bool = False,
    pattern: int | None = None,
    lr: float | None = None,
    max_steps: int = 10_000,
    n_points: int = 1024,
    seed: int = 0,
) -> float:
    """Steps of gradient descent from W = 0 until the excess risk is down to ``target`` (C4).

    Descends on the expansion, and reads the excess off the same net of query tokens. Between the
    last step above the target and the first at or below it, the logarithm of the excess is taken
    to be linear, so the result is not an integer.

    Parameters
    ----------
    target
        Excess risk, or with ``relative`` its share of the excess at W = 0.
    pattern
        Count only the tokens of this pattern, see :func:`pattern_excess`; None for all tokens.
    lr
        Step size; None for :func:`gmmtf.risks.first_step.natural_step_size`.
    n_points, seed
        The net of query tokens.

    Returns
    -------
    float
        The step; 0 if the target is met at the start, ``inf`` if not within ``max_steps``.

    Raises
    ------
    ValueError
        If an argument is out of range, or the patterns are not orthogonal with equal norms.
    ExpansionFailed
        If the expansion does not hold at the weight found.
    FloatingPointError
        If the risk is no longer finite, as with too large a step size.
    """
    if not 0 < target < math.inf:
        raise ValueError(f"target: expected a finite positive number, got {target}")
    if pattern is not None:
        _check_pattern(pattern, mixture)
    max_steps = count("max_steps", max_steps, 1)
    queries = draw_queries(mixture, schedule, n_points=n_points, seed=seed)
    goal, before = math.nan, math.nan
    for step, weight in _descent(queries, lr, max_steps):
        excess = _excess(weight, queries, pattern)
        if step == 0:
            goal = target * excess if relative else target
        if excess <= goal:
            _require_validity(weight, mixture, schedule, seed)
            if step == 0:
                return 0.0
            return step - 1 + math.log(before / goal) / math.log(before / excess)
        before = excess
    return math.inf


@checked
@torch.no_grad()
def pattern_excess(weight: ReducedWeight, queries: Queries, pattern: int) -> float:
    """Excess risk of the tokens of one pattern, per coordinate, on a net of query tokens.

    The error of a token depends on its data point X but not on its label z, so that
    E[error | z = u] = E[P(z = u | X) error] / P(z = u), and no labels are needed. Averaged with the
    probabilities of the patterns it is the excess risk. The posterior is the one that
    :class:`~gmmtf.risks.queries.Queries` holds.
    """
    _check_pattern(pattern, queries.mixture)
    posterior = queries.target[pattern] / queries.reach
    error = queries.factor * squared_error(weight, queries)
    return float((error * posterior).mean() / (queries.importance * posterior).mean())


def _check_pattern(pattern: int, mixture: MultiTokenGMM) -> None:
    if not 0 <= pattern < mixture.n_patterns:
        raise ValueError(
            f"pattern: expected a number from 0 to {mixture.n_patterns - 1}, got {pattern}"
        )


@torch.no_grad()
def _excess(weight: ReducedWeight, queries: Queries, pattern: int | None) -> float:
    if pattern is not None:
        return pattern_excess(weight, queries, pattern)
    return float((queries.factor * squared_error(weight, queries)).mean())


def _descent(
    queries: Queries, lr: float | None, max_steps: int
) -> Iterator[tuple[int, ReducedWeight]]:
    def loss(weight: ReducedWeight) -> Tensor:
        return (queries.factor * squared_error(weight, queries)).mean()

    rate = natural_step_size(queries.mixture) if lr is None else lr
    return weights(ReducedWeight.zero(queries.mixture), loss, max_steps, lr=rate)


def _require_validity(
    weight: ReducedWeight, mixture: MultiTokenGMM, schedule: NoiseSchedule, seed: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ValidityWarning)
        checked = risk(weight, mixture, schedule, n_points=256, seed=seed + 1)
    if not checked.holds:
        raise ExpansionFailed(
            "target: the expansion does not hold where the target is met (estimated error "
            f"{checked.validity:.2g} of the risk, variance of the mean weight "
            f"{checked.dispersion:.2g})"
        )
