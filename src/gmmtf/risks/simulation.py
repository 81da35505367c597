"""Risks of a head of the invariant family, without d-vectors (:prf:ref:`thm-app-reduced`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gmmtf.arguments import checked, count, shown
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.risks.head_risk import HeadRisk
from gmmtf.risks.optimum import bayes_risk
from gmmtf.risks.reduced_tokens import ReducedTokens, draw_in_chunks
from gmmtf.schedule import NoiseSchedule, Times, stratified_times

TARGETS = ("bayes", "oracle")


@checked
def squared_error(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    tokens: ReducedTokens,
    probabilities: Tensor | None = None,
) -> Tensor:
    """Squared distance of the attention averages from the Bayes means, per coordinate.

    It is (1/Nd) Σ_n ( ‖Σ_m A_nm a_m - √ᾱ r p_n‖² + A_n h A_nᵀ ) for each data point, float64
    ``[batch]``, where p_n is the posterior over patterns and A the attention matrix of the scores
    a_nᵀ G a_m + γ h_nm. Times c² it is the excess risk, divided by τ⁴ the score-matching error.
    Differentiable in the weight.

    Parameters
    ----------
    probabilities
        What stands for p, ``[batch, N, M]``; None computes :func:`bayes_probabilities`.

    Raises
    ------
    ValueError
        If the weight, the patterns or the probabilities do not fit, or C(M, K) active sets are too
        many.
    """
    weight.check_fits(mixture)
    if probabilities is None:
        return _distance_from(bayes_probabilities(mixture, tokens), weight, mixture, tokens)
    shape = tuple(tokens.span.shape)
    if tuple(probabilities.shape) != shape or not bool(torch.isfinite(probabilities).all()):
        raise ValueError(
            f"probabilities: expected finite numbers of shape {shape}, got {shown(probabilities)}"
        )
    return _distance_from(probabilities, weight, mixture, tokens)


def _distance_from(
    probabilities: Tensor, weight: ReducedWeight, mixture: MultiTokenGMM, tokens: ReducedTokens
) -> Tensor:
    """:func:`squared_error` with any probabilities ``[batch, N, M]`` in place of p."""
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    span, factor, level, _ = tokens
    gram = factor @ factor.mT
    keys = span @ weight.pattern.to(span.device).T
    scores = span @ keys.mT + weight.gamma(mixture).to(span.device) * gram
    attention = torch.softmax(scores, dim=-1)
    in_span = attention @ span - level.signal * radius * probabilities
    in_complement = _complement_square(attention, factor, gram)
    total = in_span.square().sum((1, 2)) + in_complement
    return total / (mixture.n_tokens * mixture.dim)


@checked
def bayes_probabilities(mixture: MultiTokenGMM, tokens: ReducedTokens) -> Tensor:
    """Posterior probabilities of the labels, ``[batch, N, M]``.

    Raises
    ------
    ValueError
        If the patterns do not fit, or C(M, K) active sets are too many.
    """
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    return posterior_from_projections(mixture, radius * tokens.span, tokens.level)


def _complement_square(attention: Tensor, factor: Tensor, gram: Tensor) -> Tensor:
    """Σ_n A_n h A_nᵀ, ``[batch]``."""
    if 2 * factor.shape[2] < factor.shape[1]:
        return (attention @ factor).square().sum((1, 2))
    # The gradient in A is 2 A h. Holding A h fixed and counting A twice gives it without the
    # second product of two N x N matrices that automatic differentiation would need.
    fixed = attention.detach()
    return ((2 * attention - fixed) * (fixed @ gram)).sum((1, 2))


class HeldOutData:
    """Data points on which weights are compared: the same ones at every call.

    They are drawn again each time, which costs little; for K < M the posterior probabilities of
    their labels, which cost most, are kept.

    Parameters
    ----------
    t, n_samples, generator
        As in :func:`gmmtf.risks.risk.risk`. The generator is left as after one draw.
    bayes
        The Bayes risk, for the losses; computed when None.
    """

    @checked
    def __init__(
        self,
        mixture: MultiTokenGMM,
        schedule: NoiseSchedule,
        *,
        t: Times = None,
        n_samples: int = 256,
        generator: torch.Generator | None = None,
        bayes: Estimate | None = None,
    ) -> None:
        mixture.require_equal_orthogonal("the reduced simulation")
        n_samples = count("n_samples", n_samples, 2)
        self._mixture, self._schedule = mixture, schedule
        self._spread = t is None or np.ndim(t) > 0
        generator = torch.default_generator if generator is None else generator
        if self._spread:
            self._times = stratified_times(schedule, n_samples, generator, t=t)
        else:
            self._times = schedule.times_at(torch.zeros(n_samples, device=generator.device), t)
        self._generator, self._state = generator, generator.get_state()
        self._bayes = bayes if bayes is not None else bayes_risk(mixture, schedule, t=t)
        self._kept: list[Tensor] = []

    @checked
    @torch.no_grad()
    def risk(self, weight: ReducedWeight) -> HeadRisk:
        """Risks of a weight (F2A, C5)."""
        mixture = self._mixture
        weight.check_fits(mixture)
        self._generator.set_state(self._state)
        chunks = draw_in_chunks(mixture, self._schedule, self._times, self._generator)
        errors = torch.cat([self._error(weight, tokens, k) for k, tokens in enumerate(chunks)])
        level = noise_level(mixture, self._schedule, self._times)
        estimate = Estimate.from_strata if self._spread else Estimate.from_samples
        excess, score = estimate(level.gain**2 * errors), estimate(errors / level.variance**2)
        loss = excess + self._bayes
        found = [x for e in (loss, excess, score) for x in (e.value, e.standard_error)]
        if not all(math.isfinite(number) for number in found):
            raise ValueError(
                "weight: expected attention scores and risks within the range of float64, got an "
                f"overflow with weights up to {float(weight.pattern.abs().max()):.3g} and "
                f"{float(weight.complement.abs()):.3g} for patterns of norm "
                f"{float(mixture.gram[0, 0]) ** 0.5:.3g}"
            )
        whole = mixture.k == mixture.n_patterns
        reference: Literal["only", "unknown"] = "only" if whole else "unknown"
        return HeadRisk(loss=loss, excess=excess, score=score, active_set=reference)

    def _error(self, weight: ReducedWeight, tokens: ReducedTokens, chunk: int) -> Tensor:
        mixture = self._mixture
        if mixture.k == mixture.n_patterns:
            return squared_error(weight, mixture, tokens)
        if chunk == len(self._kept):
            self._kept.append(bayes_probabilities(mixture, tokens))
        return _distance_from(self._kept[chunk], weight, mixture, tokens)


@checked
def excess_on_fresh_data(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: Tensor,
    generator: torch.Generator | None = None,
    *,
    target: str = "bayes",
) -> Tensor:
    """Mean excess risk on fresh data points with times ``t``, differentiable in the weight.

    Each chunk of data points is differentiated as soon as it is drawn, and what is returned is
    linear in the weight with that value and gradient: the memory is that of one chunk, and second
    derivatives are not available.

    Parameters
    ----------
    target
        Over which estimator: ``"bayes"``, or ``"oracle"``, whose gradient is the same in
        expectation and somewhat noisier, and needs no posterior over active sets.
    """
    if len(t) == 0:
        raise ValueError("t: expected at least one time, got none")
    if target not in TARGETS:
        raise ValueError(f"target: expected one of {TARGETS}, got {target!r}")
    value = torch.zeros((), dtype=torch.float64, device="cpu")
    coordinates = (weight.pattern, weight.complement)
    slopes = [torch.zeros_like(x) for x in coordinates]
    for tokens in draw_in_chunks(mixture, schedule, t, generator):
        if target == "oracle":
            known = one_hot(tokens.labels, mixture.n_patterns)
        else:
            known = bayes_probabilities(mixture, tokens)
        here = [x.detach().requires_grad_() for x in coordinates]
        errors = _distance_from(known, ReducedWeight(*here), mixture, tokens)
        chunk = (tokens.level.gain.flatten() ** 2 * errors).sum().cpu() / len(t)
        found = torch.autograd.grad(chunk, here, materialize_grads=True)
        # Summed at once: small tensors that outlive a chunk would keep its memory in pieces.
        for slope, each in zip(slopes, found, strict=True):
            slope += each
        value += chunk.detach()
    return linear(value, weight, slopes)


def linear(value: Tensor, weight: ReducedWeight, slopes: Sequence[Tensor]) -> Tensor:
    """The value, with given gradients in the weight's coordinates."""
    for x, slope in zip((weight.pattern, weight.complement), slopes, strict=True):
        value = value + (slope * (x - x.detach())).sum()
    return value
