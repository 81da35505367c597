"""The error of the head in powers of 1/N (:prf:ref:`thm-app-expansion`).

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

    ``doubt``: estimated size of what is left out, in the units of ``square``: the next order, if
    the sizes of the orders went on as a geometric series, but no more than the last one; and the
    cost of an ``_absence``, which no order sees. The size of an order is the sum of the
    absolute values of its parts: parts that cancel say nothing of what follows. ``dispersion``:
    (ρ-1)/(N-1) with ρ = E ω², the variance of the mean weight. Both ``[Q]``.
    """

    square: Tensor
    doubt: Tensor
    dispersion: Tensor


class _Moments(NamedTuple):
    """Moments of another token under the weights ω² and ω³, about the limit y_∞ of the average.

    The first axis is the power, 2 or 3. ``mass``: E ω^j ``[2, Q]``; ``mean``: E[ω^j (x - y_∞)]
    ``[2, M + 1, Q]``; ``square``: E[ω^j ‖V(x - y_∞)‖²] ``[2, Q]``. ``label_mass``: E ω² if scores
    varied with the labels only, ``[Q]``.
    """

    mass: Tensor
    mean: Tensor
    square: Tensor
    label_mass: Tensor


class _Orders(NamedTuple):
    """Mean and mean square of the average about its centre, by order in 1/n.

    ``mean_parts``: the two parts of the second order of the mean; ``square_parts``: those of
    ``square_2``, arranged so that only one is left of weights that select, which have two values.
    """

    mean_1: Tensor
    square_1: Tensor
    mean_parts: tuple[Tensor, Tensor]
    square_2: Tensor
    square_parts: tuple[Tensor, Tensor, Tensor]


def expand(scores: Scores, output: Output, queries: Queries) -> Expanded:
    """Second-order expansion of E‖V y + offset‖² for each query."""
    n = float(queries.mixture.n_tokens - 1)
    log_mass, limit, moments = _moments(scores, output, queries)
    own = torch.exp((scores.own - log_mass).clamp(max=700.0)) / n
    keep = 1 / (1 + own)
    # Where the average would be if the others stood exactly at their limit: the query pulls it.
    pull = (1 - keep) * (limit - queries.token)
    base = output.apply(limit - pull) + output.offset
    orders = _ratio(moments, pull, output, keep, n)
    square_1, square_2 = orders.square_1, orders.square_2
    bias = 2 * output.apply(base)
    bias_1 = (bias * orders.mean_1).sum(0)
    bias_2 = (bias * (orders.mean_parts[0] + orders.mean_parts[1])).sum(0)
    # A negative correction of a square is resummed, x -> x/(1 - x/s), so the square stays positive.
    negative = square_2.clamp(max=0)
    resummed = square_1 * negative / (square_1 - negative).clamp(min=1e-300)
    first = base.square().sum(0) + bias_1 + square_1
    square = first + bias_2 + square_2.clamp(min=0) + resummed
    with torch.no_grad():
        bias_parts = [(bias * part).sum(0) for part in orders.mean_parts]
        size_1 = bias_1.abs() + square_1
        size_2 = torch.stack([*bias_parts, *orders.square_parts]).abs().sum(0)
        size_3 = size_2 * (size_2 / size_1.clamp(min=1e-300)).clamp(max=1)
        # Attention then falls on another pattern, √2 times the length of a pattern away.
        absent = 2 * (output.span * queries.reach) ** 2 * _absence(moments.label_mass, n)
        dispersion = (moments.mass[0] - 1) / n
    return Expanded(square, size_3 + absent, dispersion)


def _absence(label_mass: Tensor, n: float) -> Tensor:
    """Probability that none of the n tokens has a label that counts.

    1/E ω² is the probability of the labels that count where all of them count alike.
    """
    return (1 - 1 / label_mass).clamp(min=0) ** n


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
    label_mass = torch.exp((logs[1] - 2 * logs[0]).clamp(max=_LOG_MASS_CAP))
    moments = _Moments(mass, mass[:, None] * mean, mass * square, label_mass)
    return logs[0] + scores.variance / 2, limit, moments


def _ratio(moments: _Moments, pull: Tensor, output: Output, keep: Tensor, n: float) -> _Orders:
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
    mean_parts = (keep * share**2) * cross_2, (3 * share * spread) * (keep * mean_1)
    square_1 = keep * share * square
    cross_square = output.apply(cross).square().sum(0)
    square_2 = share**2 * keep * (3 * keep * (square * spread + 2 * cross_square) - 2 * cubic)
    scale, alike = share**2 * keep, keep * square * spread  # where weights select, cubic is alike
    square_parts = scale * alike, 6 * scale * keep * cross_square, 2 * scale * (alike - cubic)
    return _Orders(mean_1, square_1, mean_parts, square_2, square_parts)
