"""The error of the attention average where the query's pattern has a given number of tokens.

Given the labels' counts the other tokens are two groups of independent draws, those of the query's
pattern and the rest, and the integral over λ factorises into powers of the transforms of each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.head import PLAIN, Output, output
from gmmtf.risks.integral import _token_moments, _transforms
from gmmtf.risks.queries import Queries
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c06_mean_denoising.maps import Nodes, estimates, nets, nodes_of


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

    drawn = nets(mixture, schedule, t, n_points, n_replicates, seed)
    return estimates(drawn, error)[0]


class _Group(NamedTuple):
    """The other tokens with, or without, the query's pattern: ``size`` of them.

    One-token transforms given the group: ``log_phi``: log E e^{-λw} ``[Q, L]``; ``first``:
    E[w x' e^{-λw}] ``[Q, L, M + 1]``; ``second``: E[w² ‖x'‖² e^{-λw}] ``[Q, L]``; ``mass``:
    E[w e^{-λw}] ``[Q, L]``.
    """

    size: float
    log_phi: Tensor
    first: Tensor
    second: Tensor
    mass: Tensor


def _error_given_count(weight: ReducedWeight, part: Queries, count: int, seed: int) -> Tensor:
    """Rows error and defect, ``[2, Q]``; every query gets one label from its posterior."""
    n = float(part.mixture.n_tokens - 1)
    sizes = (float(count - 1), n - count + 1)
    generator = torch.Generator().manual_seed(seed)
    posterior = (part.target[:-1] / part.reach).T
    drawn = torch.multinomial(posterior, 1, generator=generator)[:, 0]
    label = torch.nn.functional.one_hot(drawn, part.mixture.n_patterns).double()
    rest = part.log_weights.exp().T * (1 - label)
    # The law of one of the other tokens, picked at random: the nodes are placed for that.
    mixed = (sizes[0] * label + sizes[1] * rest / rest.sum(1, keepdim=True)) / n
    part = replace(
        part,
        log_weights=mixed.log().T,
        target=torch.cat([part.reach * label.T, torch.zeros_like(part.reach)[None]]),
    )
    nodes = nodes_of(weight, part)
    error = output(PLAIN, nodes.scores.tilt, part)
    own_vector = nodes.own[:, None] * (error.apply(part.token) + error.offset).T
    chosen = label[:, None]
    factors = (chosen * n / sizes[0], (1 - chosen) * n / sizes[1])
    same, other = (
        _group(size, factor, nodes, error, part)
        for size, factor in zip(sizes, factors, strict=True)
    )
    square, defect = _integrate(same, other, nodes, own_vector)
    return torch.stack([square / part.mixture.dim, defect])


def _group(size: float, factor: Tensor, nodes: Nodes, error: Output, part: Queries) -> _Group:
    """Transforms of a group; ``factor`` ``[Q, 1, M]`` turns the law of all into the group's."""
    lam, weights = nodes.lam, nodes.weights
    _, power = _transforms(weights, lam)
    selected = [p * factor for p in power]
    rise = -torch.expm1(-lam[:, :, None, None] * weights.values[:, None])
    one = ((rise * weights.masses[:, None]).sum(3) * factor).sum(2)
    first, second = _token_moments(selected, lam, nodes.scores, error, part)
    log_phi = torch.log1p(-one.clamp(max=1 - 1e-15))
    return _Group(size, log_phi, first, second, selected[1].sum(-1))


def _integrate(
    same: _Group, other: _Group, nodes: Nodes, own_vector: Tensor
) -> tuple[Tensor, Tensor]:
    """E‖Σ w_i x'_i‖²/D² and the defect of the weights' sum, ``[Q]`` each."""
    lam, own = nodes.lam, nodes.own[:, None]
    log_all = same.size * same.log_phi + other.size * other.log_phi - lam * own
    square = torch.exp(log_all) * own_vector.square().sum(1, keepdim=True)
    mass = torch.exp(log_all) * own
    for group in (same, other):
        without = group.size * torch.exp(log_all - group.log_phi)
        pairs = group.size * (group.size - 1) * torch.exp(log_all - 2 * group.log_phi)
        with_query = 2 * (own_vector[:, None] * group.first).sum(-1)
        square = square + without * (group.second + with_query)
        square = square + pairs * group.first.square().sum(-1)
        mass = mass + without * group.mass
    across = 2 * same.size * other.size * torch.exp(log_all - same.log_phi - other.log_phi)
    square = square + across * (same.first * other.first).sum(-1)
    error = (lam**2 * square).sum(1) * nodes.step
    return error, ((lam * mass).sum(1) * nodes.step - 1).abs()
