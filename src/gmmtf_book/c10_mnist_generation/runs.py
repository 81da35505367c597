"""Training on digits of which one may be rare, followed by the quality of what is generated (F3).

The conditions tell rare from hard: the same digit rare, another one rare, none rare. A model
without classes shows in addition how often it draws each digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images import mnist
from gmmtf.images.coverage import precision_recall
from gmmtf.images.evaluation import by_digit, class_indices, frequencies, quality
from gmmtf.images.features import DigitClassifier, load_classifier
from gmmtf.images.fid import fid
from gmmtf.images.patches import to_tokens
from gmmtf.images.sampler import draw, generate
from gmmtf.images.trainer import Training, TrainingSettings
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.workers import Alone, Workers
from gmmtf.randomness import derived_seed
from gmmtf.results import Recording

Images = dict[int, Tensor]
NO_CLASSES = "no classes, "


@dataclass(frozen=True)
class Condition:
    """Which digits are trained on, which of them is rare (None: all alike), with classes or not."""

    digits: tuple[int, ...] = (0, 1, 2, 3)
    rare: int | None = 2
    rare_fraction: float = 0.1
    classes: bool = True

    @property
    def name(self) -> str:
        """Name for the keys of recorded points."""
        law = "balanced" if self.rare is None else f"rare {self.rare} at {self.rare_fraction:g}"
        return law if self.classes else f"{NO_CLASSES}{law}"

    @property
    def file_name(self) -> str:
        """The name without what a shell would have to be told to keep."""
        return self.name.replace(",", "").replace(" ", "-")

    @classmethod
    def named(cls, name: str, digits: tuple[int, ...] = (0, 1, 2, 3)) -> Condition:
        """Return the condition of a name, for instance ``"rare 2 at 0.1"``.

        Raises
        ------
        ValueError
            If it is not the name of a condition.
        """
        law = name.removeprefix(NO_CLASSES)
        words = re.fullmatch(r"rare (\d) at (\d*\.?\d+)", law)
        if law != "balanced" and words is None:
            raise ValueError(
                f"name: expected 'balanced' or, for instance, 'rare 2 at 0.1', with "
                f"{NO_CLASSES!r} before it for a model without classes; got {name!r}"
            )
        classes = law == name
        if words is None:
            return cls(digits, None, classes=classes)
        return cls(digits, int(words[1]), float(words[2]), classes)


@dataclass(frozen=True)
class EvaluationSettings:
    """Images drawn of each digit, calls of the network for each, and real images to compare with.

    The real images are not split off: they are training images, as is usual for FID.
    """

    n_generated: int = 250
    n_steps: int = 15
    n_reference: int = 2000
    sampler: str = "dpm-solver++"


def prepare(condition: Condition, patch: int, seed: int) -> tuple[Tensor, Tensor, Images]:
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
    compile_network: bool = False,
) -> Training:
    """Train under one condition, recording the quality of generated digits at every record.

    Points are recorded under ``<condition>/<seed>/<step>``, each with the loss and what
    :func:`measure_digits` says, or :func:`measure_mixture` of a model without classes; under
    ``<condition>/<seed>/floor`` stands what it says of as many real images. With a checkpoint a
    stopped run goes on where it stood.

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
    size = replace(network, n_classes=len(condition.digits) if condition.classes else 0)
    model = DiT(size, NoiseSchedule.linear(1000)).to(device)
    training = Training(
        model,
        tokens,
        classes if condition.classes else None,
        settings,
        checkpoint_path,
        workers=group,
        compile_network=compile_network,
    )
    measure = _measure(condition, evaluation, load_classifier(device=device), real, classes)
    name = f"{condition.name}/{settings.seed}"
    if group.rank == 0:
        recording.point(f"{name}/floor", lambda: measure(None, settings.seed))
    for record in training.records():
        key = f"{name}/{record.step}"
        if group.rank != 0:
            continue
        if key not in recording.values and record.step != training.step:
            raise ValueError(
                f"checkpoint_path: {checkpoint_path} is at step {training.step}, but the recording "
                f"lacks step {record.step}; remove the checkpoint to train again"
            )
        loss = {"loss": record.loss}
        recording.point(key, lambda loss=loss: loss | measure(training.averaged, settings.seed))  # type: ignore[misc]
    return training


def _measure(
    condition: Condition,
    evaluation: EvaluationSettings,
    classifier: DigitClassifier,
    real: Images,
    classes: Tensor,
) -> Callable[[DiT | None, int], dict[str, Any]]:
    """Return what measures a model's images, or of None as many real ones."""
    device = next(classifier.parameters()).device
    size, n = evaluation.n_reference, evaluation.n_generated
    reference = {digit: x[:size].to(device) for digit, x in real.items()}
    others = {digit: x[size : size + n].to(device) for digit, x in real.items()}
    shares = torch.bincount(classes, minlength=len(real)) / len(classes)
    how: dict[str, Any] = {"sampler": evaluation.sampler, "n_calls": evaluation.n_steps}

    def digits(model: DiT | None, seed: int) -> dict[str, Any]:
        images = others if model is None else generate(model, list(real), n, seed=seed, **how)
        return measure_digits(classifier, images, reference)

    def mixture(model: DiT | None, seed: int) -> dict[str, Any]:
        if model is None:
            images = mixed(others, shares)
        else:
            images = draw(model, None, n * len(real), seed=seed, **how)
        return measure_mixture(classifier, images, mixed(reference, shares))

    return digits if condition.classes else mixture


def mixed(images: Images, shares: Tensor) -> Tensor:
    """Join as many images of each digit as make the given shares, from the first on."""
    total = min(len(x) / float(share) for x, share in zip(images.values(), shares, strict=True))
    pairs = zip(images.values(), shares.tolist(), strict=True)
    return torch.cat([x[: round(total * share)] for x, share in pairs])


def measure_digits(
    classifier: DigitClassifier, images: Images, reference: Images
) -> dict[str, Any]:
    """Return the recognised share, FID, precision and recall of each digit as JSON values."""
    found = quality(classifier, images, reference)
    # Precision and recall want sets of the same size.
    covered = {
        digit: precision_recall(classifier, reference[digit][: len(x)], x)
        for digit, x in images.items()
    }
    values = {
        "recognised": found.recognised,
        "fid": found.fid,
        "precision": {digit: pair.precision for digit, pair in covered.items()},
        "recall": {digit: pair.recall for digit, pair in covered.items()},
    }
    return {name: {str(k): v for k, v in by.items()} for name, by in values.items()}


def measure_mixture(
    classifier: DigitClassifier, images: Tensor, reference: Tensor
) -> dict[str, Any]:
    """Return how often each digit is seen in unlabelled images, and the FID of all of them."""
    seen = frequencies(classifier, images)
    return {
        "frequency": {str(digit): share for digit, share in seen.items()},
        "fid": fid(classifier, reference, images),
    }
