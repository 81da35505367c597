"""Simple averaging: other tokens' means with weights that no head has learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


class KernelAverage:
    """Nadaraya-Watson average of the noisy tokens with a Gaussian kernel of a fixed bandwidth.

    Nothing is learned: f_n = c (x_n - Σ_m w_nm x_m / Σ_m w_nm) with
    w_nm = exp(-‖x_n - x_m‖²/(2h²)) and h² = ``width`` d τ², in units of the distance of two tokens
    of one pattern. It is our reading of attention as in-context empirical Bayes (Smart et al.,
    arXiv 2605.29351), of which only the abstract is at hand.
    """

    def __init__(self, law: MultiTokenGMM, schedule: NoiseSchedule, width: float) -> None:
        self.law = law
        self.schedule = schedule
        self.width = width

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        x = x_t.double()
        level = noise_level(self.law, self.schedule, t).for_tokens(x)
        squares = torch.cdist(x, x).square()
        weights = torch.softmax(-squares / (2 * self.width * self.law.dim * level.variance), -1)
        return (level.gain * (x - weights @ x)).to(x_t)


class LinearAttention(nn.Module):
    """Attention without softmax: f_n = c (x_n - (1/N) Σ_m (x_nᵀ W x_m) V x_m).

    W starts at zero and V at the identity. Weights are no average here: their sum is not one, and
    grows with the square of the tokens.
    """

    def __init__(self, law: MultiTokenGMM, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.law = law
        self.schedule = schedule
        self.weight = nn.Parameter(torch.zeros(law.dim, law.dim))
        self.value = nn.Parameter(torch.eye(law.dim))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        level = noise_level(self.law, self.schedule, t).for_tokens(x_t)
        second = x_t.mT @ x_t / x_t.shape[1]
        estimate = x_t @ self.weight @ second @ self.value.T
        noise: Tensor = level.gain * (x_t - estimate)
        return noise
