"""Denoisers made of several attention heads: side by side, or one after the other.

Both are built from :class:`~gmmtf.denoisers.attention.AttentionDenoiser`, whose options (value
matrix, skip, tilt correction) every part may have. ``in_family`` makes any of them trainable in the
M² + 1 numbers of the invariant family, where the symmetry of the data keeps population gradient
descent anyway (:prf:ref:`thm-app-invariant`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gmmtf.arguments import checked
from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM

WEIGHT_UNIT = 16.0
"""Unit, in 1/r², of the weights that ``in_family`` trains; with it all numbers are of order one."""


class ManyHeads(nn.Module):
    """The sum of several heads: ``f_n = c (x_n - Σ_h estimate_h)``.

    Parameters
    ----------
    heads
        One or more heads for the same mixture and schedule. If all start alike they stay alike, so
        give them different values or weights.

    Raises
    ------
    ValueError
        If there is no head.
    """

    @checked
    def __init__(self, heads: Sequence[AttentionDenoiser]) -> None:
        super().__init__()
        if not heads:
            raise ValueError("heads: expected at least one head, got none")
        self.mixture = heads[0].mixture
        self.schedule = heads[0].schedule
        self.heads = nn.ModuleList(heads)

    @checked
    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``.

        Raises
        ------
        ValueError
            If a shape or a time is wrong.
        """
        heads = [head for head in self.heads if isinstance(head, AttentionDenoiser)]
        heads[0].check(x_t, t)
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x_t)
        estimate = torch.zeros_like(x_t)
        for head in heads:
            estimate = estimate + head.estimate(x_t, level)
        return level.gain * (x_t - estimate)


class TwoLayers(nn.Module):
    """Depth two: the second head attends to the estimates that the first makes of all tokens.

    ``y = estimate of the first head``, ``f_n = c (x_n - Σ_m softmax_m(x_nᵀ W₂ y_m) y_m)``. Queries
    of the second head are the noisy tokens, its keys and values the cleaned ones, in which the
    noise has variance of the order of τ²K/N in place of τ².

    Parameters
    ----------
    first, second
        Heads for the same mixture and schedule. The second may not have a tilt correction, which
        is made for a context with the noise of the tokens.

    Raises
    ------
    ValueError
        If the second head has a tilt correction.
    """

    @checked
    def __init__(self, first: AttentionDenoiser, second: AttentionDenoiser) -> None:
        super().__init__()
        if second.tilt_correction:
            raise ValueError("second: expected a head without tilt correction")
        self.mixture = first.mixture
        self.schedule = first.schedule
        self.first = first
        self.second = second

    @checked
    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``.

        Raises
        ------
        ValueError
            If a shape or a time is wrong.
        """
        self.first.check(x_t, t)
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x_t)
        context = self.first.estimate(x_t, level)
        return level.gain * (x_t - self.second.estimate(x_t, level, context))


class _FamilyWeight(nn.Module):
    """The weight of the invariant family from G and κ, both in units of ``WEIGHT_UNIT``/r²."""

    unit: Tensor
    rest: Tensor

    def __init__(self, mixture: MultiTokenGMM) -> None:
        super().__init__()
        radius = mixture.require_equal_orthogonal("the invariant family")
        self.scale = WEIGHT_UNIT / radius**2
        self.free = mixture.dim - mixture.n_patterns
        unit = mixture.means / radius
        self.register_buffer("unit", unit)
        self.register_buffer(
            "rest", torch.eye(mixture.dim, dtype=unit.dtype, device=unit.device) - unit.T @ unit
        )

    def forward(self, pattern: Tensor, complement: Tensor) -> Tensor:
        unit = self.unit.to(pattern)
        gamma = complement / math.sqrt(max(self.free, 1))
        return self.scale * (unit.T @ pattern @ unit + gamma * self.rest.to(pattern))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        unit = self.unit.to(weight)
        trace = (weight * self.rest.to(weight)).sum()
        pattern = unit @ weight @ unit.T
        return pattern / self.scale, trace / math.sqrt(max(self.free, 1)) / self.scale


class _FamilyValue(nn.Module):
    """The value matrix v₁ P + v₂ P_⊥."""

    span: Tensor

    def __init__(self, mixture: MultiTokenGMM) -> None:
        super().__init__()
        unit = mixture.means / mixture.require_equal_orthogonal("the invariant family")
        self.register_buffer("span", unit.T @ unit)
        self.size = mixture.n_patterns
        self.free = mixture.dim - mixture.n_patterns

    def forward(self, scalars: Tensor) -> Tensor:
        span = self.span.to(scalars)
        eye = torch.eye(len(span), dtype=scalars.dtype, device=scalars.device)
        return scalars[0] * span + scalars[1] * (eye - span)

    def right_inverse(self, value: Tensor) -> Tensor:
        inside = (value * self.span.to(value)).sum()
        outside = value.diagonal().sum() - inside
        return torch.stack([inside / self.size, outside / max(self.free, 1)])


@checked
def in_family(denoiser: nn.Module, mixture: MultiTokenGMM) -> nn.Module:
    """Restrict every head of a denoiser to the invariant family, in place, and return it.

    Weights become ``Σ_uv G_uv μ̂_u μ̂_vᵀ + γ P_⊥`` with trainable G and γ√(d - M), value matrices
    ``v₁ P + v₂ P_⊥`` with two trainable numbers; what lies outside the family is dropped.

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, or there is no attention head.
    """
    heads = [part for part in denoiser.modules() if isinstance(part, AttentionDenoiser)]
    if not heads:
        raise ValueError("denoiser: expected at least one AttentionDenoiser, got none")
    for head in heads:
        parametrize.register_parametrization(head, "weight", _FamilyWeight(mixture))
        if head.value is not None:
            parametrize.register_parametrization(head, "value", _FamilyValue(mixture))
    return denoiser
