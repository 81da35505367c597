"""The least excess risk of each kind of one-layer head, predicted without a token (chapter 8)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, ReducedWeight, risk
from gmmtf.denoisers.deeper import WEIGHT_UNIT
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.risk import squared_error
from gmmtf.scaling.tokens import minimise_log


@dataclass(frozen=True)
class Kind:
    """Options of one head; see :class:`~gmmtf.denoisers.attention.AttentionDenoiser`."""

    value: bool = False
    skip: bool = False
    tilt_correction: bool = False


KINDS = {
    "plain": Kind(),
    "tilt": Kind(tilt_correction=True),
    "skip": Kind(skip=True),
    "value": Kind(value=True),
    "value, tilt": Kind(value=True, tilt_correction=True),
}
"""Heads whose best excess risk is predicted as well as measured."""


@dataclass(frozen=True)
class BestHead:
    """The best head of a kind in the family that is invariant under exchange of patterns too.

    ``weight``: G = (a I + b 11ᵀ)/r² and κ; ``scalars``: the options; ``excess``: from the
    expansion where it holds and else from the integral.
    """

    weight: ReducedWeight
    scalars: HeadScalars
    excess: Estimate
    method: str

    def as_json(self, mixture: MultiTokenGMM) -> dict[str, Any]:
        """Describe it by plain numbers; products are in units in which tokens have norm r."""
        square = mixture.require_equal_orthogonal("the best head") ** 2
        pattern = self.weight.pattern * square
        return {
            "excess": self.excess,
            "method": self.method,
            "same": float(pattern[0, 0]),
            "different": float(pattern[0, 1]),
            "gamma": float(self.weight.gamma(mixture)) * square,
            **{name: float(number) for name, number in vars(self.scalars).items()},
        }


class _Numbers:
    """The numbers of a head: a, b, κ, then v₁, v₂ and s where the kind has them.

    Weights are in units of ``WEIGHT_UNIT``/r², so that all numbers are of order one.
    """

    def __init__(self, kind: Kind, mixture: MultiTokenGMM) -> None:
        pi = mixture.probabilities
        if mixture.k < mixture.n_patterns or float(pi.max() - pi.min()) > 1e-9:
            raise ValueError(
                "weights: expected uniform weights and K = M, so that patterns are alike"
            )
        self.kind = kind
        self.unit = WEIGHT_UNIT / mixture.require_equal_orthogonal("the best head") ** 2
        self.size = mixture.n_patterns
        start = [0.5, 0.0, 0.0, *([1.0, 1.0] if kind.value else []), *([0.0] * kind.skip)]
        self.values = torch.tensor(start, dtype=torch.float64)
        self.values.requires_grad_()

    def weight(self) -> ReducedWeight:
        eye = torch.eye(self.size, dtype=torch.float64)
        pattern = self.values[0] * eye + self.values[1] * torch.ones_like(eye)
        return ReducedWeight(pattern * self.unit, self.values[2] * self.unit)

    def scalars(self) -> HeadScalars:
        learned: dict[str, Tensor] = {}
        if self.kind.value:
            learned |= {"value_span": self.values[3], "value_complement": self.values[4]}
        if self.kind.skip:
            learned |= {"skip_span": self.values[-1], "skip_complement": self.values[-1]}
        return HeadScalars(**learned, tilt_correction=float(self.kind.tilt_correction))

    def minimise(self, queries: Queries, method: str, max_iter: int) -> None:
        """Descend on the logarithm of the risk, in place."""

        def value() -> Tensor:
            error = squared_error(self.weight(), queries, self.scalars(), method)
            return (queries.factor * error).mean()

        limits = {"max_iter": max_iter, "max_eval": 2 * max_iter, "tolerance_change": 1e-7}
        minimise_log([self.values], value, **limits)


def best_head(
    kind: Kind, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int | None = None, *,
    n_points: int = 256, seed: int = 0,
) -> BestHead:  # fmt: skip
    """Predict the best head of a kind, and its excess risk, without tokens (C3, C6).

    The expansion is minimised first. Where it does not hold at the point found, or the kind joins a
    value matrix with the tilt correction (which lets the search run out of the expansion's range),
    the exact integral is minimised from there.

    Parameters
    ----------
    t
        A time, or None for the mean over the schedule.
    n_points
        Query tokens of each of the 8 nets on which the integral is evaluated, where it is needed;
        it is minimised on half as many.

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms and probabilities, or K < M.
    """
    numbers = _Numbers(kind, mixture)
    both = kind.value and kind.tilt_correction
    guide = _Numbers(Kind(value=True, skip=kind.skip), mixture) if both else numbers
    guide.minimise(draw_queries(mixture, schedule, t=t, seed=seed), "expansion", 200)
    with torch.no_grad():
        numbers.values.copy_(guide.values)

    def evaluated(method: str, n: int) -> BestHead | None:
        """Evaluate the head on other queries; None where the method does not hold."""
        with torch.no_grad():
            weight = numbers.weight()
            scalars = HeadScalars(*(float(number) for number in vars(numbers.scalars()).values()))
        with warnings.catch_warnings(action="ignore", category=ValidityWarning):
            found = risk(weight, mixture, schedule, t=t, head=scalars, method=method, n_points=n,
                         seed=seed + 1)  # fmt: skip
        return BestHead(weight, scalars, found.excess_risk, method) if found.holds else None

    best = None if both else evaluated("expansion", 1024)
    if best is None:
        points = draw_queries(mixture, schedule, t=t, n_points=max(1, n_points // 2), seed=seed)
        numbers.minimise(points, "integral", 30)
        best = evaluated("integral", n_points)
    if best is None:
        raise ValueError("mixture: neither expansion nor integral holds at the best head found")
    return best


def clean_context_excess(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> float:
    """Excess over Bayes of the posterior mean with patterns estimated from the tokens' own means.

    Attention over a context in which every token stands at the mean of the tokens that share its
    pattern: (1-ᾱ)/(τ²N) E Σ_k p_k²/π_k, averaged over the schedule. It is the ideal of depth 2.

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, or K < M.
    """
    if mixture.k < mixture.n_patterns:
        raise ValueError(f"n_active: expected all {mixture.n_patterns} patterns, got {mixture.k}")
    queries = draw_queries(mixture, schedule, n_points=8192)
    posterior = queries.target[:-1] / queries.reach
    spread = (posterior.square() / mixture.probabilities[:, None]).sum(0)
    factor = queries.level.gain**2 * queries.level.variance
    return float((factor * spread).mean()) / mixture.n_tokens
