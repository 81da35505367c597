"""Risks of given attention in closed form (C6)."""

from __future__ import annotations

import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, bayes_risk, oracle_risk
from gmmtf.laws.level import noise_level
from gmmtf.risks import formulas


def blind_excess(
    concentration: float, mismatch: float, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int
) -> float:
    """Excess over the oracle's risk of a map that does not see the noise of the tokens (C6).

    It is (c²ᾱr²/d) E[mismatch] + ((1-ᾱ)/τ²) E[concentration], for any law of the map given the
    labels; uniform and same-pattern attention are special cases.
    """
    radius = mixture.require_equal_orthogonal("the risk of a given map")
    level = noise_level(mixture, schedule, torch.tensor(t))
    bias = float((level.gain * level.signal * radius) ** 2) / mixture.dim
    return bias * mismatch + float(level.gain**2 * level.variance) * concentration


def foreign_mismatch(concentration: float, own: float, mixture: MultiTokenGMM) -> float:
    """Expected mismatch of a map that depends on neither labels nor tokens (K = M).

    (1 - Σπ²)(1 + E[concentration] - 2 E[own]): the map of another data point, or a constant one.
    """
    require_all_active(mixture)
    return float(1 - mixture.probabilities.square().sum()) * (1 + concentration - 2 * own)


def same_pattern_distance(mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int) -> Estimate:
    """Mean squared distance of same-pattern attention from the *Bayes* estimate, per coordinate.

    With U the number of distinct patterns in a data point and g the Bayes risk less the oracle's,
    it is ((1-ᾱ)/τ²) E[U]/N + g (1 - 2 E[U]/N), for K = M and uniform weights. Same-pattern
    attention uses the labels, so this is not its risk less the Bayes risk, ((1-ᾱ)/τ²) E[U]/N - g.
    """
    require_all_active(mixture)
    pi = mixture.probabilities
    if float(pi.max() - pi.min()) > 1e-9:
        raise ValueError(f"weights: expected uniform weights, got {pi.tolist()}")
    share = formulas.expected_distinct(mixture) / mixture.n_tokens
    gap = bayes_risk(mixture, schedule, t=t) - oracle_risk(mixture, schedule, t=t)
    return formulas.mean_denoising_excess(mixture, schedule, t=t) + gap * (1 - 2 * share)


def uniform_crossing(mixture: MultiTokenGMM) -> float:
    """ᾱ below which uniform attention has a smaller risk than same-pattern attention (K = M).

    The bias of averaging all patterns, ᾱ r²(1 - Σπ²)(1 - 1/N)/(dτ²) in units of (1-ᾱ)/τ², is worth
    its smaller variance while it is below (E[U] - 1)/N. For uniform weights and many tokens: while
    ᾱr²/(dτ²) is below K/N.
    """
    require_all_active(mixture)
    ratio = mixture.require_equal_orthogonal("the crossing") ** 2 / mixture.dim
    spread = float(1 - mixture.probabilities.square().sum()) * (1 - 1 / mixture.n_tokens)
    if spread == 0:
        raise ValueError("mixture: expected at least 2 patterns and 2 tokens")
    threshold = (formulas.expected_distinct(mixture) - 1) / mixture.n_tokens / spread
    return threshold / (ratio + threshold * (1 - mixture.sigma**2))


def require_all_active(mixture: MultiTokenGMM) -> None:
    """Raise ``ValueError`` if K < M, where the labels of a data point are not independent."""
    if mixture.k < mixture.n_patterns:
        raise ValueError(f"n_active: expected all {mixture.n_patterns} patterns, got {mixture.k}")
