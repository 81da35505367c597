"""Gradient descent on the population objective in reduced coordinates (theory results 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.progress import progress
from gmmtf.randomness import derived_seed
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.optimum import bayes_risk
from gmmtf.risks.simulation import evaluate, excess_on_fresh_data
from gmmtf.schedule import NoiseSchedule, stratified_times
from gmmtf.training.run import Record
from gmmtf.training.settings import OPTIMIZERS


@dataclass(frozen=True)
class PopulationRecord(Record):
    """A record of :func:`gmmtf.training.run.train`, with the weight at that step beside the risks.

    Every record of a run is evaluated on the same random numbers, so differences between records
    are far more precise than the standard errors say.
    """

    weight: ReducedWeight


def train(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    steps: int,
    *,
    seed: int = 0,
    lr: float | None = None,
    optimizer: str = "gd",
    batch_size: int = 32,
    record_every: int | None = None,
    eval_samples: int = 256,
    start: ReducedWeight | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[PopulationRecord]:
    """Gradient descent on the DDPM objective of the attention head, at a cost free of d (C3, F2A).

    Every step draws fresh data points in reduced coordinates, with times stratified over the
    schedule, and regresses on the Bayes estimate, which has the same expected gradient as the
    injected noise. In expectation a step of ``"gd"`` is the step of the full ``W`` with the same
    step size. A step of ``"adam"`` is not: Adam depends on the coordinates, and here the whole
    complement is one of them.

    Parameters
    ----------
    steps
        Number of the last step; a record is yielded for step 0 and for step ``steps`` too.
    seed
        Seed of the data; the same seed gives the same run.
    lr
        Step size; by default :func:`gmmtf.risks.first_step.natural_step_size` for ``"gd"`` and 0.1/r² for
        ``"adam"``, as for the full ``W``.
    optimizer
        ``"gd"`` or ``"adam"``.
    batch_size
        Data points a step.
    record_every
        Steps from one record to the next; about 30 records when None.
    eval_samples
        Data points on which a record is evaluated.
    start
        Weight at step 0; ``W = 0`` when None.
    device
        Where the work is done. Runs on different devices draw different data.

    Yields
    ------
    PopulationRecord

    Raises
    ------
    ValueError
        Before any work, if an argument is out of range, the patterns are not orthogonal with
        equal norms, or ``start`` has another number of patterns.
    FloatingPointError
        If the loss is no longer finite.
    """
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    begin = start if start is not None else ReducedWeight.zero(mixture)
    begin.check_fits(mixture)
    every = record_every if record_every is not None else max(1, steps // 30)
    sizes = {"steps": steps, "batch_size": batch_size, "record_every": every}
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    if eval_samples < 2:
        raise ValueError(f"eval_samples: expected at least 2, got {eval_samples}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected {sorted(OPTIMIZERS)}, got {optimizer!r}")
    if lr is None:
        lr = natural_step_size(mixture) if optimizer == "gd" else 0.1 / radius**2
    generator = torch.Generator(device).manual_seed(seed)

    def loss(weight: ReducedWeight) -> Tensor:
        times = stratified_times(schedule, batch_size, generator)
        return excess_on_fresh_data(weight, mixture, schedule, times, generator)

    weights = descend(begin, loss, steps, lr=lr, optimizer=optimizer)
    bayes = bayes_risk(mixture, schedule)

    def record(step: int, weight: ReducedWeight) -> PopulationRecord:
        # A generator of its own, seeded alike each time, gives every record the same data.
        held_out = torch.Generator(device).manual_seed(derived_seed(seed, 1))
        found = evaluate(
            weight, mixture, schedule, n_samples=eval_samples, generator=held_out, bayes=bayes
        )
        return PopulationRecord(found.loss, found.excess_risk, found.score_error, step, weight)

    visited = progress(weights, "population", steps + 1)
    return (record(step, w) for step, w in visited if step % every == 0 or step == steps)
