"""Gradient descent on the risk of the effective picture: training curves without tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.progress import progress
from gmmtf.risks.effective import METHODS, EffectiveRisk, risk, squared_error
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.schedule import NoiseSchedule


@dataclass(frozen=True)
class EffectiveRecord(EffectiveRisk):
    """Risks at a step of the descent, as :class:`~gmmtf.training.run.Record`, and the weight there."""

    step: int
    weight: ReducedWeight


def train(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    steps: int,
    *,
    lr: float | None = None,
    optimizer: str = "gd",
    start: ReducedWeight | None = None,
    head: HeadScalars = PLAIN,
    method: str = "expansion",
    n_points: int = 2048,
    record_every: int | None = None,
    seed: int = 0,
) -> Iterator[EffectiveRecord]:
    """Descend on the risk of the head from W = 0, deterministically (theory result 5, F2A).

    A step is the step of gradient descent on the full weight W with the same step size, in the
    limit of infinite batches. Its cost depends on neither N nor d.

    Parameters
    ----------
    lr
        Step size; None for :func:`gmmtf.risks.first_step.natural_step_size` (``"gd"`` only).
    method
        As in :func:`gmmtf.risks.effective.risk`.
    n_points
        Query tokens of the net on which the descent runs; records are evaluated on other nets.
    record_every
        Steps between records; None for about 30 records.

    Yields
    ------
    EffectiveRecord

    Raises
    ------
    ValueError
        Before any work, if an argument is out of range.
    FloatingPointError
        If the risk is no longer finite.

    Warns
    -----
    ValidityWarning
        At a record where the expansion does not hold.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
    if lr is None and optimizer != "gd":
        raise ValueError(f"lr: expected a number for optimizer={optimizer!r}, got None")
    every = max(1, steps // 30) if record_every is None else record_every
    if every < 1:
        raise ValueError(f"record_every: expected at least 1, got {every}")
    begin = ReducedWeight.zero(mixture) if start is None else start
    begin.check_fits(mixture)
    loss = _objective(draw_queries(mixture, schedule, n_points=n_points, seed=seed), head, method)
    rate = natural_step_size(mixture) if lr is None else lr
    path = descend(begin, loss, steps, lr=rate, optimizer=optimizer)

    def records() -> Iterator[EffectiveRecord]:
        for step, weight in progress(path, "descent", steps + 1):
            if step % every == 0 or step == steps:
                found = risk(
                    weight,
                    mixture,
                    schedule,
                    head=head,
                    method=method,
                    seed=seed + 1,
                    n_points=max(1, n_points // 8),
                )
                yield EffectiveRecord(**vars(found), step=step, weight=weight)

    return records()


def gradient(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    head: HeadScalars = PLAIN,
    method: str = "expansion",
    n_points: int = 4096,
    seed: int = 0,
) -> ReducedWeight:
    """Gradient of the risk with respect to (G, κ), which is that with respect to W.

    Parameters and errors as in :func:`gmmtf.risks.effective.risk`.
    """
    loss = _objective(draw_queries(mixture, schedule, n_points=n_points, seed=seed), head, method)
    pattern = weight.pattern.detach().clone().requires_grad_()
    complement = weight.complement.detach().clone().requires_grad_()
    value = loss(ReducedWeight(pattern, complement))
    by_pattern, by_complement = torch.autograd.grad(value, [pattern, complement])
    return ReducedWeight(by_pattern, by_complement)


def _objective(
    queries: Queries, head: HeadScalars, method: str
) -> Callable[[ReducedWeight], Tensor]:
    """Risk of a weight on one net of queries."""
    return lambda weight: (queries.factor * squared_error(weight, queries, head, method)).mean()
