"""The runs of the study of rare digits: one after the other, each of which may be stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gmmtf.images.experiment import Training
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.images.workers import Workers
from gmmtf.results import Recording
from gmmtf.studies.generation import Condition, EvaluationSettings, run


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


class Finished(NamedTuple):
    """A run that has come to its end."""

    condition: Condition
    seed: int
    training: Training


def run_all(
    plan: Plan,
    conditions: Sequence[str],
    seeds: Sequence[int],
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
    conditions
        Names, see :meth:`gmmtf.studies.generation.Condition.named`.
    recording
        Made with the settings of the plan.
    checkpoints
        Folder for the checkpoint of every run; runs that were stopped go on from there.
    minutes
        No run is begun after so long.

    Raises
    ------
    ValueError
        Before any work, if a name is that of no condition; else as
        :func:`gmmtf.studies.generation.run`.
    """
    chosen = [Condition.named(name, plan.digits) for name in conditions]
    started = time.monotonic()
    for seed in seeds:
        for condition in chosen:
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
