"""What the attention of a head looks like, without drawing tokens, exactly for any N.

The same integral over λ that gives the risk gives every quantity that is linear or quadratic in the
attention weights: 1/D = ∫ e^{-λD} dλ and 1/D² = ∫ λ e^{-λD} dλ.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.head import Scores, scores
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.integral import _lambda_nodes, _quadrature, _transforms, _Weights
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.risk import DEFECT_LIMIT
from gmmtf.schedule import NoiseSchedule

_CHUNK = 128  # queries at a time, which bounds the memory of the quadrature


@dataclass(frozen=True)
class PredictedMap:
    """Expected numbers of the attention map; see :class:`gmmtf.denoisers.replaced.MapNumbers`.

    ``limit`` is ``same`` in the limit of many tokens with the query's own weight kept:
    (Σ_u p_u α_u + w_s)/(1 + w_s), α = softmax(log π + b) and w_s the query's weight relative to all
    others (theory result 5).
    """

    same: Estimate
    own: Estimate
    concentration: Estimate
    mismatch: Estimate
    limit: Estimate


def predict_map(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int,
    *,
    n_points: int = 128,
    n_replicates: int = 8,
    seed: int = 0,
) -> PredictedMap:
    """Numbers of the attention map of a head at time ``t``, averaged over data points (C6, F1).

    Parameters
    ----------
    n_points, n_replicates
        Query tokens in each of the independently scrambled nets from which the standard errors are
        estimated.

    Raises
    ------
    ValueError
        If an argument is out of range, or the patterns are not orthogonal with equal norms.

    Warns
    -----
    ValidityWarning
        If the quadrature is not accurate.
    """
    weight.check_fits(mixture)

    def numbers(part: Queries, seed: int) -> Tensor:
        return _map_numbers(weight, part)

    drawn = nets(mixture, schedule, t, n_points, n_replicates, seed)
    return PredictedMap(*estimates(drawn, numbers))


def nets(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int,
    n_points: int,
    n_replicates: int,
    seed: int,
) -> list[tuple[Queries, int]]:
    """Draw independently scrambled nets of queries, each with its seed."""
    if n_replicates < 2:
        raise ValueError(f"n_replicates: expected at least 2, got {n_replicates}")
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(n_replicates)]
    return [(draw_queries(mixture, schedule, t=t, n_points=n_points, seed=s), s) for s in seeds]


@torch.no_grad()
def estimates(
    nets: list[tuple[Queries, int]], compute: Callable[[Queries, int], Tensor]
) -> list[Estimate]:
    """Means over the nets of what ``compute`` returns, rows ``[numbers + 1, Q]``.

    The last row is by how much the attention weights miss a sum of one.
    """
    means, defect = [], 0.0
    for net, seed in nets:
        parts = [compute(part, seed + k) for k, part in enumerate(net.parts(_CHUNK))]
        found = torch.cat(parts, 1)
        means.append((net.importance * found[:-1]).mean(1) / net.importance.mean())
        defect = max(defect, float(found[-1].max()))
    if not defect < DEFECT_LIMIT:
        warnings.warn(
            f"the quadrature of the integral is off by {defect:.2g}", ValidityWarning, stacklevel=3
        )
    return [Estimate.from_samples(row) for row in torch.stack(means, 1)]


class Nodes(NamedTuple):
    """The quadrature of a set of queries; ``own`` is the query's weight on the nodes' scale."""

    scores: Scores
    weights: _Weights
    own: Tensor
    lam: Tensor
    step: Tensor


def nodes_of(weight: ReducedWeight, part: Queries) -> Nodes:
    """Place the nodes for the scores and for λ, as :func:`gmmtf.risks.integral.integrate`."""
    n = float(part.mixture.n_tokens - 1)
    seen = scores(weight, part)
    log_mass = torch.logsumexp(part.log_weights + seen.shifts, 0) + seen.variance / 2
    scale = torch.maximum(log_mass + math.log(n), seen.own)
    weights = _quadrature(seen, part, scale)
    own = torch.exp(seen.own - scale)
    lam, step = _lambda_nodes(weights, own, n)
    return Nodes(seen, weights, own, lam, step)


def _map_numbers(weight: ReducedWeight, part: Queries) -> Tensor:
    """Rows same, own, concentration, mismatch, limit and defect, ``[6, Q]``."""
    n = float(part.mixture.n_tokens - 1)
    nodes = nodes_of(weight, part)
    one, power = _transforms(nodes.weights, nodes.lam)
    lam, own = nodes.lam, nodes.own[:, None]
    log_phi = torch.log1p(-one)
    phi = [torch.exp((n - j) * log_phi - lam * own) for j in range(3)]
    # Given its token the label of the query is drawn from the posterior, independently of the rest.
    label = (part.target[:-1] / part.reach).T[:, None]  # [Q, 1, M]
    first, second = power[1], power[2]
    total = first.sum(-1)
    elsewhere = second.sum(-1) - (label * second).sum(-1)
    apart = (label * ((total[..., None] - first) ** 2 - first**2)).sum(-1)
    others = first.square().sum(-1) + apart
    rows = {
        "same": lam * (own * phi[0] + n * phi[1] * (label * first).sum(-1)),
        "own": lam * own * phi[0],
        "concentration": lam**2 * (n * phi[1] * second.sum(-1) + own**2 * phi[0]),
        "mismatch": lam**2 * (2 * n * phi[1] * elsewhere + n * (n - 1) * phi[2] * others),
    }
    weights = lam * (n * phi[1] * total + own * phi[0])
    found = [(row.sum(1) * nodes.step) for row in rows.values()]
    defect = ((weights.sum(1) * nodes.step) - 1).abs()
    return torch.stack([*found, _limit_same(nodes.scores, part, label[:, 0].T, n), defect])


def _limit_same(seen: Scores, part: Queries, label: Tensor, n: float) -> Tensor:
    """Attention to the query's pattern if the others stood at their limit, ``[Q]``."""
    logs = part.log_weights + seen.shifts
    log_mass = torch.logsumexp(logs, 0) + seen.variance / 2
    share = torch.sigmoid(seen.own - log_mass - math.log(n))  # w_s/(1 + w_s)
    selected = (label * torch.softmax(logs, 0)).sum(0)
    return (1 - share) * selected + share
