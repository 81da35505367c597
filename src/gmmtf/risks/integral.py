"""The exact risk for any number of tokens, as a one-dimensional integral.

With D the sum of the attention weights, 1/D² = ∫ λ e^{-λD} dλ. Given the query the other tokens are
independent, so the expectation of e^{-λD} times anything quadratic in the tokens factorises into
powers of one-token transforms E[w^j e^{-λw}], w = e^{score} lognormal given its label. What is left
is one integral over λ for each query, at a cost that depends neither on N nor on d.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.risks.head import Output, Scores
from gmmtf.risks.queries import Queries

_LOG_LAMBDA_STEP = 0.45  # the midpoint rule in log λ converges geometrically in 1/step
_SCORE_RANGE = 7.0  # the normal part of a score is integrated to this many standard deviations
_EXPONENT_END = 36.0  # λ runs until its exponential factor is e^-36
_LOG_LAMBDA_BELOW = 14.0  # and starts this far, in log λ, below where the factor is 1/e,
_LOG_WEIGHT_BELOW = 9.0  # or this far below the inverse of the largest weight that carries mass:
_LEAST_MASS = 1e-9  # a weight that n tokens have in at least this many data points
_LOG_WEIGHT_CAP = 40.0  # larger ones belong to scores that the nodes do not resolve
_WIDEST_SCORES = 8.0  # largest standard deviation of a score that the nodes resolve


class Integrated(NamedTuple):
    """E‖error‖² of each query, ``[Q]``, and the error of a known integral by the same nodes.

    The attention weights sum to one; ``defect`` is by how much their integral over λ misses that,
    and infinite where the scores vary too much for the score nodes, an error that it cannot see.
    """

    square: Tensor
    defect: Tensor


class _Weights(NamedTuple):
    """Quadrature of the other tokens' weights: ``values`` and ``masses`` ``[Q, M, H]``."""

    values: Tensor
    masses: Tensor


class Nodes(NamedTuple):
    """Quadrature for a set of queries.

    ``weights``: those of the other tokens; ``own``: the query's own weight on the same scale,
    ``[Q]``; ``lam``: nodes in λ, ``[Q, L]``; ``step``: the spacing of their logarithms, ``[Q]``.
    """

    weights: _Weights
    own: Tensor
    lam: Tensor
    step: Tensor


def place_nodes(scores: Scores, queries: Queries) -> Nodes:
    """Place the nodes for the scores and for λ."""
    n = float(queries.mixture.n_tokens - 1)
    log_mass = torch.logsumexp(queries.log_weights + scores.shifts, 0) + scores.variance / 2
    scale = torch.maximum(log_mass + math.log(n), scores.own).detach()
    weights = _quadrature(scores, queries, scale)
    own = torch.exp(scores.own - scale)
    return Nodes(weights, own, *_lambda_nodes(weights, own, n))


def integrate(scores: Scores, output: Output, queries: Queries) -> Integrated:
    """Exact E‖V y + offset‖² for each query, up to quadrature."""
    n = float(queries.mixture.n_tokens - 1)
    weights, own, lam, step = place_nodes(scores, queries)
    one, power = transforms(weights, lam)
    first, second = token_moments(power, lam, scores, output, queries)
    own_vector = (output.apply(queries.token) + output.offset).T
    log_phi = torch.log1p(-one)
    damping = -lam * own[:, None]
    phi = [torch.exp((n - j) * log_phi + damping) for j in range(3)]
    own_first = own[:, None] * (own_vector[:, None] * first).sum(-1)
    own_square = (own**2 * own_vector.square().sum(1))[:, None]
    integrand = (
        n * phi[1] * second
        + n * (n - 1) * phi[2] * first.square().sum(-1)
        + 2 * n * phi[1] * own_first
        + phi[0] * own_square
    )
    square = (lam**2 * integrand).sum(1) * step
    total = lam * (n * phi[1] * power[1].sum(-1) + own[:, None] * phi[0])
    defect = (total.sum(1) * step - 1).abs().detach()
    too_wide = scores.variance.detach() > _WIDEST_SCORES**2
    return Integrated(square, defect.masked_fill(too_wide, math.inf))


def _quadrature(scores: Scores, queries: Queries, scale: Tensor) -> _Weights:
    """Midpoints in the normal part of the score, wide enough for the tilted integrands.

    Their spacing shrinks with the standard deviation of the score, because e^{-λw} is a step of
    width 1/deviation in the normal variable.
    """
    deviation = (scores.variance + 1e-20).sqrt()  # the shift keeps the gradient finite at W = 0
    widest = float(deviation.detach().max())
    resolved = min(widest, _WIDEST_SCORES)
    count = math.ceil((2 * _SCORE_RANGE + 4 * resolved) * max(1.0, resolved) / 0.6)
    low = -_SCORE_RANGE
    width = (2 * _SCORE_RANGE + 4 * deviation.detach()) / count
    nodes = low + width[:, None] * (torch.arange(count, dtype=torch.float64, device="cpu") + 0.5)
    mass = torch.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi) * width[:, None]
    log_values = scores.shifts.T[:, :, None] + (deviation[:, None] * nodes)[:, None, :]
    masses = queries.log_weights.exp().T[:, :, None] * mass[:, None, :]
    # Beyond the cap e^{-λw} is zero for every λ that matters, and w⁴ would overflow.
    values = torch.exp((log_values - scale[:, None, None]).clamp(max=150.0))
    return _Weights(values, masses)


@torch.no_grad()
def _lambda_nodes(weights: _Weights, own: Tensor, n: float) -> tuple[Tensor, Tensor]:
    """Midpoints in log λ, ``[Q, L]``, and their spacing ``[Q]``."""
    middle = _log_lambda_where(1.0, weights, own, n)
    top = _log_lambda_where(_EXPONENT_END, weights, own, n)
    # One heavy token makes D exceed its typical size by far more than many tokens do together.
    carried = weights.values.masked_fill(n * weights.masses < _LEAST_MASS, 0).amax((1, 2))
    largest = carried.clamp(min=1e-300).log().clamp(max=_LOG_WEIGHT_CAP)
    bottom = torch.minimum(middle - _LOG_LAMBDA_BELOW, -largest - _LOG_WEIGHT_BELOW)
    count = math.ceil(float((top - bottom).max()) / _LOG_LAMBDA_STEP)
    step = (top - bottom) / count
    nodes = torch.arange(count, dtype=torch.float64, device="cpu") + 0.5
    return torch.exp(bottom[:, None] + step[:, None] * nodes), step


def _log_lambda_where(target: float, weights: _Weights, own: Tensor, n: float) -> Tensor:
    """Bisect for log λ at which -log E e^{-λD} is ``target``."""
    low, high = torch.full_like(own, -5.0), torch.full_like(own, 80.0)
    for _ in range(40):
        trial = (low + high) / 2
        lam = torch.exp(trial)
        one = _one_minus_phi(weights, lam[:, None])[:, 0]
        above = -n * torch.log1p(-one) + lam * own > target
        low, high = torch.where(above, low, trial), torch.where(above, trial, high)
    return (low + high) / 2


def _one_minus_phi(weights: _Weights, lam: Tensor) -> Tensor:
    """1 - E e^{-λw} without cancellation, ``[Q, L]``."""
    rise = -torch.expm1(-lam[:, :, None, None] * weights.values[:, None])
    one = (rise * weights.masses[:, None]).sum((2, 3))
    return one.clamp(max=1 - 1e-15)


def transforms(weights: _Weights, lam: Tensor) -> tuple[Tensor, list[Tensor]]:
    """1 - φ ``[Q, L]`` and the transforms E[w^j e^{-λw}; label k] ``[Q, L, M]`` for j = 0 to 4."""
    values = weights.values[:, None]
    term = torch.exp(-lam[:, :, None, None] * values) * weights.masses[:, None]
    power = []
    for j in range(5):
        power.append(term.sum(-1))
        if j < 4:
            term = term * values
    return _one_minus_phi(weights, lam), power


def token_moments(
    power: list[Tensor], lam: Tensor, scores: Scores, output: Output, queries: Queries
) -> tuple[Tensor, Tensor]:
    """E[w x' e^{-λw}] ``[Q, L, M + 1]`` and E[w² ‖x'‖² e^{-λw}] ``[Q, L]`` for x' = V x + offset.

    The token x is normal given its label and its score is ⟨ν, x⟩, so by Stein's lemma moments with
    x become derivatives of w^j e^{-λw} in the score.
    """
    lam = lam[:, :, None]
    variance = queries.level.variance[:, None]
    drift = output.apply(queries.level.variance * scores.tilt).T
    offset = output.offset.T
    reach = (output.span * queries.reach)[:, None]
    slope_1 = (power[1] - lam * power[2]).sum(-1)
    first = (
        torch.nn.functional.pad(reach[:, :, None] * power[1], (0, 1))
        + power[1].sum(-1, keepdim=True) * offset[:, None]
        + slope_1[..., None] * drift[:, None]
    )
    slope_2 = 2 * power[2] - lam * power[3]
    bend_2 = (4 * power[2] - 5 * lam * power[3] + lam**2 * power[4]).sum(-1)
    span_offset = offset[:, :-1]
    squares = reach**2 + 2 * reach * span_offset + offset.square().sum(1, keepdim=True)
    along = reach * drift[:, :-1] + (offset * drift).sum(1, keepdim=True)
    second = (
        (power[2] * (squares + variance * output.trace)[:, None]).sum(-1)
        + 2 * (slope_2 * along[:, None]).sum(-1)
        + bend_2 * drift.square().sum(1, keepdim=True)
    )
    return first, second
