"""Optimal DDPM denoising of multi-token Gaussian mixtures, exact and learned.

Implements and tests "Transformers Learn the Optimal DDPM Denoiser for Multi-Token GMMs"
(arXiv 2604.10074). A denoiser is any callable ``denoise(x_t, t) -> noise`` with ``x_t`` of shape
``[batch, tokens, dim]`` and integer times ``t`` of shape ``[batch]``.
"""

__version__ = "0.1.0"

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.device import resolve_device
from gmmtf.estimate import Estimate
from gmmtf.laws.law import Tokens
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

__all__ = [
    "AttentionDenoiser",
    "Estimate",
    "MultiTokenGMM",
    "NoiseSchedule",
    "Tokens",
    "resolve_device",
]
