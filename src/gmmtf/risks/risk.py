"""The risk of an attention head of the invariant family, computed in four ways."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.expansion import expand
from gmmtf.risks.head import PLAIN, HeadScalars, output, scores
from gmmtf.risks.head_risk import HeadRisk, ValidityWarning
from gmmtf.risks.integral import Integrated, integrate
from gmmtf.risks.limit import limit_excess
from gmmtf.risks.optimum import oracle_risk
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.simulation import HeldOutData
from gmmtf.schedule import NoiseSchedule, Times

METHODS = ("expansion", "integral", "simulation", "limit")

VALIDITY_LIMIT = 0.05
"""The expansion is taken to hold while its estimated error is below this share of the risk,"""

DISPERSION_LIMIT = 0.08
"""and the variance of the mean attention weight, (ρ-1)/(N-1), below this in the mean."""

DEFECT_LIMIT = 1e-3
"""The integral is taken to hold while it misses a known integral by less than this."""

_CHUNK = 128  # queries integrated at a time, which bounds the memory of the quadrature


@checked
def risk(
    weight: ReducedWeight,
    law: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    method: str = "expansion",
    head: HeadScalars = PLAIN,
    n_points: int = 1024,
    n_replicates: int = 8,
    seed: int = 0,
    n_samples: int = 256,
    generator: torch.Generator | None = None,
    bayes: Estimate | None = None,
) -> HeadRisk:
    """Risk of an attention head of the invariant family, at a cost that does not depend on d.

    Estimates the numbers that :func:`gmmtf.risks.evaluate.evaluate` does for the head with the full
    weight (C3, C5, F2A).

    Parameters
    ----------
    weight
        The attention weight in reduced coordinates.
    law
        A mixture with orthogonal patterns of equal norm.
    t
        A time, several (the mean over them), or None for the mean over the schedule.
    method
        ``"expansion"``: second order in 1/N (:prf:ref:`thm-app-expansion`); cheap, and valid while
        attention averages over many tokens. It estimates its own error (``validity``), and is
        taken to hold while that is small and the mean weight varies little (``dispersion``). It
        fails for large weights whatever N is: the average over queries of its last order diverges
        where τ²β > (1+√2)/3 for G = βI (:prf:ref:`prop-app-average`).
        ``"integral"``: exact for any N up to quadrature (:prf:ref:`thm-app-integral`), some hundred
        times slower. The cost of neither depends on N. ``"simulation"``: Monte Carlo over whole
        data points in reduced coordinates, exact for any N (:prf:ref:`thm-app-reduced`); of the
        plain head. ``"limit"``: N → ∞, then d → ∞ with r²/d as it is (:prf:ref:`thm-app-flow`), the
        mean over all times t; of the plain head. There the active set and all labels are known, so
        it has one excess.
    head
        Options of the head.
    n_points, n_replicates, seed
        For expansion and integral: query tokens in each of the independently scrambled nets from
        which the standard error is estimated, and the seed of the nets.
    n_samples, generator
        For the simulation: number of data points, and the source of their randomness; its device is
        where the work is done.
    bayes
        For the simulation: the Bayes risk at ``t``, which the loss needs; computed when None.

    Returns
    -------
    HeadRisk
        For K < M expansion and integral measure the excess over the posterior mean *given the
        active set*, which many tokens reveal: ``excess_given_set``. The simulation measures it over
        the Bayes denoiser: ``excess_risk``.

    Raises
    ------
    ValueError
        If an argument is out of range, the patterns are not orthogonal with equal norms, or for the
        simulation there are too many active sets or the numbers overflow.

    Warns
    -----
    ValidityWarning
        If the expansion does not hold.
    """
    weight.check_fits(law)
    check_method(method, head)
    if method == "simulation":
        data = HeldOutData(
            law, schedule, t=t, n_samples=n_samples, generator=generator, bayes=bayes
        )
        return data.risk(weight)
    if method == "limit":
        return _in_the_limit(weight, law, schedule, t)
    n_replicates = count("n_replicates", n_replicates, 2)
    seeds = np.random.SeedSequence(count("seed", seed, 0)).generate_state(n_replicates)
    nets = [draw_queries(law, schedule, t=t, n_points=n_points, seed=int(each)) for each in seeds]
    with torch.no_grad():
        found = [_net_means(weight, net, head, method) for net in nets]
    columns = torch.tensor(found, dtype=torch.float64, device="cpu")
    excess = _over_nets(columns[:, 0])
    gap = _over_nets(columns[:, 0] + columns[:, 2])
    base = oracle_risk(law, schedule, t=t)
    validity, dispersion = _validity(columns, method), _over_nets(columns[:, 4]).value
    limit = VALIDITY_LIMIT if method == "expansion" else DEFECT_LIMIT
    small = validity < limit and dispersion < DISPERSION_LIMIT
    result = HeadRisk(
        loss=Estimate(base + gap.value, gap.standard_error),
        excess=excess,
        score=_over_nets(columns[:, 1]),
        active_set="only" if law.k == law.n_patterns else "given",
        validity=validity,
        dispersion=dispersion,
        holds=small and 0 <= excess.value < math.inf,
    )
    if not result.holds:
        warnings.warn(_advice(result, method), ValidityWarning, stacklevel=2)
    return result


@checked
def check_method(method: str, head: HeadScalars) -> None:
    """Raise ``ValueError`` unless the method exists and knows the head."""
    if method not in METHODS:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
    if method in ("simulation", "limit") and not head.is_plain:
        raise ValueError(f"head: method {method!r} knows the plain head only")


@checked
def squared_error(
    weight: ReducedWeight,
    queries: Queries,
    head: HeadScalars = PLAIN,
    method: str = "expansion",
) -> Tensor:
    """Differentiable E‖error‖² of each query, ``[Q]``; times ``queries.factor`` it is the excess.

    ``method`` is ``"expansion"`` or ``"integral"``.
    """
    seen = scores(weight, queries)
    error = output(head, seen.tilt, queries)
    if method == "expansion":
        return expand(seen, error, queries).square
    return integrate(seen, error, queries).square


@torch.no_grad()
def _in_the_limit(
    weight: ReducedWeight, law: MultiTokenGMM, schedule: NoiseSchedule, t: Times
) -> HeadRisk:
    excess, share = limit_excess(weight, law, schedule, t=t)
    by_time = excess @ share
    noise = 1 - schedule.alpha_bar(schedule.times(t))
    mean = float(by_time.mean())
    return HeadRisk(
        loss=Estimate(oracle_risk(law, schedule, t=t) + mean),
        excess=Estimate(mean),
        score=Estimate(float((by_time / noise).mean())),
        active_set="only",
    )


def _net_means(
    weight: ReducedWeight, net: Queries, head: HeadScalars, method: str
) -> tuple[float, float, float, float, float]:
    """Means over one net: excess, score error, gap, doubt or defect, dispersion."""
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


def _over_nets(column: Tensor) -> Estimate:
    """Mean over nets; infinite where numbers overflow, which no method then holds for."""
    is_finite = bool(torch.isfinite(column).all())
    return Estimate.from_samples(column) if is_finite else Estimate(math.inf, math.inf)


def _validity(columns: Tensor, method: str) -> float:
    if method == "integral":
        value = float(columns[:, 3].max())
    else:
        value = float(columns[:, 3].mean() / columns[:, 0].mean().abs())
    return value if math.isfinite(value) else math.inf


def _advice(result: HeadRisk, method: str) -> str:
    if method == "expansion":
        return (
            f"the expansion in 1/N does not hold here: it estimates its error as "
            f"{result.validity:.2g} of the risk (limit {VALIDITY_LIMIT}), and the mean weight has "
            f"the variance {result.dispersion:.2g} (limit {DISPERSION_LIMIT}); method='integral' "
            "is exact"
        )
    return f"the quadrature of the integral is off by {result.validity:.2g}"
