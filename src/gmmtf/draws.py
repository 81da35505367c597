"""Errors of denoisers on the same data points, and the risks that they estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from gmmtf.arguments import shown
from gmmtf.estimate import Estimate
from gmmtf.risks.evaluate import Evaluation
from gmmtf.schedule import NoiseSchedule
from gmmtf.weighting import Weighting, loss_weights

NUMBERS = ("excess_risk", "loss", "score_error")
"""The numbers of each denoiser, in the order of the tables."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Errors of all denoisers on the same data points, float64.

    ``t``: times ``[n]``, all equal or, if ``stratified``, one in each part of the schedule;
    ``loss`` and ``excess``: ``[denoisers, n]``.
    """

    t: Tensor
    loss: Tensor
    excess: Tensor
    stratified: bool

    def evaluation(
        self,
        pick: Callable[[Tensor], Tensor],
        schedule: NoiseSchedule,
        weights: Tensor | None = None,
    ) -> Evaluation:
        """Risks of what ``pick`` makes of the errors ``[denoisers, n]``.

        ``weights``: of all times of the schedule, with mean 1, ``[T]``; None for equal ones.
        """
        factor = torch.ones_like(self.loss[0]) if weights is None else weights[self.t]
        loss, excess = factor * pick(self.loss), factor * pick(self.excess)
        estimate = Estimate.from_strata if self.stratified else Estimate.from_samples
        sigma = (1 - schedule.alpha_bars)[self.t]
        return Evaluation(
            loss=estimate(loss), excess_risk=estimate(excess), score_error=estimate(excess / sigma)
        )


def average(each: Sequence[Evaluation], weights: Tensor) -> Evaluation:
    """Mean of independent risks with these weights, whatever their sum is."""
    shares = (weights / weights.sum()).tolist()
    return Evaluation(
        **{
            number: reduce(
                Estimate.__add__,
                (getattr(e, number) * share for e, share in zip(each, shares, strict=True)),
            )
            for number in NUMBERS
        }
    )


def columns(found: Evaluation) -> dict[str, float]:
    """Each number and, as ``loss_error``, its standard error."""
    row: dict[str, float] = {}
    for number in NUMBERS:
        estimate: Estimate = getattr(found, number)
        row |= {number: estimate.value, f"{number}_error": estimate.standard_error}
    return row


def time_weights(schedule: NoiseSchedule, weighting: Weighting | Tensor) -> Tensor:
    """Weights of all times of a schedule, ``[T]``, by name or given as they are.

    Raises
    ------
    ValueError
        If the name is unknown, or the weights are not such numbers.
    """
    if not isinstance(weighting, Tensor):
        return loss_weights(schedule, weighting)
    weights = weighting.detach().to("cpu", torch.float64)
    if weights.shape != schedule.betas.shape or not bool(
        ((weights >= 0) & weights.isfinite()).all() & (weights.sum() > 0)
    ):
        raise ValueError(
            f"weighting: expected {schedule.n_steps} finite numbers of at least 0, not all zero, "
            f"got {shown(weighting)}"
        )
    return weights
