"""The error of the attention average where the query's pattern has a given number of tokens.

Given the labels' counts the other tokens are two groups of independent draws, those of the query's
pattern and the rest, and the integral over λ factorises into powers of the transforms of each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, ReducedWeight
from gmmtf.risks.head import PLAIN, output, scores
from gmmtf.risks.integral import Nodes, place_nodes, token_moments, transforms
from gmmtf.risks.queries import Queries
from gmmtf_book.c06_mean_denoising.closed_forms import require_all_active
from gmmtf_book.c06_mean_denoising.maps import mean_over_nets


def error_given_count(
    weight: ReducedWeight, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int, count: int,
    **nets: int,
) -> Estimate:  # fmt: skip
    """Error E‖Σ_m A_nm x_m - √ᾱ μ_{z_n}‖²/d of the attention average where n_z is ``count`` (C6).

    ``count`` tokens of the data point, the query among them, share the query's pattern; the labels
    of the others are independent, with probabilities π restricted to the other patterns. The label
    of the query itself follows π. Same-pattern attention has the error τ²/count. Nets and errors
    as in :func:`~gmmtf_book.c06_mean_denoising.maps.predict_map`; besides ``ValueError`` if K < M
    or ``count`` is not between 2 and N - 1.
    """
    weight.check_fits(mixture)
    require_all_active(mixture)
    if not 2 <= count <= mixture.n_tokens - 1:
        raise ValueError(f"count: expected 2 to {mixture.n_tokens - 1}, got {count}")
    compute = partial(_error_given_count, weight, count)
    return mean_over_nets(compute, mixture, schedule, t, **nets)[0]


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


def _error_given_count(weight: ReducedWeight, count: int, part: Queries, seed: int) -> Tensor:
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
    seen = scores(weight, part)
    nodes = place_nodes(seen, part)
    error = output(PLAIN, seen.tilt, part)
    own_vector = nodes.own[:, None] * (error.apply(part.token) + error.offset).T
    _, power = transforms(nodes.weights, nodes.lam)
    rise = -torch.expm1(-nodes.lam[:, :, None, None] * nodes.weights.values[:, None])
    one = (rise * nodes.weights.masses[:, None]).sum(3)
    groups = []
    for size, members in zip(sizes, (label[:, None], 1 - label[:, None]), strict=True):
        factor = members * n / size  # turns the law of all other tokens into the group's
        selected = [p * factor for p in power]
        log_phi = torch.log1p(-(one * factor).sum(2).clamp(max=1 - 1e-15))
        moments = token_moments(selected, nodes.lam, seen, error, part)
        groups.append(_Group(size, log_phi, *moments, selected[1].sum(-1)))
    square, total = _integrate(groups[0], groups[1], nodes, own_vector)
    return torch.stack([square / part.mixture.dim, (total - 1).abs()])


def _integrate(
    same: _Group, other: _Group, nodes: Nodes, own_vector: Tensor
) -> tuple[Tensor, Tensor]:
    """E‖Σ w_i x'_i‖²/D² and the sum of the attention weights, ``[Q]`` each."""
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
    return (lam**2 * square).sum(1) * nodes.step, (lam * mass).sum(1) * nodes.step
