"""What the attention of a head looks like, without drawing tokens, exactly for any N.

The same integral over λ that gives the risk gives every quantity that is linear or quadratic in the
attention weights: 1/D = ∫ e^{-λD} dλ and 1/D² = ∫ λ e^{-λD} dλ.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gmmtf.effective.head import PLAIN, Scores, output, scores
from gmmtf.effective.integral import (
    _lambda_nodes,
    _quadrature,
    _token_moments,
    _transforms,
    _Weights,
)
from gmmtf.effective.queries import Queries, draw_queries
from gmmtf.effective.risk import DEFECT_LIMIT, ValidityWarning
from gmmtf.estimate import Estimate
from gmmtf.mixture import MultiTokenGMM
from gmmtf.reduced import ReducedWeight
from gmmtf.schedule import NoiseSchedule

_CHUNK = 128  # queries at a time, which bounds the memory of the quadrature


@dataclass(frozen=True)
class PredictedMap:
    """Expected numbers of the attention map; see :class:`gmmtf.interventions.MapNumbers`.

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

    nets = _nets(mixture, schedule, t, n_points, n_replicates, seed)
    return PredictedMap(*_estimates(nets, numbers))


def error_given_count(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int,
    count: int,
    *,
    n_points: int = 128,
    n_replicates: int = 8,
    seed: int = 0,
) -> Estimate:
    """Error E‖Σ_m A_nm x_m - √ᾱ μ_{z_n}‖²/d of the attention average where n_z is ``count`` (C6).

    ``count`` tokens of the data point, the query among them, share the query's pattern; the labels
    of the others are independent, with probabilities π restricted to the other patterns. The label
    of the query itself follows π. Same-pattern attention has the error τ²/count.

    Parameters
    ----------
    n_points, n_replicates
        As in :func:`predict_map`.

    Raises
    ------
    ValueError
        If K < M, ``count`` is not between 2 and N - 1, or as :func:`predict_map`.

    Warns
    -----
    ValidityWarning
        If the quadrature is not accurate.
    """
    weight.check_fits(mixture)
    if mixture.k < mixture.n_patterns:
        raise ValueError(f"n_active: expected all {mixture.n_patterns} patterns, got {mixture.k}")
    if not 2 <= count <= mixture.n_tokens - 1:
        raise ValueError(f"count: expected 2 to {mixture.n_tokens - 1}, got {count}")

    def error(part: Queries, seed: int) -> Tensor:
        return _error_given_count(weight, part, count, seed)

    nets = _nets(mixture, schedule, t, n_points, n_replicates, seed)
    return _estimates(nets, error)[0]


def _nets(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int,
    n_points: int,
    n_replicates: int,
    seed: int,
) -> list[tuple[Queries, int]]:
    if n_replicates < 2:
        raise ValueError(f"n_replicates: expected at least 2, got {n_replicates}")
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(n_replicates)]
    return [(draw_queries(mixture, schedule, t, n_points=n_points, seed=s), s) for s in seeds]


@torch.no_grad()
def _estimates(
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


class _Nodes(NamedTuple):
    """The quadrature of a set of queries; ``own`` is the query's weight on the nodes' scale."""

    scores: Scores
    weights: _Weights
    own: Tensor
    lam: Tensor
    step: Tensor


def _nodes(weight: ReducedWeight, part: Queries) -> _Nodes:
    n = float(part.mixture.n_tokens - 1)
    seen = scores(weight, part)
    log_mass = torch.logsumexp(part.log_weights + seen.shifts, 0) + seen.variance / 2
    scale = torch.maximum(log_mass + math.log(n), seen.own)
    weights = _quadrature(seen, part, scale)
    own = torch.exp(seen.own - scale)
    lam, step = _lambda_nodes(weights, own, n)
    return _Nodes(seen, weights, own, lam, step)


def _map_numbers(weight: ReducedWeight, part: Queries) -> Tensor:
    """Rows same, own, concentration, mismatch, limit and defect, ``[6, Q]``."""
    n = float(part.mixture.n_tokens - 1)
    nodes = _nodes(weight, part)
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


def _error_given_count(weight: ReducedWeight, part: Queries, count: int, seed: int) -> Tensor:
    """Rows error and defect, ``[2, Q]``; every query gets one label from its posterior."""
    mixture = part.mixture
    n_same, n_other = float(count - 1), float(mixture.n_tokens - count)
    generator = torch.Generator().manual_seed(seed)
    posterior = (part.target[:-1] / part.reach).T
    drawn = torch.multinomial(posterior, 1, generator=generator)[:, 0]
    label = torch.nn.functional.one_hot(drawn, mixture.n_patterns).double()
    # The law of one of the other tokens, picked at random: the nodes are placed for that.
    prior = part.log_weights.exp().T
    rest = prior * (1 - label)
    rest = rest / rest.sum(1, keepdim=True)
    mixed = (n_same * label + n_other * rest) / (n_same + n_other)
    part = replace(
        part,
        log_weights=mixed.log().T,
        target=torch.cat([part.reach * label.T, torch.zeros_like(part.reach)[None]]),
    )
    nodes = _nodes(weight, part)
    lam, own = nodes.lam, nodes.own
    out = output(PLAIN, nodes.scores.tilt, part)
    _, power = _transforms(nodes.weights, lam)
    chosen = label[:, None]
    groups = []
    for which, size in ((chosen, n_same), (1 - chosen, n_other)):
        factor = which * (n_same + n_other) / size
        log_phi = _log_phi(nodes.weights, lam, factor)
        moments = _token_moments([p * factor for p in power], lam, nodes.scores, out, part)
        groups.append((size, log_phi, *moments, (power[1] * factor).sum(-1)))
    log_all = sum((size * log_phi for size, log_phi, *_ in groups), -lam * own[:, None])
    vector = own[:, None, None] * (out.apply(part.token) + out.offset).T[:, None]
    square = torch.exp(log_all) * vector.square().sum(-1)
    mass = own[:, None] * torch.exp(log_all)
    for size, log_phi, first, second, total in groups:
        without = torch.exp(log_all - log_phi)
        square = square + size * without * (second + 2 * (vector * first).sum(-1))
        pairs = size * (size - 1) * torch.exp(log_all - 2 * log_phi)
        square = square + pairs * first.square().sum(-1)
        mass = mass + size * without * total
    (_, log_s, first_s, _, _), (_, log_o, first_o, _, _) = groups
    across = torch.exp(log_all - log_s - log_o) * (first_s * first_o).sum(-1)
    square = square + 2 * n_same * n_other * across
    error = (lam**2 * square).sum(1) * nodes.step / mixture.dim
    return torch.stack([error, ((lam * mass).sum(1) * nodes.step - 1).abs()])


def _log_phi(weights: _Weights, lam: Tensor, factor: Tensor) -> Tensor:
    """Log E e^{-λw} of a group of labels, ``[Q, L]``; ``factor`` ``[Q, 1, M]`` selects them."""
    rise = -torch.expm1(-lam[:, :, None, None] * weights.values[:, None])
    one = ((rise * weights.masses[:, None]).sum(3) * factor).sum(2)
    return torch.log1p(-one.clamp(max=1 - 1e-15))
