"""The points that the study of real digits records: training curves, losses, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.descent import descend as descend_reduced
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.risks.first_step import natural_step_size
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c09_digits_as_tokens.setting import Setting
from gmmtf_book.c09_digits_as_tokens.token_runs import Law, compare, curve, descend, draw_noisy


@dataclass(frozen=True)
class Plan:
    """What the runs of the study depend on besides the :class:`Setting`.

    ``records``: steps at which a loss is measured, the last is the length of a run; ``n_evaluate``
    and ``n_level``: data points for a loss over the schedule and at one of ``level_times``;
    ``n_direction``: batches for the first step; ``n_predict``: points of the theory's net.
    """

    records: Sequence[int]
    batch_size: int
    relative_step_size: float
    n_seeds: int
    rare_digits: Sequence[int]
    rare_probability: float
    n_evaluate: int
    n_level: int
    level_times: Sequence[int]
    n_direction: int
    n_predict: int
    seed: int = 0

    def __post_init__(self) -> None:
        steps = list(self.records)
        if len(steps) < 2 or steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError(f"records: expected increasing steps from 0 on, got {steps}")
        if self.n_seeds < 1:
            raise ValueError(f"n_seeds: expected at least 1, got {self.n_seeds}")


def record(
    recording: Recording, setting: Setting, plan: Plan, device: torch.device | None = None
) -> AttentionDenoiser:
    """Compute all points of the study that are not yet recorded.

    ``constants``, ``direction``, ``predicted``, ``predicted long`` (the theory after ten times as
    much training) and ``levels`` once; for each seed ``<law>/<seed>`` and ``rare/<digit>/<seed>``,
    the training curves, and ``mean/<seed>``, the losses over the schedule.

    Returns
    -------
    AttentionDenoiser
        The head that was trained on real tokens with the first seed.
    """
    recording.point("constants", setting.constants)
    size, first = plan.batch_size, plan.seed
    direct = partial(setting.direction, n_batches=plan.n_direction, batch_size=size)
    recording.point("direction", partial(direct, seed=first + 100))
    step_size = {"relative_step_size": plan.relative_step_size}
    predict = partial(predicted_curve, setting.mixture, setting.schedule, n_points=plan.n_predict)
    recording.point("predicted", partial(predict, plan.records, **step_size))
    # The steps are small enough that one of ten times the size goes ten times as far.
    long = partial(predict, relative_step_size=10 * plan.relative_step_size)
    recording.point("predicted long", partial(long, [0, plan.records[-1]]))
    test = setting.law("test")

    def measured(law: Law, head: AttentionDenoiser, seed: int, evaluation: Law) -> dict[str, Any]:
        run = descend(head, law, steps=plan.records[-1], batch_size=size, seed=seed, **step_size)
        fresh = draw_noisy(evaluation, setting.schedule, plan.n_evaluate, seed + 1000)
        return curve(run, fresh, records=plan.records, device=device)

    heads = []
    for seed in range(first, first + plan.n_seeds):
        head = setting.head(device)
        # The head itself is not recorded, so this run is made even if its curve is.
        real = measured(setting.ladder["real"], head, seed, test)
        recording.point(f"real/{seed}", partial(dict, real))
        heads.append(head)
        for name, law in setting.ladder.items():
            if name != "real":
                key = f"{name}/{seed}"
                recording.point(key, partial(measured, law, setting.head(device), seed, law))
        for rare in plan.rare_digits:
            law = setting.law("train", rare, plan.rare_probability)
            key = f"rare/{rare}/{seed}"
            recording.point(key, partial(measured, law, setting.head(device), seed, test))
        some = {name: f for name, f in setting.denoisers(head).items() if name != "empirical"}
        over = partial(compare, some, test, setting.schedule, plan.n_evaluate, seed + 2000)
        recording.point(f"mean/{seed}", partial(over, reference="fitted", device=device))
    recording.point("levels", partial(_levels, setting, plan, heads[0], device))
    return heads[0]


def _levels(
    setting: Setting, plan: Plan, head: AttentionDenoiser, device: torch.device | None
) -> dict[str, list[Any]]:
    """Losses of all denoisers at each noise level, on test and on training tokens."""
    denoisers = setting.denoisers(head)
    laws = {"test": setting.law("test"), "train": setting.law("train")}
    return {
        split: [
            compare(
                denoisers,
                law,
                setting.schedule,
                plan.n_level,
                plan.seed + 3000 + t,
                reference="fitted",
                t=t,
                device=device,
            )
            for t in plan.level_times
        ]
        for split, law in laws.items()
    }


def predicted_curve(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    records: Sequence[int],
    *,
    relative_step_size: float,
    n_points: int = 512,
    seed: int = 0,
) -> dict[str, Any]:
    """Loss and gain at the recorded steps by the theory, without tokens (theory result 5)."""
    path = descend_reduced(
        mixture,
        schedule,
        max(records),
        lr=relative_step_size * natural_step_size(mixture),
        n_points=n_points,
        record_at=records,
        seed=seed,
    )
    losses = {record.step: record.loss.value for record in path}
    return {
        "steps": list(records),
        "loss": [losses[step] for step in records],
        "gain": [losses[0] - losses[step] for step in records],
    }
