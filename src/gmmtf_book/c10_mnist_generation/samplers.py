"""Quality of the digits of one network against the calls of a sampler, and against guidance."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from gmmtf.images.features import load_classifier
from gmmtf.images.sampler import generate
from gmmtf.images.weights import Trained
from gmmtf.results import Recording
from gmmtf_book.c10_mnist_generation.runs import (
    Condition,
    EvaluationSettings,
    measure_digits,
    prepare,
)

PREFIX = "samplers/"
GUIDED = "guidance/"
GUIDANCE = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)


class Sampler(NamedTuple):
    """A sampler and the number of its calls of the network."""

    name: str
    n_steps: int


SAMPLERS = (
    *(Sampler("dpm-solver++", n) for n in (4, 6, 8, 10, 15, 25, 50)),
    *(Sampler("ddim", n) for n in (4, 6, 8, 10, 15, 25, 50, 100)),
    Sampler("ancestral", 1000),
)


def run_samplers(
    trained: Trained,
    guide: Trained,
    evaluation: EvaluationSettings,
    recording: Recording,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> None:
    """Record what :func:`gmmtf_book.c10_mnist_generation.runs.measure_digits` says of drawn digits.

    The points of the samplers stand under ``samplers/<name>/<calls>``, those of the weights of
    guidance under ``guidance/<weight>``; all start at the same noise.
    """
    patch = trained.model.settings.patch
    _, _, real = prepare(Condition(tuple(trained.digits), rare=None), patch, seed)
    reference = {digit: x[: evaluation.n_reference].to(device) for digit, x in real.items()}
    classifier = load_classifier(device=device)

    def measure(**how: Any) -> dict[str, Any]:
        images = generate(trained.model, trained.digits, evaluation.n_generated, seed=seed, **how)
        return measure_digits(classifier, images, reference)

    for each in SAMPLERS:
        how: dict[str, Any] = {"sampler": each.name, "n_calls": each.n_steps}
        recording.point(f"{PREFIX}{each.name}/{each.n_steps}", lambda how=how: measure(**how))  # type: ignore[misc]
    for weight in GUIDANCE:
        how = {"sampler": evaluation.sampler, "n_calls": evaluation.n_steps}
        how |= {"guide": guide.model, "guidance": weight}
        recording.point(f"{GUIDED}{weight:g}", lambda how=how: measure(**how))  # type: ignore[misc]
