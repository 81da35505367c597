"""Training on digits of which one may be rare, followed by the quality of what is generated (F3).

The conditions tell rare from hard: the same digit rare, another one rare, none rare.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images import mnist
from gmmtf.images.evaluation import Quality, by_digit, class_indices, generate, quality
from gmmtf.images.experiment import Training, TrainingSettings
from gmmtf.images.features import load_classifier
from gmmtf.images.patches import to_tokens
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.workers import Alone, Workers
from gmmtf.noise import derived_seed
from gmmtf.results import Recording


@dataclass(frozen=True)
class Condition:
    """Which digits are trained on, and which of them is rare (None: all alike)."""

    digits: tuple[int, ...] = (0, 1, 2, 3)
    rare: int | None = 2
    rare_fraction: float = 0.1

    @property
    def name(self) -> str:
        """Name for the keys of recorded points."""
        if self.rare is None:
            return "balanced"
        return f"rare {self.rare} at {self.rare_fraction:g}"


@dataclass(frozen=True)
class EvaluationSettings:
    """Images drawn of each digit, calls of the network for each, and real images to compare with.

    The real images are not split off: they are training images, as is usual for FID.
    """

    n_generated: int = 250
    n_steps: int = 25
    n_reference: int = 2000


def prepare(
    condition: Condition, patch: int, seed: int
) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
    """Return training tokens, their class indices, and all real images of each digit, shuffled."""
    images, labels = mnist.load("train", condition.digits)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(derived_seed(0, 3)))
    real = by_digit(mnist.to_unit_range(images[order]), labels[order], condition.digits)
    if condition.rare is not None:
        images, labels = mnist.imbalanced(
            images,
            labels,
            digits=condition.digits,
            rare=condition.rare,
            rare_fraction=condition.rare_fraction,
            generator=torch.Generator().manual_seed(seed),
        )
    tokens = to_tokens(mnist.to_unit_range(images), patch)
    return tokens, class_indices(labels, condition.digits), real


def run(
    condition: Condition,
    network: TransformerSettings,
    settings: TrainingSettings,
    evaluation: EvaluationSettings,
    recording: Recording,
    *,
    checkpoint_path: Path | None = None,
    device: torch.device | str = "cpu",
    workers: Workers | None = None,
) -> Training:
    """Train under one condition, recording the quality of generated digits at every record.

    Points are recorded under ``<condition>/<seed>/<step>``, each with the loss, and for each digit
    the FID and the recognised fraction; under ``<condition>/<seed>/floor`` stands the FID of as
    many real images. With a checkpoint a stopped run goes on where it stood.

    Returns
    -------
    Training
        The finished run.

    Raises
    ------
    ValueError
        If the checkpoint is ahead of the recording, or settings do not fit.
    """
    group = Alone() if workers is None else workers
    tokens, classes, real = prepare(condition, network.patch, settings.seed)
    torch.manual_seed(settings.seed)
    model = DiT(network, NoiseSchedule.linear(1000)).to(device)
    training = Training(model, tokens, classes, settings, checkpoint_path, workers=group)
    classifier = load_classifier(device=device)
    size = evaluation.n_reference
    reference = {digit: x[:size].to(device) for digit, x in real.items()}
    others = {
        digit: x[size : size + evaluation.n_generated].to(device) for digit, x in real.items()
    }
    name = f"{condition.name}/{settings.seed}"
    if group.rank == 0:
        recording.point(f"{name}/floor", lambda: as_json(quality(classifier, others, reference)))

    def measure(loss: float) -> dict[str, Any]:
        made = generate(
            training.averaged,
            condition.digits,
            evaluation.n_generated,
            n_steps=evaluation.n_steps,
            seed=settings.seed,
        )
        return {"loss": loss, **as_json(quality(classifier, made, reference))}

    for record in training.records():
        key = f"{name}/{record.step}"
        if group.rank != 0:
            continue
        if key not in recording.values and record.step != training.step:
            raise ValueError(
                f"checkpoint_path: {checkpoint_path} is at step {training.step}, but the recording "
                f"lacks step {record.step}; remove the checkpoint to train again"
            )
        loss = record.loss
        recording.point(key, lambda loss=loss: measure(loss))  # type: ignore[misc]
    return training


def as_json(found: Quality) -> dict[str, Any]:
    """Return a quality with digits as text, which JSON wants for keys."""
    return {
        name: {str(digit): value for digit, value in values.items()}
        for name, values in asdict(found).items()
    }
