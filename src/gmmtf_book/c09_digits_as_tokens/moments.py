"""What the theory needs to know of real tokens: their class means and their covariance.

The theory's patterns are orthogonal and its components isotropic. Real ones are neither, so the
closest mixture of that form is matched to them, and results that need second moments only are
stated for any covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.pool import TokenLaw
from gmmtf.schedule import NoiseSchedule


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of a law of real tokens, float64.

    ``means``: class means ``[M, d]``; ``within``: variance per coordinate within each class
    ``[M]``; ``centre``: mean of a token ``[d]``; ``covariance``: Σ of a token ``[d, d]``.
    """

    probabilities: Tensor
    means: Tensor
    within: Tensor
    centre: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, law: TokenLaw) -> Moments:
        """Moments of a law, exactly: sums over its pool."""
        pi = torch.tensor(law.probabilities, dtype=torch.float64)
        tokens, labels = law.tokens.to("cpu", torch.float64), law.labels.cpu()
        weights = law.point_weights.cpu()
        pools = [tokens[labels == u] for u in range(len(pi))]
        means = torch.stack([pool.mean(0) for pool in pools])
        within = [(p - m).square().mean() for p, m in zip(pools, means, strict=True)]
        centre = pi @ means
        centred = tokens - centre
        covariance = (centred * weights[:, None]).T @ centred
        return cls(pi, means, torch.stack(within), centre, covariance)

    @property
    def sigma(self) -> float:
        """σ: σ² is the mean variance per coordinate within a class, weighted by π."""
        return math.sqrt(float(self.probabilities @ self.within))

    @property
    def radius(self) -> float:
        """Norm r of orthogonal patterns whose scatter r²(1 - Σπ²) about their mean is ours."""
        scatter = float(self.probabilities @ self.centred_means.square().sum(1))
        return math.sqrt(scatter / (1 - float(self.probabilities.square().sum())))

    @property
    def centred_means(self) -> Tensor:
        """Class means less the mean of a token, ``[M, d]``."""
        return self.means - self.centre

    def matched(self, n_tokens: int) -> MultiTokenGMM:
        """Return the theory's mixture: orthogonal patterns of norm r, isotropic components.

        It has the same probabilities, the same scatter of the means and the same trace of the
        covariance. By rotational invariance the directions of its patterns are irrelevant.
        """
        return MultiTokenGMM(
            n_patterns=len(self.means),
            dim=self.means.shape[1],
            n_tokens=n_tokens,
            radius=self.radius,
            sigma=self.sigma,
            weights=self.probabilities,
        )


def first_direction(covariance: Tensor, sigma: float, schedule: NoiseSchedule) -> Tensor:
    """Minus the gradient of the risk at W = 0 for many tokens of any law, ``[d, d]``.

    ``E_t (2c²ᾱ/d) (Σ - σ²I)(ᾱΣ + (1-ᾱ)I)`` with Σ the covariance of a token and σ² the variance
    that the head assumes. For a mixture with isotropic components it is theory result 1.

    """
    values, vectors = torch.linalg.eigh(covariance)
    alpha_bar, variance, gain = _levels(sigma, schedule)
    noisy = alpha_bar * values + 1 - alpha_bar
    growth = (2 * gain**2 * (noisy - variance) * noisy).mean(0) / len(values)
    direction: Tensor = (vectors * growth) @ vectors.T
    return direction


class LinearHead(NamedTuple):
    """The best head for infinitely many normal tokens: its weight ``[d, d]`` and its risk."""

    weight: Tensor
    risk: float


def linear_head(covariance: Tensor, sigma: float, schedule: NoiseSchedule) -> LinearHead:
    """Best weight, one for all times, for N → ∞ normal tokens of mean zero, and its risk.

    There the head is linear, ``c (I - C Wᵀ) x``, and its risk is quadratic in W.
    """
    values, vectors = torch.linalg.eigh(covariance)
    alpha_bar, variance, gain = _levels(sigma, schedule)
    noisy = alpha_bar * values + 1 - alpha_bar  # [T, d]
    weight = (gain**2 * noisy * (noisy - variance)).mean(0) / (gain**2 * noisy**3).mean(0)
    passed = gain * (1 - noisy * weight)
    risk = (1 - 2 * passed * (1 - alpha_bar).sqrt() + passed**2 * noisy).mean()
    return LinearHead((vectors * weight) @ vectors.T, float(risk))


def _levels(sigma: float, schedule: NoiseSchedule) -> tuple[Tensor, Tensor, Tensor]:
    """ᾱ, τ² and c at all times, each ``[T, 1]``."""
    alpha_bar = schedule.alpha_bars[:, None]
    variance = alpha_bar * sigma**2 + 1 - alpha_bar
    return alpha_bar, variance, (1 - alpha_bar).sqrt() / variance
