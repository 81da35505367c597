"""Noisy data points in reduced coordinates (:prf:ref:`thm-app-reduced`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws.level import Level, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import standard_normal
from gmmtf.risks.wishart import bartlett_factor
from gmmtf.schedule import NoiseSchedule

_CHUNK_ELEMENTS = 2**20  # attention weights at a time: 8 MB a matrix, about a processor's cache


class ReducedTokens(NamedTuple):
    """Noisy data points as the invariant family sees them.

    ``span``: coordinates a_n of the tokens along the unit patterns, ``[batch, N, M]``;
    ``factor``: L with h = L Lᵀ the Gram matrix of the tokens' complement parts,
    ``[batch, N, min(N, d - M)]``; ``level``: the noise level of each data point, ``[batch, 1, 1]``.
    ``labels``: integers ``[batch, N]``. All others float64.
    """

    span: Tensor
    factor: Tensor
    level: Level
    labels: Tensor


@checked
def draw_tokens(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: Tensor,
    generator: torch.Generator | None = None,
) -> ReducedTokens:
    """Draw one noisy data point for each time in ``t`` (integers ``[batch]``).

    Given the labels, a token's pattern coordinates are √ᾱ r e_z + τ g with standard normal g, and
    independently of them h is τ² times a Wishart matrix with d - M degrees of freedom.

    Raises
    ------
    ValueError
        If a time is outside the schedule, or the patterns are not orthogonal with equal norms.
    """
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    schedule.check_times(t)
    if t.ndim != 1 or len(t) == 0:
        raise ValueError(f"t: expected one time or more, shape [batch], got {tuple(t.shape)}")
    labels, _ = mixture.sample_labels(len(t), generator)
    level = Level(*(v.view(-1, 1, 1) for v in noise_level(mixture, schedule, t.to(labels.device))))
    spread = level.variance.sqrt()
    shape = (*labels.shape, mixture.n_patterns)
    span = spread * standard_normal(shape, generator, torch.float64)
    span.scatter_add_(2, labels[..., None], (level.signal * radius).expand_as(span[..., :1]))
    free = mixture.dim - mixture.n_patterns
    factor = bartlett_factor(len(t), mixture.n_tokens, free, generator).mul_(spread)
    return ReducedTokens(span, factor, level, labels)


@checked
def draw_in_chunks(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: Tensor,
    generator: torch.Generator | None = None,
) -> Iterator[ReducedTokens]:
    """Draw as :func:`draw_tokens` does, few data points at a time, to bound the memory."""
    for part in torch.split(t, max(1, _CHUNK_ELEMENTS // mixture.n_tokens**2)):
        yield draw_tokens(mixture, schedule, part, generator)
