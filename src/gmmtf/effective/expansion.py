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

from gmmtf.effective.head import Output, Scores
from gmmtf.effective.queries import Queries

_LOG_MASS_CAP = 150.0


class Expanded(NamedTuple):
    """E‖error‖² of each query, ``[Q]``, and two signs of how far the expansion can be trusted.

    ``last_order``: size of the 1/N² terms, in the units of ``square``; ``dispersion``: ρ/(N-1) with
    ρ = E ω², the inverse of the effective number of tokens. Both ``[Q]``.
    """

    square: Tensor
    last_order: Tensor
    dispersion: Tensor


class _Tilted(NamedTuple):
    """Moments under the weight ω^j about the limit T of the attention average.

    ``mass``: E ω^j ``[Q]``; ``mean``: E[ω^j (x - T)] ``[Q, M + 1]``; ``square``:
    E[ω^j ‖V(x - T)‖²] ``[Q]``.
    """

    mass: Tensor
    mean: Tensor
    square: Tensor


def expand(scores: Scores, output: Output, queries: Queries) -> Expanded:
    """Second-order expansion of E‖V y + offset‖² for each query."""
    n = float(queries.mixture.n_tokens - 1)
    log_mass, limit, tilted = _moments(scores, output, queries)
    own = torch.exp((scores.own - log_mass).clamp(max=700.0)) / n
    keep = (1 / (1 + own))[:, None]
    # Where the average would be if the others stood exactly at their limit: the query pulls it.
    centre = keep * limit + (1 - keep) * queries.token
    base = output.value * centre + output.offset
    pull = limit - centre
    mean_1, mean_2, square_1, square_2 = _ratio(tilted, pull, output.value, keep, n)
    bias = output.value * base
    first = base.square().sum(1) + 2 * (bias * mean_1).sum(1) + square_1
    mean_part = 2 * (bias * mean_2).sum(1)
    # A negative correction of a square is resummed, x -> x/(1 - x/s), so the square stays positive.
    resummed = square_1 * square_2 / (square_1 - square_2.clamp(max=0)).clamp(min=1e-300)
    square_part = torch.where(square_2 > 0, square_2, resummed)
    last_order = mean_part.abs() + square_2.abs()
    return Expanded(first + mean_part + square_part, last_order, tilted[0].mass / n)


def _moments(
    scores: Scores, output: Output, queries: Queries
) -> tuple[Tensor, Tensor, tuple[_Tilted, _Tilted]]:
    """Return log E e^{score}, the limit T of the average, and the moments under ω² and ω³."""
    variance = queries.level.variance
    size = queries.mixture.n_patterns
    powers = [queries.log_weights + j * scores.shifts for j in (1, 2, 3)]
    logs = [torch.logsumexp(power, 1) for power in powers]
    labels = [torch.softmax(power, 1) for power in powers]
    drift = variance * scores.tilt
    limit = drift + torch.nn.functional.pad(queries.reach * labels[0], (0, 1))
    span = output.value[0]
    isotropic = variance[:, 0] * output.trace
    drift_square = (output.value * drift).square().sum(1)
    reach = queries.reach[:, 0]
    own_square = labels[0].square().sum(1)
    tilted = []
    for j in (2, 3):
        log_ratio = (j * j - j) / 2 * scores.variance + logs[j - 1] - j * logs[0]
        # The cap keeps products of moments finite where the expansion fails anyway.
        mass = torch.exp(log_ratio.clamp(max=_LOG_MASS_CAP))
        moved = queries.reach * (labels[j - 1] - labels[0])
        mean = (j - 1) * drift + torch.nn.functional.pad(moved, (0, 1))
        overlap = (labels[j - 1] * labels[0]).sum(1)
        square = (
            (span * reach) ** 2 * (1 - 2 * overlap + own_square)
            + 2 * (j - 1) * span**2 * (moved * drift[:, :size]).sum(1)
            + (j - 1) ** 2 * drift_square
            + isotropic
        )
        tilted.append(_Tilted(mass, mass[:, None] * mean, mass * square))
    return logs[0] + scores.variance / 2, limit, (tilted[0], tilted[1])


def _ratio(
    tilted: tuple[_Tilted, _Tilted], pull: Tensor, value: Tensor, keep: Tensor, n: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and mean square, orders 1/n and 1/n², of the average about its centre.

    The deviation is ``keep * S / (1 + keep * δ)`` with S the mean of η = ω(x-T) + (ω-1) pull and δ
    that of ω - 1, both of mean zero. Means are returned as vectors; squares are of V times it.
    """
    two, three = tilted
    spread = two.mass - 1
    skew = three.mass - 3 * two.mass + 2
    mixed = three.mean - 2 * two.mean
    cross = two.mean + spread[:, None] * pull  # E[η(ω-1)]
    cross_2 = mixed + skew[:, None] * pull  # E[η(ω-1)²]
    pulled = value**2 * pull
    pull_square = (pulled * pull).sum(1)
    square = two.square + 2 * (two.mean * pulled).sum(1) + spread * pull_square  # E‖Vη‖²
    cubic = three.square - two.square + 2 * (mixed * pulled).sum(1) + skew * pull_square
    k = keep[:, 0]
    mean_1 = -(keep**2) * cross / n
    mean_2 = (keep**3 * cross_2 - 3 * keep**4 * spread[:, None] * cross) / n**2
    square_1 = k**2 * square / n
    cross_square = (value * cross).square().sum(1)
    square_2 = -2 * k**3 * cubic + 3 * k**4 * (square * spread + 2 * cross_square)
    return mean_1, mean_2, square_1, square_2 / n**2
