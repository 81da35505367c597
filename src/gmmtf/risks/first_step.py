"""The first step of gradient descent from W = 0 (:prf:ref:`thm-app-first`)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.reduced import ReducedWeight, gram_root
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import active_sets, set_probabilities
from gmmtf.schedule import NoiseSchedule

_PART_ELEMENTS = 2**20  # sets times M² at a time: 8 MB a matrix


@checked
def descent_direction(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> ReducedWeight:
    """Direction -∇L at W = 0 in the limit of many tokens, in reduced coordinates.

    As N → ∞ with K = M, -∇L(0) = E_t[(2c²ᾱ/d) C_μ(ᾱC_μ + τ²I)] with C_μ = Σ_u π_u μ_u μ_uᵀ - μ̄μ̄ᵀ,
    by :prf:ref:`thm-app-first`. For K < M it is the mean of that over the active sets, as many
    tokens reveal theirs. The complement does not move. :meth:`ReducedWeight.products
    <gmmtf.denoisers.reduced.ReducedWeight.products>` of it has the entries
    μ_uᵀ(-∇L)μ_v: the rates at which the query-key products of the patterns start to grow, per unit
    of step size (F4). For patterns that are not orthogonal G is in the orthonormal basis of
    these products.

    Raises
    ------
    ValueError
        If K < M with too many active sets.
    """
    level = noise_level(mixture, schedule, schedule.times())
    weight = 2 * level.gain**2 * level.signal**2 / mixture.dim
    root, size = gram_root(mixture), mixture.n_patterns
    once = torch.zeros(size, size, dtype=torch.float64, device="cpu")
    twice = torch.zeros_like(once)
    for members, pi, share in _sets_in_parts(mixture):
        # C_μ = Uᵀ B U with the patterns as rows of U, B the covariance of the label's indicator.
        given = torch.diag_embed(pi) - pi[:, :, None] * pi[:, None, :]
        whole = given.new_zeros(len(pi), size, size)
        whole[torch.arange(len(pi))[:, None, None], members[:, :, None], members[:, None]] = given
        whole = root @ whole @ root
        once += torch.einsum("s,suv->uv", share, whole)
        twice += torch.einsum("s,suv,svw->uw", share, whole, whole)
    squared = float((weight * level.signal**2).mean()) * twice
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
    once, twice = label_covariances(mixture)
    level = noise_level(mixture, schedule, schedule.times())
    front = 2 * level.gain**2 / mixture.dim
    power = level.signal**2 * radius**2
    inner = level.variance * (n - 1) / n
    everywhere = (front * level.variance / n * (power * once.diagonal().sum() - inner)).mean()
    pattern = (front * power**2).mean() * twice + (front * power * inner).mean() * once
    identity = torch.eye(size, dtype=torch.float64, device="cpu")
    complement = everywhere * math.sqrt(mixture.dim - size)
    return ReducedWeight(pattern + everywhere * identity, complement)


def _sets_in_parts(mixture: MultiTokenGMM) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Active sets ``[sets, K]``, their labels' probabilities ``[sets, K]``, and the sets' own."""
    sets, shares = active_sets(mixture), set_probabilities(mixture)
    pi = mixture.probabilities[sets]
    pi = pi / pi.sum(1, keepdim=True)
    per_part = max(1, _PART_ELEMENTS // mixture.n_patterns**2)
    yield from zip(sets.split(per_part), pi.split(per_part), shares.split(per_part), strict=True)


@checked
def label_covariances(mixture: MultiTokenGMM) -> tuple[Tensor, Tensor]:
    """E[B] and E[B²] of B = diag(f) - ffᵀ, f the label frequencies of a data point.

    Both float64 ``[M, M]``, over the labels and the active sets.

    Raises
    ------
    ValueError
        If K < M with too many active sets.
    """
    size = mixture.n_patterns
    once = torch.zeros(size * size, dtype=torch.float64, device="cpu")
    twice = torch.zeros_like(once)
    for members, pi, share in _sets_in_parts(mixture):
        places = (members[:, :, None] * size + members[:, None, :]).flatten()
        for total, given in zip(
            (once, twice), _multinomial_moments(pi, mixture.n_tokens), strict=True
        ):
            total.index_add_(0, places, (share[:, None, None] * given).flatten())
    return once.view(size, size), twice.view(size, size)


def _multinomial_moments(pi: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """E[B] and E[B²] for n independent labels with probabilities ``pi`` ``[sets, K]``.

    A product of k frequencies is a sum over k-tuples of tokens; tuples are grouped by which of
    their tokens coincide, and b distinct tokens count n(n-1)...(n-b+1)/n^k. Then
    B² = diag(f²) - diag(f)ffᵀ - ffᵀdiag(f) + (fᵀf)ffᵀ term by term.
    """
    distinct = [math.prod((n - i) / n for i in range(b)) for b in range(5)]

    def share(b: int, k: int) -> float:
        return distinct[b] / float(n) ** (k - b)

    diag = torch.diag_embed
    outer = pi[:, :, None] * pi[:, None, :]
    mean = share(2, 2) * (diag(pi) - outer)
    ends = share(2, 2) * pi**2 + share(1, 2) * pi
    cubic = share(3, 3) * (pi**2)[:, :, None] * pi[:, None, :] + share(2, 3) * outer
    cubic = cubic + diag(2 * share(2, 3) * pi**2 + share(1, 3) * pi)
    norm = pi.square().sum(1)[:, None]
    quartic = (share(4, 4) * norm + share(3, 4) + 2 * share(2, 4))[..., None] * outer
    quartic = quartic + 2 * share(3, 4) * outer * (pi[:, :, None] + pi[:, None, :])
    same = (share(3, 4) * norm + share(2, 4) + share(1, 4)) * pi + 4 * share(2, 4) * pi**2
    quartic = quartic + diag(same)
    return mean, diag(ends) - cubic - cubic.mT + quartic


@checked
def natural_step_size(mixture: MultiTokenGMM) -> float:
    """Return K M d/r⁶, a step size whose first step changes query-key products by about one.

    By :prf:ref:`thm-app-first` the entry of W along a pattern of a uniform mixture grows at a rate
    ∝ r⁴/(K M d), and a product of two patterns is r² times as large. So with this unit a run looks
    alike for any d, r and number of patterns. For unequal norms r² is their mean square.
    """
    square = float(mixture.gram.diagonal().mean())
    return mixture.k * mixture.n_patterns * mixture.dim / square**3
