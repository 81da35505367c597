"""The effective-token expansion: the error of the head in powers of 1/N (theory result 5).

Seen from the query, the other n = N - 1 tokens x are independent with weights ω ∝ e^{score},
E ω = 1. The attention average is ``(Σ ω x + n w_s x_n) / (Σ ω + n w_s)``. Written around its limit
it is a ratio of means of n independent terms, and the moments of such a ratio are expanded to
second order in 1/n by the delta method. All moments E[ω^j x^i] are closed forms: weighting by ω^j
tilts each Gaussian component, which moves its mean by jτ²ν and changes its probability.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.risks.head import Output, Scores
from gmmtf.risks.queries import Queries

_LOG_MASS_CAP = 150.0


class Expanded(NamedTuple):
    """E‖error‖² of each query, ``[Q]``, and two signs of how far the expansion can be trusted.

    ``last_order``: size of the 1/N² terms, in the units of ``square``; ``dispersion``: ρ/(N-1) with
    ρ = E ω², the inverse of the effective number of tokens. Both ``[Q]``.
    """

    square: Tensor
    last_order: Tensor
    dispersion: Tensor


class _Moments(NamedTuple):
    """Moments of another token under the weights ω² and ω³, about the limit y_∞ of the average.

    The first axis is the power, 2 or 3. ``mass``: E ω^j ``[2, Q]``; ``mean``: E[ω^j (x - y_∞)]
    ``[2, M + 1, Q]``; ``square``: E[ω^j ‖V(x - y_∞)‖²] ``[2, Q]``.
    """

    mass: Tensor
    mean: Tensor
    square: Tensor


def expand(scores: Scores, output: Output, queries: Queries) -> Expanded:
    """Second-order expansion of E‖V y + offset‖² for each query."""
    n = float(queries.mixture.n_tokens - 1)
    log_mass, limit, moments = _moments(scores, output, queries)
    own = torch.exp((scores.own - log_mass).clamp(max=700.0)) / n
    keep = 1 / (1 + own)
    # Where the average would be if the others stood exactly at their limit: the query pulls it.
    pull = (1 - keep) * (limit - queries.token)
    base = output.apply(limit - pull) + output.offset
    mean_1, mean_2, square_1, square_2 = _ratio(moments, pull, output, keep, n)
    bias = 2 * output.apply(base)
    first = base.square().sum(0) + (bias * mean_1).sum(0) + square_1
    mean_part = (bias * mean_2).sum(0)
    # A negative correction of a square is resummed, x -> x/(1 - x/s), so the square stays positive.
    negative = square_2.clamp(max=0)
    resummed = square_1 * negative / (square_1 - negative).clamp(min=1e-300)
    square = first + mean_part + square_2.clamp(min=0) + resummed
    last_order = (mean_part.abs() + square_2.abs()).detach()
    return Expanded(square, last_order, moments.mass[0].detach() / n)


def _moments(scores: Scores, output: Output, queries: Queries) -> tuple[Tensor, Tensor, _Moments]:
    """Return log E e^{score}, the limit y_∞ of the average, and the moments under ω² and ω³."""
    power = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, device="cpu")[:, None, None]
    weighted = queries.log_weights + power * scores.shifts
    logs = torch.logsumexp(weighted, 1)  # [3, Q]
    labels = torch.exp(weighted - logs[:, None])  # [3, M, Q]
    drift = queries.level.variance * scores.tilt
    zero = torch.zeros_like(drift[:1])
    limit = drift + torch.cat([queries.reach * labels[0], zero])
    j = power[1:, 0]
    log_ratio = (j * j - j) / 2 * scores.variance + logs[1:] - j * logs[0]
    # The cap keeps products of moments finite where the expansion fails anyway.
    mass = torch.exp(log_ratio.clamp(max=_LOG_MASS_CAP))
    moved = torch.cat([queries.reach * (labels[1:] - labels[0]), zero.expand(2, 1, -1)], 1)
    mean = power[1:] * drift - drift + moved
    # Around its own mean a component adds V²τ² and its label the variance of a scaled pattern.
    span_square = (output.span * queries.reach) ** 2
    scatter = span_square * (1 - labels[1:].square().sum(1))
    isotropic = queries.level.variance * output.trace
    square = output.apply(mean).square().sum(1) + scatter + isotropic
    moments = _Moments(mass, mass[:, None] * mean, mass * square)
    return logs[0] + scores.variance / 2, limit, moments


def _ratio(
    moments: _Moments, pull: Tensor, output: Output, keep: Tensor, n: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and mean square, orders 1/n and 1/n², of the average about its centre.

    The deviation is ``keep * m / (1 + keep * δ)`` with m the mean of ϖ = ω(x-y_∞) + (ω-1) pull and
    δ that of ω - 1, both of mean zero. Means are returned as vectors; squares are of V times it.
    """
    spread = moments.mass[0] - 1
    skew = moments.mass[1] - 3 * moments.mass[0] + 2
    mixed = moments.mean[1] - 2 * moments.mean[0]
    cross = moments.mean[0] + spread * pull  # E[ϖ(ω-1)]
    cross_2 = mixed + skew * pull  # E[ϖ(ω-1)²]
    pulled = 2 * output.apply(output.apply(pull))
    pull_square = (pulled * pull).sum(0) / 2
    # E‖Vϖ‖² and E[‖Vϖ‖²(ω-1)]
    square = moments.square[0] + (moments.mean[0] * pulled).sum(0) + spread * pull_square
    cubic = moments.square[1] - moments.square[0] + (mixed * pulled).sum(0) + skew * pull_square
    share = keep / n
    mean_1 = -(keep * share) * cross
    mean_2 = (keep * share**2) * cross_2 + (3 * share * spread) * (keep * mean_1)
    square_1 = keep * share * square
    cross_square = output.apply(cross).square().sum(0)
    square_2 = share**2 * keep * (3 * keep * (square * spread + 2 * cross_square) - 2 * cubic)
    return mean_1, mean_2, square_1, square_2
