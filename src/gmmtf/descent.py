"""Gradient descent in the reduced coordinates: training curves at a cost free of d."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from gmmtf.arguments import checked, count
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.optimizer import Optimizer, make_optimizer, resolve_lr
from gmmtf.randomness import derived_seed
from gmmtf.risks.compiled import compiled_excess
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf.risks.head_risk import HeadRisk
from gmmtf.risks.limit import limit_excess
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import check_method, risk, squared_error
from gmmtf.risks.simulation import TARGETS, HeldOutData, excess_on_fresh_data, linear
from gmmtf.schedule import NoiseSchedule, stratified_times

Loss = Callable[[ReducedWeight], Tensor]


@dataclass(frozen=True, kw_only=True)
class DescentRecord(HeadRisk):
    """Risks at a step of a descent, and the weight there.

    Every record of a run is evaluated on the same random numbers, so differences between records
    are far more precise than the standard errors say.
    """

    step: int
    weight: ReducedWeight


@checked
def descend(
    law: MultiTokenGMM,
    schedule: NoiseSchedule,
    steps: int,
    *,
    method: str = "expansion",
    head: HeadScalars = PLAIN,
    lr: float | None = None,
    optimizer: Optimizer = "gd",
    start: ReducedWeight | None = None,
    record_every: int | None = None,
    record_at: Sequence[int] | None = None,
    seed: int = 0,
    n_points: int = 2048,
    compiled: bool = False,
    batch_size: int | Callable[[int], int] = 32,
    eval_samples: int = 256,
    target: str = "bayes",
    bayes: Estimate | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[DescentRecord]:
    """Descend on the risk of the head from W = 0, at a cost that does not depend on d (C3, F2A).

    A step of ``"gd"`` is the step of gradient descent on the full weight W with the same step size:
    in the limit of infinite batches for expansion, integral and limit, which are deterministic; in
    expectation for the simulation, which draws fresh data points at every step, with times
    stratified over the schedule, and regresses on ``target`` (:prf:ref:`thm-app-reduced`). A step
    of another optimizer is not: it depends on the coordinates, and here the whole complement is one
    of them.

    Parameters
    ----------
    steps
        Number of the last step.
    method, head
        As in :func:`gmmtf.risks.risk.risk`.
    lr, optimizer
        Step size, and ``"gd"``, ``"adam"``, a class of ``torch.optim`` or a callable; see
        :mod:`gmmtf.optimizer`, also for the step size None.
    start
        Weight at step 0; W = 0 when None.
    record_every, record_at
        Steps from one record to the next, with one at ``steps`` too (about 30 records when None);
        or the steps of all records. A record may cost as much as a step.
    seed
        Seed of the nets, or of the data; the same seed gives the same run.
    n_points
        For expansion and integral: query tokens of the net on which the descent runs; records are
        evaluated on other nets.
    compiled
        For the expansion: whether the steps run as compiled code, several times as fast, which pays
        for tens of thousands of them; see :func:`gmmtf.risks.compiled.compiled_excess`.
    batch_size, eval_samples
        For the simulation: data points of a step, a number or a function of the step (from 0 on),
        and data points on which a record is evaluated.
    target
        For the simulation: what a step regresses on, the ``"bayes"`` or the ``"oracle"`` estimate.
        The gradient is the same in expectation, with the oracle's somewhat noisier, but without a
        posterior over active sets, which for K < M costs most of a step.
    bayes
        For the simulation: the Bayes risk, which the recorded losses need; computed when None.
    device
        For the simulation: where the work is done. Another device draws other data.

    Yields
    ------
    DescentRecord

    Raises
    ------
    ValueError
        Before any work, if an argument is out of range, or the patterns are not orthogonal with
        equal norms.
    FloatingPointError
        If the loss is no longer finite.

    Warns
    -----
    ValidityWarning
        At a record where the expansion does not hold.
    """
    check_method(method, head)
    steps = count("steps", steps, 1)
    record_every = None if record_every is None else count("record_every", record_every, 1)
    if not callable(batch_size):
        batch_size = count("batch_size", batch_size, 1)
    else:
        count("batch_size", batch_size(0), 1)
    eval_samples, seed = count("eval_samples", eval_samples, 2), count("seed", seed, 0)
    n_points = count("n_points", n_points, 1)
    recorded = _recorded_steps(steps, record_every, record_at)
    begin = ReducedWeight.zero(law) if start is None else start
    begin.check_fits(law)
    if compiled and method != "expansion":
        raise ValueError(f"compiled: expected False with method {method!r}")
    rate = resolve_lr(optimizer, lr, law)
    if method == "simulation":
        fresh = torch.Generator(device).manual_seed(seed)
        loss = _fresh_excess(law, schedule, batch_size, fresh, target)
        held_out = HeldOutData(
            law, schedule, n_samples=eval_samples, bayes=bayes,
            generator=torch.Generator(device).manual_seed(derived_seed(seed, 1)),
        )  # fmt: skip
    elif compiled:
        loss, held_out = _compiled_excess(law, schedule, head, n_points, seed), None
    else:
        loss, held_out = _mean_excess(law, schedule, head, method, n_points, seed), None
    path = weights(begin, loss, steps, lr=rate, optimizer=optimizer)

    def record(step: int, weight: ReducedWeight) -> DescentRecord:
        if held_out is not None:
            found = held_out.risk(weight)
        else:
            n_held_out = max(1, n_points // 8)
            found = risk(weight, law, schedule, method=method, head=head, n_points=n_held_out,
                         seed=seed + 1)  # fmt: skip
        return DescentRecord(**vars(found), step=step, weight=weight)

    visited = tqdm(path, desc="descent", total=steps + 1, leave=False)
    return (record(step, weight) for step, weight in visited if step in recorded)


@checked
def weights(
    start: ReducedWeight,
    loss: Loss,
    steps: int,
    *,
    lr: float | None,
    optimizer: Optimizer = "gd",
) -> Iterator[tuple[int, ReducedWeight]]:
    """Gradient descent on any loss of a weight, in the reduced coordinates.

    Parameters
    ----------
    loss
        Differentiable loss of a weight; it may draw fresh randomness at every call.
    lr, optimizer
        As in :func:`descend`.

    Yields
    ------
    tuple[int, ReducedWeight]
        The step and the weight, from step 0 (the start) to ``steps``.

    Raises
    ------
    ValueError
        If an argument is out of range.
    FloatingPointError
        If the loss is no longer finite.
    """
    steps = count("steps", steps, 1)
    return _weights(start, loss, steps, resolve_lr(optimizer, lr), optimizer)


@checked
def gradient(
    weight: ReducedWeight,
    law: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    head: HeadScalars = PLAIN,
    method: str = "expansion",
    n_points: int = 4096,
    seed: int = 0,
) -> ReducedWeight:
    """Gradient of the excess with respect to (G, κ), which is that with respect to W.

    ``method`` is any but ``"simulation"``; the other parameters and errors are those of
    :func:`gmmtf.risks.risk.risk`, on one net of query tokens.
    """
    check_method(method, head)
    if method == "simulation":
        raise ValueError("method: expected 'expansion', 'integral' or 'limit', got 'simulation'")
    loss = _mean_excess(law, schedule, head, method, n_points, seed)
    pattern = weight.pattern.detach().clone().requires_grad_()
    complement = weight.complement.detach().clone().requires_grad_()
    value = loss(ReducedWeight(pattern, complement))
    return ReducedWeight(*torch.autograd.grad(value, [pattern, complement], materialize_grads=True))


def _recorded_steps(steps: int, every: int | None, at: Sequence[int] | None) -> set[int]:
    if at is None:
        return {*range(0, steps + 1, max(1, steps // 30) if every is None else every), steps}
    if every is not None:
        raise ValueError("record_at: expected None beside record_every")
    if not at or min(at) < 0 or max(at) > steps:
        raise ValueError(f"record_at: expected steps from 0 to {steps}, got {list(at)}")
    return {int(step) for step in at}


def _mean_excess(
    law: MultiTokenGMM,
    schedule: NoiseSchedule,
    head: HeadScalars,
    method: str,
    n_points: int,
    seed: int,
) -> Loss:
    """Excess of a weight on one net of queries, or in the limit that needs none."""
    if method == "limit":

        def limit(weight: ReducedWeight) -> Tensor:
            excess, share = limit_excess(weight, law, schedule)
            return (excess @ share).mean()

        return limit
    queries = draw_queries(law, schedule, n_points=n_points, seed=seed)
    return lambda weight: (queries.factor * squared_error(weight, queries, head, method)).mean()


def _compiled_excess(
    law: MultiTokenGMM, schedule: NoiseSchedule, head: HeadScalars, n_points: int, seed: int
) -> Loss:
    """What :func:`_mean_excess` returns for the expansion, compiled."""
    excess = compiled_excess(draw_queries(law, schedule, n_points=n_points, seed=seed), head)

    def loss(weight: ReducedWeight) -> Tensor:
        slopes, value = excess(weight.pattern.detach(), weight.complement.detach())
        return linear(value, weight, slopes)

    return loss


def _fresh_excess(
    law: MultiTokenGMM,
    schedule: NoiseSchedule,
    batch_size: int | Callable[[int], int],
    generator: torch.Generator,
    target: str,
) -> Loss:
    """Excess of a weight on data points that are drawn afresh at every call."""
    law.require_equal_orthogonal("the reduced simulation")
    if target not in TARGETS:
        raise ValueError(f"target: expected one of {TARGETS}, got {target!r}")
    taken = 0

    def loss(weight: ReducedWeight) -> Tensor:
        nonlocal taken
        size = batch_size(taken) if callable(batch_size) else batch_size
        taken += 1
        times = stratified_times(schedule, size, generator)
        return excess_on_fresh_data(weight, law, schedule, times, generator, target=target)

    return loss


def _weights(
    start: ReducedWeight, loss: Loss, steps: int, lr: float | None, optimizer: Optimizer
) -> Iterator[tuple[int, ReducedWeight]]:
    pattern = start.pattern.detach().clone().requires_grad_()
    complement = start.complement.detach().clone().requires_grad_()
    stepper = make_optimizer(optimizer, [pattern, complement], lr)
    yield 0, start
    for step in range(steps):
        stepper.zero_grad()
        value = loss(ReducedWeight(pattern, complement))
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"the loss is {float(value.detach())} at step {step}; "
                f"a smaller step size than lr={stepper.param_groups[0]['lr']:.3g} may help"
            )
        value.backward()
        stepper.step()
        yield step + 1, ReducedWeight(pattern.detach().clone(), complement.detach().clone())
