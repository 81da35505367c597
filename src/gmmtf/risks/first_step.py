"""The first step of gradient descent from W = 0 (theory result 1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.reduced import ReducedWeight, gram_root
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import active_sets, set_probabilities
from gmmtf.schedule import NoiseSchedule


@checked
def descent_direction(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> ReducedWeight:
    """Direction -∇L at W = 0 in the limit of many tokens, in reduced coordinates (theory result 1).

    As N → ∞ with K = M, -∇L(0) = E_t[(2c²ᾱ/d) C_μ(ᾱC_μ + τ²I)] with C_μ = Σ_u π_u μ_u μ_uᵀ - μ̄μ̄ᵀ.
    The complement does not move. :meth:`ReducedWeight.products` of it has the entries
    μ_uᵀ(-∇L)μ_v: the rates at which the query-key products of the patterns start to grow, per unit
    of step size (F4). For patterns that are not orthogonal G is in the orthonormal basis of
    :meth:`ReducedWeight.products`.

    Raises
    ------
    ValueError
        If K < M, for which the result does not hold.
    """
    if mixture.k < mixture.n_patterns:
        raise ValueError(
            f"n_active: the first-step formula needs all {mixture.n_patterns} patterns active, "
            f"got {mixture.k}"
        )
    level = noise_level(mixture, schedule, schedule.times())
    weight = 2 * level.gain**2 * level.signal**2 / mixture.dim
    pi, root = mixture.probabilities, gram_root(mixture)
    # C_μ = Uᵀ B U with the patterns as rows of U and B the covariance of the label's indicator.
    indicator = torch.diag(pi) - torch.outer(pi, pi)
    once = root @ indicator @ root
    squared = float((weight * level.signal**2).mean()) * (once @ once)
    pattern = squared + float((weight * level.variance).mean()) * once
    return ReducedWeight(pattern, torch.zeros((), dtype=torch.float64, device="cpu"))


@checked
def exact_descent_direction(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> ReducedWeight:
    """Direction -∇L at W = 0 for any number of tokens, in reduced coordinates.

    With Σ the covariance of the scaled patterns over the tokens of one data point,
    -∇L(0) = E_t (2c²/d) (E[Σ²] + τ²(N-1)/N E[Σ] + (τ²/N)(E tr Σ - τ²(N-1)/N) I). The last term
    moves the complement too, at a rate that vanishes like 1/N. Holds for K < M as well.

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, or K < M with too many active sets.
    """
    radius = mixture.require_equal_orthogonal("the reduced first step")
    n, size = mixture.n_tokens, mixture.n_patterns
    once, twice = _covariance_moments(mixture)
    level = noise_level(mixture, schedule, schedule.times())
    front = 2 * level.gain**2 / mixture.dim
    power = level.signal**2 * radius**2
    inner = level.variance * (n - 1) / n
    everywhere = (front * level.variance / n * (power * once.diagonal().sum() - inner)).mean()
    pattern = (front * power**2).mean() * twice + (front * power * inner).mean() * once
    identity = torch.eye(size, dtype=torch.float64, device="cpu")
    complement = everywhere * math.sqrt(mixture.dim - size)
    return ReducedWeight(pattern + everywhere * identity, complement)


def _covariance_moments(mixture: MultiTokenGMM) -> tuple[Tensor, Tensor]:
    """E[B] and E[B²] of B = diag(f) - ffᵀ, f the label frequencies of a data point."""
    size = mixture.n_patterns
    once = torch.zeros(size, size, dtype=torch.float64, device="cpu")
    twice = torch.zeros_like(once)
    sets = active_sets(mixture)
    for active, share in zip(sets, set_probabilities(mixture), strict=True):
        rows = active[:, None], active[None, :]
        pi = mixture.probabilities[active]
        given = _multinomial_moments(pi / pi.sum(), mixture.n_tokens)
        once[rows] += given[0] * share
        twice[rows] += given[1] * share
    return once, twice


def _multinomial_moments(pi: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """E[B] and E[B²] for n independent labels with probabilities ``pi``.

    A product of k frequencies is a sum over k-tuples of tokens; tuples are grouped by which of
    their tokens coincide, and b distinct tokens count n(n-1)...(n-b+1)/n^k. Then
    B² = diag(f²) - diag(f)ffᵀ - ffᵀdiag(f) + (fᵀf)ffᵀ term by term.
    """
    distinct = [math.prod((n - i) / n for i in range(b)) for b in range(5)]

    def share(b: int, k: int) -> float:
        return distinct[b] / float(n) ** (k - b)

    outer = torch.outer(pi, pi)
    mean = share(2, 2) * (torch.diag(pi) - outer)
    ends = share(2, 2) * pi**2 + share(1, 2) * pi
    cubic = share(3, 3) * torch.outer(pi**2, pi) + share(2, 3) * outer
    cubic = cubic + torch.diag(2 * share(2, 3) * pi**2 + share(1, 3) * pi)
    norm = float(pi.square().sum())
    quartic = (share(4, 4) * norm + share(3, 4) + 2 * share(2, 4)) * outer
    quartic = quartic + 2 * share(3, 4) * outer * (pi[:, None] + pi[None, :])
    same = (share(3, 4) * norm + share(2, 4) + share(1, 4)) * pi + 4 * share(2, 4) * pi**2
    quartic = quartic + torch.diag(same)
    return mean, torch.diag(ends) - cubic - cubic.T + quartic


@checked
def natural_step_size(mixture: MultiTokenGMM) -> float:
    """Return K M d/r⁶, a step size whose first step changes query-key products by about one.

    By the first-step formula (theory result 1) the entry of W along a pattern of a uniform mixture
    grows at a rate ∝ r⁴/(K M d), and a product of two patterns is r² times as large. So with this
    unit a run looks alike for any d, r and number of patterns. For unequal norms r² is their mean
    square.
    """
    square = float(mixture.gram.diagonal().mean())
    return mixture.k * mixture.n_patterns * mixture.dim / square**3
