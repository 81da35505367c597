"""The runs of the study of rare digits: one after the other, each of which may be stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gmmtf.images.settings import TrainingSettings
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import TransformerSettings
from gmmtf.images.workers import Workers
from gmmtf.results import Recording
from gmmtf_book.c10_mnist_generation.runs import Condition, EvaluationSettings, run


@dataclass(frozen=True)
class Plan:
    """What all runs of the study share; the seed of ``training`` is set for each run."""

    digits: tuple[int, ...] = (0, 1, 2, 3)
    network: TransformerSettings = field(default_factory=TransformerSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def settings(self) -> dict[str, Any]:
        """Return the plan as JSON values, for a recording."""
        training = asdict(self.training)
        del training["seed"]
        return {
            "digits": list(self.digits),
            "network": asdict(self.network),
            "training": training,
            "evaluation": asdict(self.evaluation),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Plan:
        """Return the plan of recorded settings."""
        return cls(
            tuple(settings["digits"]),
            TransformerSettings(**settings["network"]),
            TrainingSettings(**settings["training"]),
            EvaluationSettings(**settings["evaluation"]),
        )


@dataclass(frozen=True)
class Study:
    """A plan with the seeds of each of its conditions; its points are one recorded file."""

    plan: Plan
    seeds: Mapping[str, tuple[int, ...]]


STUDIES = {
    # One long run; its averaged weights are shipped.
    "generation": Study(
        Plan(training=TrainingSettings(steps=24_000, record_every=3000)), {"rare 2 at 0.1": (0,)}
    ),
    # Rare against common over most of what can be learned.
    "rarity": Study(
        Plan(training=TrainingSettings(steps=12_000, record_every=1500)),
        {"rare 2 at 0.1": (0, 1), "balanced": (0, 1)},
    ),
    # Many conditions, each long enough to show the order in which digits are learned.
    "controls": Study(
        Plan(training=TrainingSettings(steps=2400, record_every=600)),
        dict.fromkeys(("rare 2 at 0.1", "balanced", "rare 1 at 0.1", "rare 3 at 0.1"), (0, 1, 2))
        | dict.fromkeys(
            ("no classes, rare 2 at 0.1", "rare 2 at 0.01", "rare 2 at 0.03", "rare 2 at 0.3"),
            (0,),
        ),
    ),
}
"""The recorded studies of chapter 10, from long to short."""


def complete(
    name: str, results: Path, checkpoints: Path, device: torch.device | str = "cpu"
) -> None:
    """Do what a study's recorded file ``<results>/10_mnist_<name>.json`` lacks.

    Raises
    ------
    ValueError
        If the file holds points with other settings.
    """
    study = STUDIES[name]
    recording = Recording(results / f"10_mnist_{name}.json", study.plan.settings())
    list(run_all(study, recording, checkpoints / name, device=device))


class Finished(NamedTuple):
    """A run that has come to its end."""

    condition: Condition
    seed: int
    training: Training


def run_all(
    study: Study,
    recording: Recording,
    checkpoints: Path,
    *,
    device: torch.device | str = "cpu",
    workers: Workers | None = None,
    compile_network: bool = False,
    minutes: float = float("inf"),
) -> Iterator[Finished]:
    """Do the runs that are not yet recorded, seed by seed, and yield each at its end.

    Parameters
    ----------
    study
        Its conditions have names, see :meth:`gmmtf_book.c10_mnist_generation.runs.Condition.named`.
    recording
        Made with the settings of the study's plan.
    checkpoints
        Folder for the checkpoint of every run; runs that were stopped go on from there.
    minutes
        No run is begun after so long.

    Raises
    ------
    ValueError
        Before any work, if a name is that of no condition; else as
        :func:`gmmtf_book.c10_mnist_generation.runs.run`.
    """
    plan = study.plan
    chosen = {Condition.named(name, plan.digits): seeds for name, seeds in study.seeds.items()}
    started = time.monotonic()
    for seed in sorted({seed for seeds in chosen.values() for seed in seeds}):
        for condition in [each for each, seeds in chosen.items() if seed in seeds]:
            last = f"{condition.name}/{seed}/{plan.training.steps}"
            if _any(workers, last in recording.values, device):
                continue
            if _any(workers, time.monotonic() - started > 60 * minutes, device):
                return
            training = run(
                condition,
                plan.network,
                replace(plan.training, seed=seed),
                plan.evaluation,
                recording,
                checkpoint_path=checkpoints / f"{condition.file_name}-{seed}.safetensors",
                device=device,
                workers=workers,
                compile_network=compile_network,
            )
            yield Finished(condition, seed, training)


def _any(workers: Workers | None, flag: bool, device: torch.device | str) -> bool:
    """Whether the flag is set in any of the processes; only the first one has the recording."""
    if workers is None:
        return flag
    return bool(workers.mean(torch.tensor(float(flag), device=device)) > 0)
