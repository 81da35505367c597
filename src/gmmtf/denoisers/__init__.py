"""Denoisers: callables that estimate the noise in every token."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""``denoise(x_t, t) -> noise``: ``x_t`` ``[batch, tokens, d]``, ``t`` integers ``[batch]``."""
