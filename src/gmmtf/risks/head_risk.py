"""The risks of an attention head of the invariant family, however they were computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gmmtf.estimate import Estimate


class ValidityWarning(UserWarning):
    """The expansion is used where it does not hold."""


class ExpansionFailed(ValueError):
    """The expansion in 1/N does not hold at the weight that was asked for."""


@dataclass(frozen=True, kw_only=True)
class HeadRisk:
    """Risks of a head per coordinate, with what says how far to trust them.

    Attributes
    ----------
    loss
        E‖ε - f‖²/(Nd), the DDPM objective (C3).
    excess, score
        Excess over the reference E‖f - ε^ref‖²/(Nd), and the same weighted with 1/(1-ᾱ), the
        score-matching error (C5). Read them through the properties below, which say over what.
    active_set
        What the reference knows of a data point's active set: ``"unknown"`` for the Bayes denoiser,
        ``"given"`` for the posterior mean given the set; ``"only"`` for K = M, where they agree.
    validity
        For the expansion the estimated error over the excess: what the next order would be if the
        orders went on as a geometric series, and the cost of data points without any token that
        counts; for the integral the largest error of a known integral; 0 for a simulation.
    dispersion
        Mean (ρ-1)/(N-1) of the expansion, the variance of the mean attention weight; else 0.
    holds
        Whether ``validity`` is below the limit of its method, and for the expansion ``dispersion``
        below its own.
    """

    loss: Estimate
    excess: Estimate
    score: Estimate
    active_set: Literal["only", "unknown", "given"]
    validity: float = 0.0
    dispersion: float = 0.0
    holds: bool = True

    @property
    def excess_risk(self) -> Estimate:
        """Excess over the Bayes risk.

        Raises
        ------
        ValueError
            If the excess was computed over the posterior mean given the active set and K < M.
        """
        self._refuse("given", "excess_risk", "excess_given_set, or method='simulation'")
        return self.excess

    @property
    def score_error(self) -> Estimate:
        """Score-matching error, with respect to the score of the law; errors as above."""
        self._refuse("given", "score_error", "score_given_set, or method='simulation'")
        return self.score

    @property
    def excess_given_set(self) -> Estimate:
        """Excess over the risk of the posterior mean given the active set.

        Raises
        ------
        ValueError
            If the excess was computed over the Bayes risk and K < M.
        """
        self._refuse("unknown", "excess_given_set", "excess_risk, or method='expansion'")
        return self.excess

    @property
    def score_given_set(self) -> Estimate:
        """Score-matching error given the active set; errors as above."""
        self._refuse("unknown", "score_given_set", "score_error, or method='expansion'")
        return self.score

    def _refuse(self, active_set: str, name: str, instead: str) -> None:
        if self.active_set == active_set:
            raise ValueError(
                f"{name}: for K < M this computation measures from the posterior mean with the "
                f"active set {active_set}; use {instead}"
            )
