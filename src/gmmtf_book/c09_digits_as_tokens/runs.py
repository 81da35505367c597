"""The points that chapter 9 records: training curves, losses, predictions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from gmmtf import AttentionDenoiser, Law, MultiTokenGMM, descend, natural_step_size
from gmmtf.record import Recording
from gmmtf_book.c09_digits_as_tokens.plan import SCHEDULE, Plan
from gmmtf_book.c09_digits_as_tokens.setting import Setting
from gmmtf_book.c09_digits_as_tokens.token_runs import compare, draw_noisy, training_curve


def run(
    plan: Plan, setting: Setting, path: str | Path | None, device: torch.device | None = None
) -> tuple[Recording, AttentionDenoiser]:
    """Compute all points that the file at ``path`` does not hold yet.

    Kinds: ``constants``, ``direction``, ``predicted`` (over the run, and after ten times as much
    training) and ``levels`` once; for each seed a ``curve`` on each law, a ``rare`` curve for each
    rare digit, and ``mean``, the losses over the schedule.

    Returns
    -------
    tuple
        The record, and the head that was trained on real tokens with the first seed. The head is
        not recorded, so its run is made even if its curve is.
    """
    record = Recording(path, plan.settings(), code=__name__, device=device or "cpu")
    record.point(setting.constants, kind="constants")
    direct = partial(setting.direction, n_batches=plan.n_direction, batch_size=plan.batch_size)
    record.point(partial(direct, seed=plan.seed + 100), kind="direction")
    # The steps are small enough that one of ten times the size goes ten times as far.
    record.point(partial(predicted_curve, plan, setting.mixture), kind="predicted", length=1)
    long = partial(predicted_curve, plan, setting.mixture, length=10)
    record.point(long, kind="predicted", length=10)
    test = setting.law("test")

    def measured(law: Law, head: AttentionDenoiser, seed: int, evaluation: Law) -> dict[str, Any]:
        fresh = draw_noisy(evaluation, SCHEDULE, plan.n_evaluate, seed + 1000)
        return training_curve(
            head, law, fresh, records=plan.records, batch_size=plan.batch_size, seed=seed,
            relative_step_size=plan.relative_step_size, device=device,
        )  # fmt: skip

    heads = []
    for seed in range(plan.seed, plan.seed + plan.n_seeds):
        head = setting.head(device)
        real = measured(setting.ladder["real"], head, seed, test)
        record.point(partial(dict, real), kind="curve", law="real", seed=seed)
        heads.append(head)
        for name, law in setting.ladder.items():
            if name != "real":
                compute = partial(measured, law, setting.head(device), seed, law)
                record.point(compute, kind="curve", law=name, seed=seed)
        for rare in plan.rare_digits:
            law = setting.law("train", rare, plan.rare_probability)
            compute = partial(measured, law, setting.head(device), seed, test)
            record.point(compute, kind="rare", digit=rare, seed=seed)
        some = {name: f for name, f in setting.denoisers(head).items() if name != "empirical"}
        over = partial(compare, some, test, SCHEDULE, plan.n_evaluate, seed + 2000)
        record.point(partial(over, reference="fitted", device=device), kind="mean", seed=seed)
    record.point(partial(_levels, plan, setting, heads[0], device), kind="levels")
    return record, heads[0]


def _levels(
    plan: Plan, setting: Setting, head: AttentionDenoiser, device: torch.device | None
) -> dict[str, list[Any]]:
    """Losses of all denoisers at each noise level, on test and on training tokens."""
    denoisers = setting.denoisers(head)
    return {
        split: [
            compare(
                denoisers, setting.law(split), SCHEDULE, plan.n_level, plan.seed + 3000 + t,
                reference="fitted", t=t, device=device,
            )
            for t in plan.level_times
        ]
        for split in ("test", "train")
    }  # fmt: skip


def predicted_curve(
    plan: Plan, mixture: MultiTokenGMM, *, length: int = 1, seed: int = 0
) -> dict[str, Any]:
    """Loss and gain by the theory, without tokens (theory result 5).

    At the recorded steps; or at the first and the last, with steps of ``length`` times the size.
    """
    records = list(plan.records) if length == 1 else [0, plan.records[-1]]
    path = descend(
        mixture, SCHEDULE, records[-1],
        lr=length * plan.relative_step_size * natural_step_size(mixture),
        n_points=plan.n_predict, record_at=records, seed=seed,
    )  # fmt: skip
    losses = [record.loss.value for record in path]
    return {"steps": records, "loss": losses, "gain": [losses[0] - loss for loss in losses]}
