"""The first step of gradient descent from W = 0 (theory result 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.mixture import MultiTokenGMM
from gmmtf.mmse import noise_level
from gmmtf.schedule import NoiseSchedule


def descent_direction(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> Tensor:
    """Direction -∇L at W = 0 for many tokens, between patterns: ``[M, M]`` (theory result 1).

    As N → ∞ with K = M, -∇L(0) = E_t[(2c²ᾱ/d) C_μ(ᾱC_μ + τ²I)] with C_μ = Σ_u π_u μ_u μ_uᵀ - μ̄μ̄ᵀ.
    The entry returned for (u, v) is μ_uᵀ(-∇L)μ_v: the rate at which the query-key product of the
    patterns u and v starts to grow, per unit of step size (F4).

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
    level = noise_level(mixture, schedule, torch.arange(schedule.n_steps))
    weight = 2 * level.gain**2 * level.signal**2 / mixture.dim
    pi, gram = mixture.probabilities, mixture.gram
    # C_μ = Uᵀ B U with the patterns as rows of U and B the covariance of the label's indicator.
    indicator = torch.diag(pi) - torch.outer(pi, pi)
    once = gram @ indicator @ gram
    twice = once @ indicator @ gram
    squared = float((weight * level.signal**2).mean()) * twice
    return squared + float((weight * level.variance).mean()) * once
