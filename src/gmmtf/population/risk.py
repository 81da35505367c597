"""Risks of an attention weight in the invariant family, without d-vectors (theory result 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.mixture import MultiTokenGMM
from gmmtf.mmse import bayes_risk, noise_level
from gmmtf.mmse.posterior import posterior_from_projections
from gmmtf.noise import generator_device
from gmmtf.objective import Evaluation, stratified_times
from gmmtf.population.tokens import ReducedTokens, draw_in_chunks
from gmmtf.reduced import ReducedWeight
from gmmtf.schedule import NoiseSchedule


def squared_error(weight: ReducedWeight, mixture: MultiTokenGMM, tokens: ReducedTokens) -> Tensor:
    """Squared distance of the attention averages from the Bayes means, per coordinate.

    It is (1/Nd) Σ_n ( ‖Σ_m A_nm a_m - √ᾱ r p_n‖² + A_n h A_nᵀ ) for each data point, float64
    ``[batch]``, where p_n is the posterior over patterns and A the attention matrix of the scores
    a_nᵀ G a_m + γ h_nm. Times c² it is the excess risk, divided by τ⁴ the score-matching error.
    Differentiable in the weight.

    Raises
    ------
    ValueError
        If the weight or the patterns do not fit, or C(M, K) active sets are too many.
    """
    weight.check_fits(mixture)
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    span, factor, level = tokens
    gram = factor @ factor.mT
    keys = span @ weight.pattern.to(span.device).T
    scores = span @ keys.mT + weight.gamma(mixture).to(span.device) * gram
    attention = torch.softmax(scores, dim=-1)
    posterior = posterior_from_projections(mixture, radius * span, level)
    in_span = attention @ span - level.signal * radius * posterior
    in_complement = _complement_square(attention, factor, gram)
    total = in_span.square().sum((1, 2)) + in_complement
    return total / (mixture.n_tokens * mixture.dim)


def _complement_square(attention: Tensor, factor: Tensor, gram: Tensor) -> Tensor:
    """Σ_n A_n h A_nᵀ, ``[batch]``."""
    if 2 * factor.shape[2] < factor.shape[1]:
        return (attention @ factor).square().sum((1, 2))
    # The gradient in A is 2 A h. Holding A h fixed and counting A twice gives it without the
    # second product of two N x N matrices that automatic differentiation would need.
    fixed = attention.detach()
    return ((2 * attention - fixed) * (fixed @ gram)).sum((1, 2))


@torch.no_grad()
def evaluate(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: int | None = None,
    n_samples: int = 256,
    generator: torch.Generator | None = None,
    bayes: Estimate | None = None,
) -> Evaluation:
    """Loss, excess risk and score-matching error by the exact reduced simulation (F2A, C5).

    Estimates the same three numbers as :func:`gmmtf.objective.evaluate` does for the attention
    head with the full weight, at a cost that does not depend on d.

    Parameters
    ----------
    t
        A time, or None for times stratified over the schedule.
    n_samples
        Number of data points.
    generator
        Source of the randomness; its device is where the work is done.
    bayes
        The Bayes risk at ``t``, which the loss needs; computed when None.

    Raises
    ------
    ValueError
        If the weight has another number of patterns than the mixture, the patterns are not
        orthogonal with equal norms, ``t`` is outside the schedule, ``n_samples`` is below 2, there
        are too many active sets, or the numbers overflow.
    """
    weight.check_fits(mixture)
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 2:
        raise ValueError(f"n_samples: expected an integer of at least 2, got {n_samples!r}")
    if t is None:
        times = stratified_times(schedule, n_samples, generator)
    else:
        times = schedule.times_at(torch.zeros(n_samples, device=generator_device(generator)), t)
    chunks = draw_in_chunks(mixture, schedule, times, generator)
    errors = torch.cat([squared_error(weight, mixture, tokens) for tokens in chunks])
    level = noise_level(mixture, schedule, times)
    estimate = Estimate.from_strata if t is None else Estimate.from_samples
    excess = estimate(level.gain**2 * errors)
    floor = bayes if bayes is not None else bayes_risk(mixture, schedule, t)
    loss = Estimate(
        floor.value + excess.value, math.hypot(floor.standard_error, excess.standard_error)
    )
    score_error = estimate(errors / level.variance**2)
    found = [x for e in (loss, excess, score_error) for x in (e.value, e.standard_error)]
    if not all(math.isfinite(number) for number in found):
        raise ValueError(
            "weight: expected attention scores and risks within the range of float64, got an "
            f"overflow with weights up to {float(weight.pattern.abs().max()):.3g} and "
            f"{float(weight.complement.abs()):.3g} for patterns of norm {radius:.3g}"
        )
    return Evaluation(loss=loss, excess_risk=excess, score_error=score_error)
