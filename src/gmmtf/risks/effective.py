"""Risks of the attention head without drawing a data point."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.evaluate import Evaluation
from gmmtf.risks.expansion import expand
from gmmtf.risks.head import PLAIN, HeadScalars, output, scores
from gmmtf.risks.integral import Integrated, integrate
from gmmtf.risks.optimum import oracle_risk
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.schedule import NoiseSchedule

METHODS = ("expansion", "integral")

VALIDITY_LIMIT = 0.1
"""The expansion is taken to hold while its last order is below this share of the risk."""

DEFECT_LIMIT = 1e-3
"""The integral is taken to hold while it misses a known integral by less than this."""

_CHUNK = 128  # queries integrated at a time, which bounds the memory of the quadrature


class ValidityWarning(UserWarning):
    """The expansion is used where it does not hold."""


@dataclass(frozen=True)
class EffectiveRisk(Evaluation):
    """Risks of a head, with what says how far to trust them.

    ``validity``: for the expansion the share of its last order in the risk, for the integral the
    largest error of a known integral; ``dispersion``: mean ρ/(N-1) of the expansion, 0 for the
    integral; ``holds``: whether ``validity`` is below the limit. Excess and score error are over
    the Bayes denoiser for K = M, and over the posterior mean given the active set for K < M.
    """

    validity: float
    dispersion: float
    holds: bool


def risk(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int | None = None,
    *,
    head: HeadScalars = PLAIN,
    method: str = "expansion",
    n_points: int = 1024,
    n_replicates: int = 8,
    seed: int = 0,
) -> EffectiveRisk:
    """Risk of an attention head of the invariant family, without drawing tokens (C3, F2A).

    Parameters
    ----------
    weight
        The attention weight in reduced coordinates.
    t
        A time, or None for the mean over the schedule.
    head
        Options of the head.
    method
        ``"expansion"``: second order in 1/N (theory result 5 and its next order); cheap, and valid
        while attention averages over many tokens. It fails for large weights whatever N is: the
        average over queries of its last order diverges where τ²β > (1+√2)/3 for G = βI.
        ``"integral"``: exact for any N up to quadrature, some hundred times slower. The cost of
        neither depends on N or d.
    n_points, n_replicates
        Query tokens in each of the independently scrambled nets from which the standard error is
        estimated.

    Returns
    -------
    EffectiveRisk

    Raises
    ------
    ValueError
        If an argument is out of range, or the patterns are not orthogonal with equal norms.

    Warns
    -----
    ValidityWarning
        If the expansion does not hold.
    """
    _check(weight, mixture, method)
    if n_replicates < 2:
        raise ValueError(f"n_replicates: expected at least 2, got {n_replicates}")
    seeds = np.random.SeedSequence(seed).generate_state(n_replicates)
    nets = [draw_queries(mixture, schedule, t, n_points=n_points, seed=int(each)) for each in seeds]
    with torch.no_grad():
        found = [_net_means(weight, net, head, method) for net in nets]
    columns = torch.tensor(found, dtype=torch.float64)
    excess = Estimate.from_samples(columns[:, 0])
    gap = Estimate.from_samples(columns[:, 0] + columns[:, 2])
    base = oracle_risk(mixture, schedule, t)
    validity = _validity(columns, method)
    limit = VALIDITY_LIMIT if method == "expansion" else DEFECT_LIMIT
    result = EffectiveRisk(
        loss=Estimate(base + gap.value, gap.standard_error),
        excess_risk=excess,
        score_error=Estimate.from_samples(columns[:, 1]),
        validity=validity,
        dispersion=float(columns[:, 4].mean()),
        holds=validity < limit and excess.value >= 0,
    )
    if not result.holds:
        warnings.warn(_advice(result, method), ValidityWarning, stacklevel=2)
    return result


def squared_error(
    weight: ReducedWeight,
    queries: Queries,
    head: HeadScalars = PLAIN,
    method: str = "expansion",
) -> Tensor:
    """Differentiable E‖error‖² of each query, ``[Q]``; times ``queries.factor`` it is the risk."""
    seen = scores(weight, queries)
    error = output(head, seen.tilt, queries)
    if method == "expansion":
        return expand(seen, error, queries).square
    return integrate(seen, error, queries).square


def _net_means(
    weight: ReducedWeight, net: Queries, head: HeadScalars, method: str
) -> tuple[float, float, float, float, float]:
    """Means over one net: excess, score error, gap, last order or defect, dispersion."""
    if method == "expansion":
        seen = scores(weight, net)
        error = output(head, seen.tilt, net)
        square, doubt, dispersion = expand(seen, error, net)
        doubt_value = float((net.factor * doubt).mean())
        spread = float((net.importance * dispersion).mean())
    else:
        parts = [_integrate_part(weight, part, head) for part in net.parts(_CHUNK)]
        square = torch.cat([part.square for part in parts])
        doubt_value = max(float(part.defect.max()) for part in parts)
        spread = 0.0
    excess = net.factor * square
    by_score = excess / (1 - net.alpha_bar)
    gap = (net.factor * net.gap).mean()
    return float(excess.mean()), float(by_score.mean()), float(gap), doubt_value, spread


def _integrate_part(weight: ReducedWeight, part: Queries, head: HeadScalars) -> Integrated:
    seen = scores(weight, part)
    return integrate(seen, output(head, seen.tilt, part), part)


def _validity(columns: Tensor, method: str) -> float:
    if method == "integral":
        value = float(columns[:, 3].max())
    else:
        value = float(columns[:, 3].mean() / columns[:, 0].mean().abs())
    return value if math.isfinite(value) else math.inf


def _advice(result: EffectiveRisk, method: str) -> str:
    if method == "expansion":
        return (
            f"the expansion in 1/N does not hold here: its last order is {result.validity:.2g} of "
            f"the risk (limit {VALIDITY_LIMIT}); method='integral' is exact"
        )
    return f"the quadrature of the integral is off by {result.validity:.2g}"


def _check(weight: ReducedWeight, mixture: MultiTokenGMM, method: str) -> None:
    weight.check_fits(mixture)
    if method not in METHODS:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
