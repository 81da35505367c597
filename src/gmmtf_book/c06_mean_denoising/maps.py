"""What the attention of a head looks like, without drawing tokens, exactly for any N.

The same integral over λ that gives the risk gives every quantity that is linear or quadratic in the
attention weights: 1/D = ∫ e^{-λD} dλ and 1/D² = ∫ λ e^{-λD} dλ.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, ReducedWeight
from gmmtf.risks.head import scores
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.integral import place_nodes, transforms
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.risk import DEFECT_LIMIT

_CHUNK = 128  # queries at a time, which bounds the memory of the quadrature


def predict_map(
    weight: ReducedWeight, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int, **nets: int
) -> dict[str, Estimate]:
    """Numbers of the attention map of a head at time ``t``, averaged over data points (C6, F1).

    Those of :class:`gmmtf.denoisers.replaced.MapNumbers`, and ``limit``: ``same`` in the limit of
    many tokens with the query's own weight kept, (Σ_u p_u α_u + w_s)/(1 + w_s) with
    α = softmax(log π + b) and w_s the query's weight relative to all others (theory result 5).
    ``nets`` as :func:`mean_over_nets`. Raises ``ValueError`` for arguments out of range and
    patterns that are not orthogonal with equal norms.
    """
    weight.check_fits(mixture)
    found = mean_over_nets(lambda p, _: _map_numbers(weight, p), mixture, schedule, t, **nets)
    names = ("same", "own", "concentration", "mismatch", "limit")
    return dict(zip(names, found, strict=True))


@torch.no_grad()
def mean_over_nets(
    compute: Callable[[Queries, int], Tensor], mixture: MultiTokenGMM, schedule: NoiseSchedule,
    t: int, *, n_points: int = 128, n_replicates: int = 8, seed: int = 0,
) -> list[Estimate]:  # fmt: skip
    """Means over query tokens of the rows ``[numbers + 1, Q]`` that ``compute`` gives.

    It gets queries, ``n_points`` in each of ``n_replicates`` scrambled nets, and a seed. The last
    row is by how much the attention weights miss a sum of one.
    """
    if n_replicates < 2:
        raise ValueError(f"n_replicates: expected at least 2, got {n_replicates}")
    means, defect = [], 0.0
    for state in np.random.SeedSequence(seed).generate_state(n_replicates).tolist():
        net = draw_queries(mixture, schedule, t=t, n_points=n_points, seed=state)
        found = torch.cat([compute(p, state + k) for k, p in enumerate(net.parts(_CHUNK))], 1)
        means.append((net.importance * found[:-1]).mean(1) / net.importance.mean())
        defect = max(defect, float(found[-1].max()))
    if not defect < DEFECT_LIMIT:
        text = f"the quadrature of the integral is off by {defect:.2g}"
        warnings.warn(text, ValidityWarning, stacklevel=3)
    return [Estimate.from_samples(row) for row in torch.stack(means, 1)]


def _map_numbers(weight: ReducedWeight, part: Queries) -> Tensor:
    """Rows same, own, concentration, mismatch, limit and defect, ``[6, Q]``."""
    n = float(part.mixture.n_tokens - 1)
    seen = scores(weight, part)
    nodes = place_nodes(seen, part)
    lam, own = nodes.lam, nodes.own[:, None]
    one, (_, first, second, *_) = transforms(nodes.weights, lam)
    phi = [torch.exp((n - j) * torch.log1p(-one) - lam * own) for j in range(3)]
    # Given its token the label of the query is drawn from the posterior, independently of the rest.
    label = (part.target[:-1] / part.reach).T[:, None]  # [Q, 1, M]
    total = first.sum(-1)
    elsewhere = second.sum(-1) - (label * second).sum(-1)
    apart = (label * ((total[..., None] - first) ** 2 - first**2)).sum(-1)
    others = first.square().sum(-1) + apart
    same = lam * (own * phi[0] + n * phi[1] * (label * first).sum(-1))
    itself = lam * own * phi[0]
    concentration = lam**2 * (n * phi[1] * second.sum(-1) + own**2 * phi[0])
    mismatch = lam**2 * (2 * n * phi[1] * elsewhere + n * (n - 1) * phi[2] * others)
    weights = lam * (n * phi[1] * total + own * phi[0])
    rows = torch.stack([same, itself, concentration, mismatch, weights]).sum(2) * nodes.step
    # If the others stood at their limit: α, and the query's share w_s/(1 + w_s).
    logs = part.log_weights + seen.shifts
    share = torch.sigmoid(seen.own - torch.logsumexp(logs, 0) - seen.variance / 2 - math.log(n))
    limit = (1 - share) * (label[:, 0].T * torch.softmax(logs, 0)).sum(0) + share
    return torch.cat([rows[:4], limit[None], (rows[4:] - 1).abs()])
