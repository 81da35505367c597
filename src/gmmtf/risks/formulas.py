"""Closed-form laws of the risk: what perfect attention leaves, what the plain head cannot mend."""

from __future__ import annotations

import torch

from gmmtf.arguments import checked
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.moments import label_probabilities
from gmmtf.risks.first_step import label_covariances
from gmmtf.schedule import NoiseSchedule, Times


@checked
def start_risk(mixture: MultiTokenGMM, schedule: NoiseSchedule, *, t: Times = None) -> float:
    """Excess over the oracle's risk at W = 0, where the head subtracts the mean of all tokens.

    It is (1-ᾱ)/(τ²N) + (c²ᾱ/d)(1 - 1/N) E‖μ_z - μ̄‖²; for orthogonal patterns of norm r
    E‖μ_z - μ̄‖² = (1 - q) r², where q is the probability that two labels of a data point agree:
    Σπ² for K = M, 1/K for K patterns of equal weight.

    Raises
    ------
    ValueError
        If K < M with too many active sets, or ``t`` is outside the schedule.
    """
    level = noise_level(mixture, schedule, schedule.times(t))
    covariance, _ = label_covariances(mixture)
    spread = float((covariance * mixture.gram).sum()) / mixture.dim
    noise = level.gain**2 * level.variance / mixture.n_tokens
    return float((noise + (level.gain * level.signal) ** 2 * spread).mean())


@checked
def expected_distinct(mixture: MultiTokenGMM) -> float:
    """Expected number of distinct patterns among the N tokens of a data point.

    Raises
    ------
    ValueError
        If K < M and the weights are not uniform, so that active sets differ.
    """
    _require_alike_sets(mixture)
    pi = mixture.probabilities
    if mixture.k < mixture.n_patterns:
        pi = torch.full((mixture.k,), 1 / mixture.k, dtype=torch.float64, device="cpu")
    return float(-torch.expm1(mixture.n_tokens * torch.log1p(-pi)).sum())


@checked
def mean_denoising_excess(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, *, t: Times = None
) -> float:
    """Excess over the oracle's risk of selective attention (C6, :prf:ref:`prop-train-mean`).

    (1-ᾱ)/τ² times the expected number of distinct patterns divided by N: about K/N.

    Raises
    ------
    ValueError
        As :func:`expected_distinct`, or if ``t`` is outside the schedule.
    """
    level = noise_level(mixture, schedule, schedule.times(t))
    factor = float((level.gain**2 * level.variance).mean())
    return factor * expected_distinct(mixture) / mixture.n_tokens


@checked
def tilt_floor(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
) -> float:
    """Excess over the oracle's risk that the tilt leaves as N → ∞ (:prf:ref:`thm-app-limit`).

    Softmax weights prefer tokens whose noise points along Wᵀx_n, which moves the average by τ²Wᵀx_n
    however many tokens there are. If attention selects the right pattern, this alone costs
    (1-ᾱ) E‖Wᵀx_n‖²/d. The tilt-corrected head does not pay it. This is the floor of the given
    weight where labels are read; a positive floor remains for every weight, also for one that
    grows with N (:prf:ref:`thm-app-floor`).

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, ``t`` is outside the schedule, or K < M
        and the weights are not uniform.
    """
    weight.check_fits(mixture)
    _require_alike_sets(mixture)
    radius = mixture.require_equal_orthogonal("the tilt floor")
    level = noise_level(mixture, schedule, schedule.times(t))
    rows = weight.pattern.square().sum(1)
    along = level.signal**2 * radius**2 * (label_probabilities(mixture) @ rows)
    noise = level.variance * (rows.sum() + weight.complement**2)
    remaining = (level.gain * level.variance) ** 2
    return float((remaining * (along + noise)).mean()) / mixture.dim


def _require_alike_sets(mixture: MultiTokenGMM) -> None:
    pi = mixture.probabilities
    if mixture.k < mixture.n_patterns and float(pi.max() - pi.min()) > 1e-9:
        raise ValueError("weights: expected uniform weights for K < M, where active sets differ")
