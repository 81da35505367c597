"""Quality of the digits of one trained network against the number of calls that a sampler makes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from gmmtf.images.drawing import generate
from gmmtf.images.features import load_classifier
from gmmtf.images.weights import Trained
from gmmtf.results import Recording
from gmmtf.studies.generation import Condition, EvaluationSettings, measure_digits, prepare

PREFIX = "samplers/"


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
    evaluation: EvaluationSettings,
    recording: Recording,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> None:
    """Record what :func:`gmmtf.studies.generation.measure_digits` says of every sampler's digits.

    The points stand under ``samplers/<name>/<calls>``; all samplers start at the same noise.
    """
    patch = trained.model.settings.patch
    _, _, real = prepare(Condition(tuple(trained.digits), rare=None), patch, seed)
    reference = {digit: x[: evaluation.n_reference].to(device) for digit, x in real.items()}
    classifier = load_classifier(device=device)

    def measure(sampler: Sampler) -> dict[str, Any]:
        images = generate(
            trained.model,
            trained.digits,
            evaluation.n_generated,
            sampler=sampler.name,
            n_steps=sampler.n_steps,
            seed=seed,
        )
        return measure_digits(classifier, images, reference)

    for each in SAMPLERS:
        recording.point(f"{PREFIX}{each.name}/{each.n_steps}", lambda each=each: measure(each))  # type: ignore[misc]
