"""What theory predicts of attention, without drawing a token: of a given map, and of a head's (C6).

A given map is known by its concentration and its mismatch. Those of a head come from the integral
over λ that gives the risk: 1/D = ∫ e^{-λD} dλ and 1/D² = ∫ λ e^{-λD} dλ give everything that is
linear or quadratic in the attention weights, exactly for any N.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gmmtf import (
    Estimate,
    MultiTokenGMM,
    NoiseSchedule,
    ReducedWeight,
    bayes_risk,
    oracle_risk,
)
from gmmtf.laws.level import noise_level
from gmmtf.risks import formulas
from gmmtf.risks.head import PLAIN, output, scores
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.integral import place_nodes, token_moments, transforms
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.risk import DEFECT_LIMIT

_CHUNK = 128  # queries at a time, which bounds the memory of the quadrature


def blind_excess(
    concentration: float, mismatch: float, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int
) -> float:
    """Excess over the oracle's risk of a map that does not see the noise of the tokens (C6).

    It is (c²ᾱr²/d) E[mismatch] + ((1-ᾱ)/τ²) E[concentration], for any law of the map given the
    labels; uniform and same-pattern attention are special cases.
    """
    radius = mixture.require_equal_orthogonal("the risk of a given map")
    level = noise_level(mixture, schedule, torch.tensor(t))
    bias = float((level.gain * level.signal * radius) ** 2) / mixture.dim
    return bias * mismatch + float(level.gain**2 * level.variance) * concentration


def foreign_mismatch(concentration: float, own: float, mixture: MultiTokenGMM) -> float:
    """Expected mismatch of a map that depends on neither labels nor tokens (K = M).

    (1 - Σπ²)(1 + E[concentration] - 2 E[own]): the map of another data point, or a constant one.
    """
    require_all_active(mixture)
    return float(1 - mixture.probabilities.square().sum()) * (1 + concentration - 2 * own)


def same_pattern_distance(mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int) -> Estimate:
    """Mean squared distance of same-pattern attention from the *Bayes* estimate, per coordinate.

    With U the number of distinct patterns in a data point and g the Bayes risk less the oracle's,
    it is ((1-ᾱ)/τ²) E[U]/N + g (1 - 2 E[U]/N), for K = M and uniform weights. Same-pattern
    attention uses the labels, so this is not its risk less the Bayes risk, ((1-ᾱ)/τ²) E[U]/N - g.
    """
    require_all_active(mixture)
    pi = mixture.probabilities
    if float(pi.max() - pi.min()) > 1e-9:
        raise ValueError(f"weights: expected uniform weights, got {pi.tolist()}")
    share = formulas.expected_distinct(mixture) / mixture.n_tokens
    gap = bayes_risk(mixture, schedule, t=t) - oracle_risk(mixture, schedule, t=t)
    return formulas.mean_denoising_excess(mixture, schedule, t=t) + gap * (1 - 2 * share)


def uniform_crossing(mixture: MultiTokenGMM) -> float:
    """ᾱ below which uniform attention has a smaller risk than same-pattern attention (K = M).

    The bias of averaging all patterns, ᾱ r²(1 - Σπ²)(1 - 1/N)/(dτ²) in units of (1-ᾱ)/τ², is worth
    its smaller variance while it is below (E[U] - 1)/N. For uniform weights and many tokens: while
    ᾱr²/(dτ²) is below K/N.
    """
    require_all_active(mixture)
    ratio = mixture.require_equal_orthogonal("the crossing") ** 2 / mixture.dim
    spread = float(1 - mixture.probabilities.square().sum()) * (1 - 1 / mixture.n_tokens)
    if spread == 0:
        raise ValueError("mixture: expected at least 2 patterns and 2 tokens")
    threshold = (formulas.expected_distinct(mixture) - 1) / mixture.n_tokens / spread
    return threshold / (ratio + threshold * (1 - mixture.sigma**2))


def require_all_active(mixture: MultiTokenGMM) -> None:
    """Raise ``ValueError`` if K < M, where the labels of a data point are not independent."""
    if mixture.k < mixture.n_patterns:
        raise ValueError(f"n_active: expected all {mixture.n_patterns} patterns, got {mixture.k}")


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


def error_given_count(
    weight: ReducedWeight, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int, count: int,
    **nets: int,
) -> Estimate:  # fmt: skip
    """Error E‖Σ_m A_nm x_m - √ᾱ μ_{z_n}‖²/d of the attention average where n_z is ``count`` (C6).

    ``count`` tokens of the data point, the query among them, share the query's pattern; the labels
    of the others are independent, with probabilities π restricted to the other patterns. The label
    of the query itself follows π. Same-pattern attention has the error τ²/count. Nets and errors
    as in :func:`predict_map`; besides ``ValueError`` if K < M
    or ``count`` is not between 2 and N - 1.
    """
    weight.check_fits(mixture)
    require_all_active(mixture)
    if not 2 <= count <= mixture.n_tokens - 1:
        raise ValueError(f"count: expected 2 to {mixture.n_tokens - 1}, got {count}")
    compute = partial(_error_given_count, weight, count)
    return mean_over_nets(compute, mixture, schedule, t, **nets)[0]


def _error_given_count(weight: ReducedWeight, count: int, part: Queries, seed: int) -> Tensor:
    """Rows error and defect, ``[2, Q]``; every query gets one label from its posterior."""
    n = float(part.mixture.n_tokens - 1)
    generator = torch.Generator().manual_seed(seed)
    posterior = (part.target[:-1] / part.reach).T
    drawn = torch.multinomial(posterior, 1, generator=generator)[:, 0]
    label = torch.nn.functional.one_hot(drawn, part.mixture.n_patterns).double()
    rest = part.log_weights.exp().T * (1 - label)
    # The law of one of the other tokens, picked at random: the nodes are placed for that.
    mixed = ((count - 1) * label + (n - count + 1) * rest / rest.sum(1, keepdim=True)) / n
    part = replace(
        part,
        log_weights=mixed.log().T,
        target=torch.cat([part.reach * label.T, torch.zeros_like(part.reach)[None]]),
    )
    seen = scores(weight, part)
    nodes = place_nodes(seen, part)
    error = output(PLAIN, seen.tilt, part)
    own_vector = nodes.own[:, None] * (error.apply(part.token) + error.offset).T
    lam, own = nodes.lam, nodes.own[:, None]
    # The others with, and without, the query's pattern: groups come first in all shapes.
    size = torch.tensor([count - 1, n - count + 1], dtype=torch.float64)[:, None, None]
    group = torch.stack([label, 1 - label])[:, :, None] * n / size[..., None]  # from all to it
    rise = -torch.expm1(-lam[:, :, None, None] * nodes.weights.values[:, None])
    one = (rise * nodes.weights.masses[:, None]).sum(3)
    log_phi = torch.log1p(-(one * group).sum(3).clamp(max=1 - 1e-15))
    power = [each * group for each in transforms(nodes.weights, lam)[1]]
    first, second = token_moments(power, lam, seen, error, part)
    log_all = (size * log_phi).sum(0) - lam * own
    without = size * torch.exp(log_all - log_phi)
    pairs = size * (size - 1) * torch.exp(log_all - 2 * log_phi)
    across = 2 * size.prod() * torch.exp(log_all - log_phi.sum(0))
    with_query = 2 * (own_vector[:, None] * first).sum(-1)
    square = (without * (second + with_query) + pairs * first.square().sum(-1)).sum(0)
    square += torch.exp(log_all) * own_vector.square().sum(1, keepdim=True)
    square += across * first.prod(0).sum(-1)
    mass = torch.exp(log_all) * own + (without * power[1].sum(-1)).sum(0)
    square, total = (lam**2 * square).sum(1) * nodes.step, (lam * mass).sum(1) * nodes.step
    return torch.stack([square / part.mixture.dim, (total - 1).abs()])
