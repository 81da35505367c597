"""The numbers of the prose and of the checks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import torch
from scipy.special import ndtr
from torch import Tensor
from torch.nn.functional import one_hot

from gmmtf.laws.law import Tokens
from gmmtf.laws.mixture import MultiTokenGMM

Numbers = dict[str, float]


def law(mixture: MultiTokenGMM, noisy: MultiTokenGMM, drawn: Tokens) -> Numbers:
    """Sizes of signal and noise in the mixture and in a noisy one; ``drawn`` is of the latter."""
    assert mixture.radius is not None
    labels = one_hot(drawn.labels[0], noisy.n_patterns)
    projections = drawn.x_0[0] @ noisy.means.T / mixture.radius
    return {
        "m": mixture.n_patterns,
        "n": mixture.n_tokens,
        "radius": mixture.radius,
        "sigma": mixture.sigma,
        "default-ratio": mixture.radius / mixture.sigma,
        "noise-length": mixture.sigma * math.sqrt(mixture.dim),
        "noisy-sigma": noisy.sigma,
        "noisy-length": noisy.sigma * math.sqrt(noisy.dim),
        "noisy-spread": float((projections - mixture.radius * labels).std()),
    }


def distinct(counts: pd.DataFrame) -> Numbers:
    """The worst deviation of the counted patterns, and of how many."""
    pairs = zip(counts.drawn, counts.expected, strict=True)
    deviations = [drawn.errors_from(expected) for drawn, expected in pairs if drawn.standard_error]
    return {"distinct-deviation": max(deviations), "distinct-count": len(deviations)}


def inner_products(pairs: Mapping[int, Tensor], coherence: pd.DataFrame) -> Numbers:
    """Variances of the drawn products, and the largest product beside its bound."""
    scaled = {dim: dim * float(drawn.square().mean()) for dim, drawn in pairs.items()}
    first, last = coherence.iloc[0], coherence.iloc[-1]
    return {
        "variance-high": scaled[max(scaled)],
        "worst-variance": max(abs(variance - 1) for variance in scaled.values()),
        "coherence-low": float(first.largest),
        "coherence-high": float(last.largest),
        "coherence-ratio": float((coherence.largest / coherence.bound).max()),
        "dim-low": int(first.dim),
        "dim-high": int(last.dim),
    }


def labels(errors: pd.DataFrame) -> Numbers:
    """The worst deviation of the drawn errors, and the exact one at r/σ = 4."""
    pairs = zip(errors.drawn, errors.exact, strict=True)
    at_4, largest = float(errors.exact[errors.ratio == 4].iloc[0]), int(errors.dim.max())
    return {
        "error-deviation": max(drawn.errors_from(exact) for drawn, exact in pairs),
        "nearest-error": at_4,
        "error-at-4": 100 * at_4,
        "largest-dim": largest,
        "length-at-4": math.sqrt(largest) / 4,
    }


def rotation(mixture: MultiTokenGMM, rotated: MultiTokenGMM, back: Tensor) -> Numbers:
    """How far tokens of the rotated mixture, rotated back, are from the law of the mixture.

    ``beyond``: how many of as many standard normal numbers are at least as far from zero.
    """
    assert mixture.radius is not None
    change = float((rotated.gram - mixture.gram).abs().max()) / mixture.radius**2
    deviation = covariance_deviation(mixture, back)
    entries = mixture.dim * (mixture.dim + 1) // 2
    return {
        "gram-deviation": change,
        "covariance-deviation": deviation,
        "entries": entries,
        "beyond": entries * 2 * float(ndtr(-deviation)),
    }


def covariance_deviation(law: MultiTokenGMM, tokens: Tensor) -> float:
    """Worst deviation of the tokens' covariance from that of the law (K = M), in its s.e."""
    mean = law.probabilities @ law.means
    expected = law.means.T @ torch.diag(law.probabilities) @ law.means - torch.outer(mean, mean)
    expected += law.sigma**2 * torch.eye(law.dim, dtype=torch.float64)
    centred = tokens.flatten(0, 1) - mean
    found = centred.T @ centred / len(centred)
    fourth = (centred**2).T @ centred**2 / len(centred)
    return float(((found - expected) / ((fourth - found**2) / len(centred)).sqrt()).abs().max())
