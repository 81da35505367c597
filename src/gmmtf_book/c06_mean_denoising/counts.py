"""The error of the attention average where the query's pattern has a given number of tokens.

Given the labels' counts the other tokens are two groups of independent draws, those of the query's
pattern and the rest, and the integral over λ factorises into powers of the transforms of each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, ReducedWeight
from gmmtf.risks.head import PLAIN, output, scores
from gmmtf.risks.integral import place_nodes, token_moments, transforms
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
