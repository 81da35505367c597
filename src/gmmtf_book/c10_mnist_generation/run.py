"""The runs of chapter 10, one after the other, each of which may be stopped, and their records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gmmtf import NoiseSchedule
from gmmtf.images.features import load_classifier
from gmmtf.images.sampler import check_sampler, generate
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT
from gmmtf.images.weights import Trained, load_shipped
from gmmtf.images.workers import Alone, Workers
from gmmtf.record import Recording
from gmmtf_book import RESULTS
from gmmtf_book.c10_mnist_generation.measure import (
    Data,
    measure,
    measure_digits,
    prepare,
    to_compare,
)
from gmmtf_book.c10_mnist_generation.plan import STUDIES, Condition, Labels, Plan


class Finished(NamedTuple):
    """A run that has come to its end."""

    condition: Condition
    seed: int
    training: Training


def start(
    plan: Plan, condition: Condition, seed: int, data: Data, *, checkpoint_path: Path | None = None,
    device: torch.device | str = "cpu", workers: Workers | None = None,
    compile_network: bool = False,
) -> Training:  # fmt: skip
    """Return the training of a new network, or of the one that a checkpoint holds."""
    schedule = NoiseSchedule.linear(1000)
    check_sampler(plan.evaluation.sampler, plan.evaluation.n_calls, schedule.n_steps)
    torch.manual_seed(seed)
    size = replace(plan.network, n_classes=len(condition.digits) if condition.classes else 0)
    return Training(
        DiT(size, schedule).to(device), data.tokens, data.classes if condition.classes else None,
        replace(plan.training, seed=seed), checkpoint_path, weights=data.weights,
        workers=workers or Alone(), compile_network=compile_network,
    )  # fmt: skip


def train(
    plan: Plan, condition: Condition, seed: int, recording: Recording, *,
    checkpoint_path: Path | None = None, device: torch.device | str = "cpu",
    workers: Workers | None = None, compile_network: bool = False,
) -> Training:  # fmt: skip
    """Train under one condition, recording the quality of generated digits at every record.

    Points have the kind ``trained`` and the loss beside what :func:`measure` says, or the kind
    ``floor``, of real images. With a checkpoint a stopped run goes on where it stood; raises
    ``ValueError`` if it is ahead of the recording, or settings do not fit.
    """
    data = prepare(condition, plan.network.patch, seed)
    training = start(
        plan, condition, seed, data, checkpoint_path=checkpoint_path, device=device,
        workers=workers, compile_network=compile_network,
    )  # fmt: skip
    group = workers or Alone()
    classifier = load_classifier(device=device)
    of_model = partial(measure, condition, data, plan.evaluation, seed, classifier)
    labels: Labels = {"condition": condition.name, "seed": seed}
    sizes = plan.evaluation
    if group.rank == 0:
        recording.point(lambda: of_model(None, sizes.n_generated), kind="floor", **labels)
    for record in training.records():
        if group.rank != 0:
            continue
        here: Labels = {"kind": "trained", **labels, "step": record.step}
        if not recording.select(**here) and record.step != training.step:
            raise ValueError(
                f"checkpoint_path: {checkpoint_path} is at step {training.step}, but the recording "
                f"lacks step {record.step}; remove the checkpoint to train again"
            )

        n = sizes.n_generated if record.step == plan.training.steps else sizes.n_during

        def compute(loss: float = record.loss, n: int = n) -> dict[str, Any]:
            return {"loss": loss} | of_model(training.averaged, n)

        recording.point(compute, **here)
    return training


def run_all(
    plan: Plan, recording: Recording, checkpoints: Path, *, device: torch.device | str = "cpu",
    workers: Workers | None = None, compile_network: bool = False, minutes: float = math.inf,
) -> Iterator[Finished]:  # fmt: skip
    """Do the runs that are not yet recorded, seed by seed, and yield each at its end.

    Runs that were stopped go on from the folder ``checkpoints``; none is begun after so many
    ``minutes``. Raises ``ValueError`` before any work if a name is that of no condition, or a run
    is missing in a recording that was opened to be read; else as :func:`train`.
    """

    def in_any_process(flag: bool) -> bool:  # only the first one has the recording
        return bool((workers or Alone()).mean(torch.tensor(float(flag), device=device)) > 0)

    chosen = {Condition.named(name, plan.digits): seeds for name, seeds in plan.seeds.items()}
    started = time.monotonic()
    for seed in sorted({seed for seeds in chosen.values() for seed in seeds}):
        for condition in [each for each, seeds in chosen.items() if seed in seeds]:
            last: Labels = {"condition": condition.name, "seed": seed, "step": plan.training.steps}
            if in_any_process(bool(recording.select(**last))):
                continue
            if in_any_process(time.monotonic() - started > 60 * minutes):
                return
            if recording.read_only:  # before the hours of a run, not after them
                raise ValueError(
                    f"recording: {recording.path} was opened to be read, and the run "
                    f"{condition.name!r} with seed {seed} is missing in it"
                )
            path = checkpoints / f"{condition.file_name}-{seed}.safetensors"
            yield Finished(condition, seed, train(
                plan, condition, seed, recording, checkpoint_path=path, device=device,
                workers=workers, compile_network=compile_network,
            ))  # fmt: skip


def compare_draws(
    plan: Plan, trained: Trained, guide: Trained, recording: Recording, *,
    seed: int = 0, device: torch.device | str = "cpu",
) -> None:  # fmt: skip
    """Record what :func:`measure_digits` says of the plan's ways to draw, all from one noise."""
    condition, sizes = Condition(tuple(trained.digits), rare=None), plan.evaluation
    real = prepare(condition, trained.model.settings.patch, seed).real
    reference, _ = to_compare(real, sizes, device)
    classifier = load_classifier(device=device)

    def of_draws(**how: Any) -> dict[str, Any]:
        images = generate(trained.model, trained.digits, sizes.n_generated, seed=seed, **how)
        return measure_digits(classifier, images, reference)

    for labels in plan.draws:
        how: dict[str, Any] = {"sampler": sizes.sampler, "n_calls": sizes.n_calls}
        if labels["kind"] == "sampler":
            how = {name: value for name, value in labels.items() if name != "kind"}
        else:
            how |= {"guide": guide.model, "guidance": labels["weight"]}
        recording.point(partial(of_draws, **how), **labels)


def record_of(plan: Plan, path: Path | None, device: torch.device | str = "cpu") -> Recording:
    """Open the record of a plan: to read where it is complete, else to add to it.

    A complete record may be that of an earlier network. Raises ``ValueError`` if something is
    missing and the file has other settings, or points of another network.
    """
    new = Recording(None, plan.settings())
    if path is not None and path.exists():
        stored = Recording(path)
        known = {**stored.settings, "network_note": new.settings["network_note"]}
        if known == new.settings and all(stored.select(**labels) for labels in plan.labels()):
            return stored
    return Recording(path, new.settings, code=__name__, device=device)


def records(
    folder: str = "", checkpoints: str = "", device: torch.device | str = "cpu"
) -> list[Recording]:
    """Return the records of the studies: the stored ones, or those of a folder, completed there."""
    if not folder:
        return [Recording(RESULTS / file_of(name)) for name in STUDIES]
    return [complete(name, Path(folder), Path(checkpoints), device) for name in STUDIES]


def complete(
    name: str, folder: Path, checkpoints: Path, device: torch.device | str = "cpu"
) -> Recording:
    """Return a study's record in a folder, after doing what it lacks."""
    plan = STUDIES[name]
    recording = record_of(plan, folder / file_of(name), device)
    if not recording.read_only:
        list(run_all(plan, recording, checkpoints / name, device=device))
        if plan.draws:
            trained, guide = (load_shipped(each, device=device) for each in plan.shipped)
            compare_draws(plan, trained, guide, recording, device=device)
    return recording


def file_of(study: str) -> str:
    """Name of the file of a study."""
    return f"10_mnist_{study}.json"
