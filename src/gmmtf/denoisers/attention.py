"""The one-layer, one-head softmax-attention denoiser (C2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gmmtf.arguments import checked
from gmmtf.laws.level import Level, check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

FEW_TOKENS = 512
"""Up to so many tokens attended to, all data points of a batch are multiplied at once,"""

MANY_TOKENS = 4096
"""and from so many on no attention matrix is held: the memory is linear in N, the backward pass
computes the matrices again, and a step takes up to half as long again."""


def attend(queries: Tensor, context: Tensor) -> Tensor:
    """Attention averages ``softmax(queries contextᵀ) context`` of each data point.

    The way is chosen by the number of tokens attended to, :data:`FEW_TOKENS` and
    :data:`MANY_TOKENS`; the ways agree to rounding.

    Parameters
    ----------
    queries, context
        ``[batch, n, d]`` and ``[batch, m, d]``.
    """
    n_tokens = context.shape[1]
    if n_tokens <= FEW_TOKENS:
        return F.scaled_dot_product_attention(queries, context, context, scale=1.0)
    whole = context.device.type == "cpu" and not torch.compiler.is_compiling()
    if whole and len(context) and n_tokens < MANY_TOKENS:
        # One data point after the other: its matrix stays in the processor's cache.
        points = zip(queries, context, strict=True)
        return torch.stack([torch.softmax(rows @ keys.T, -1) @ keys for rows, keys in points])
    keys = context[:, None]  # the fused kernels know four axes only, with one of heads
    return F.scaled_dot_product_attention(queries[:, None], keys, keys, scale=1.0)[:, 0]


class AttentionDenoiser(nn.Module):
    """One softmax-attention head that estimates the noise in every token.

    ``f_n = c (x_n - Σ_m A_nm x_m)`` with ``A = softmax_m(x_nᵀ W x_m)``: the head estimates the
    token's scaled pattern by a weighted mean of all tokens, itself included, and the time enters
    through c alone. ``W`` starts at zero, where attention is uniform (C2). The paper's exact
    parameterisation is not known to us; this one is our reading of C2 and C6. With all options the
    estimate of the scaled pattern is ``V Σ_m A_nm x_m + ι x_n - τ² Wᵀx_n``.

    Parameters
    ----------
    mixture
        The data law; only d and σ are used.
    schedule
        The noise schedule.
    dtype
        Type of the parameters.
    value
        Whether to learn a value matrix V, which starts at the identity (:prf:ref:`prop-app-value`).
    skip
        Whether to learn the scalar ι, which starts at 0.
    tilt_correction
        Whether to subtract τ² Wᵀx_n, by which softmax weights displace the average of normal tokens
        (:prf:ref:`cor-app-corrected`); nothing is learned for it.
    device
        Where the parameters are, whatever PyTorch's default device is.
    """

    @checked
    def __init__(
        self,
        mixture: MultiTokenGMM,
        schedule: NoiseSchedule,
        dtype: torch.dtype = torch.float32,
        *,
        value: bool = False,
        skip: bool = False,
        tilt_correction: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.mixture = mixture
        self.schedule = schedule
        self.tilt_correction = tilt_correction
        kind: Any = {"dtype": dtype, "device": device}
        self.weight = nn.Parameter(torch.zeros(mixture.dim, mixture.dim, **kind))
        self.value = nn.Parameter(torch.eye(mixture.dim, **kind)) if value else None
        self.skip = nn.Parameter(torch.zeros((), **kind)) if skip else None

    @checked
    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``.

        Raises
        ------
        ValueError
            If a shape or a time is wrong.
        """
        self.check(x_t, t)
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x_t)
        return level.gain * (x_t - self.estimate(x_t, level))

    @checked
    def estimate(self, x_t: Tensor, level: Level, context: Tensor | None = None) -> Tensor:
        """Estimate of every token's scaled pattern √ᾱ m_n, of the shape of ``x_t``.

        Shapes are not checked.

        Parameters
        ----------
        level
            The noise level of each data point, shaped to multiply its tokens.
        context
            The tokens attended to, ``[batch, tokens, d]``; the noisy tokens themselves when None.
        """
        queries = x_t @ self.weight
        keys = x_t if context is None else context
        estimate = attend(queries, keys)
        if self.value is not None:
            estimate = estimate @ self.value.T
        if self.skip is not None:
            estimate = estimate + self.skip * x_t
        if self.tilt_correction:
            estimate = estimate - level.variance * queries
        return estimate

    @checked
    def attention(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Attention matrices A ``[batch, tokens, tokens]``; each row sums to one.

        Takes and raises what :meth:`forward` does. The scores do not depend on ``t`` other than
        through ``x_t``.
        """
        self.check(x_t, t)
        self.schedule.check_times(t)
        return torch.softmax((x_t @ self.weight) @ x_t.transpose(1, 2), dim=-1)

    @checked
    def check(self, x_t: Tensor, t: Tensor) -> None:
        """Raise ``ValueError`` unless tokens and times have the shapes and types of this head."""
        check_tokens(self.mixture, x_t, t)
        if x_t.dtype != self.weight.dtype:
            raise ValueError(f"x_t: expected {self.weight.dtype} as the weight, got {x_t.dtype}")

    def pattern_products(self) -> Tensor:
        """Query-key inner products μ_uᵀ W μ_v of the patterns, ``[M, M]`` (F4)."""
        means = self.mixture.means.to(self.weight)
        return (means @ self.weight @ means.T).detach()
