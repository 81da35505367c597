"""Chapter 10: what makes digits better at equal cost, one change at a time (F5).

Every network is trained for about the same time, one thing changed in each, three seeds; every
image takes the same number of calls. What a change of the training does is told from the same way
to draw, and what a change of drawing does from the same networks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from gmmtf.images.features import load_classifier
from gmmtf.images.sampler import generate
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.transformer import DiT
from gmmtf.images.weights import load_shipped
from gmmtf.record import Recording
from gmmtf_book import RESULTS
from gmmtf_book.c10_mnist_generation.measure import measure_digits, prepare, to_compare
from gmmtf_book.c10_mnist_generation.plan import Condition, Labels, Plan
from gmmtf_book.c10_mnist_generation.run import start

NAME = "10_mnist_cost.json"
RARE = Condition().name
OFTENER = f"{RARE} seen at 0.5"
SEEDS = (0, 1, 2)
BASE, BEST, MIXED = "as before", "2 drawn oftener", "neighbours mixed"
LONG, SHIPPED, MIXED_LONG = f"{BEST}, long", "as before, long", f"{MIXED}, {BEST}, long"
LONG_RUNS = (SHIPPED, LONG, MIXED_LONG)
KARRAS, NOISE, BOTH = "Karras times", "with noise", "both"
COLDER, COLDEST = "colder", "colder still"
PLAN = Plan(training=TrainingSettings(steps=2400, record_every=2400))
STEPS_TIMED, REPEATS = 20, 5


@dataclass(frozen=True)
class Recipe:
    """What is changed in the plan of the study, to train a network."""

    condition: str = RARE
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = SEEDS

    @property
    def plan(self) -> Plan:
        """The plan with the changes."""
        return PLAN.resized(**self.changes)


RECIPES = {
    BASE: Recipe(),
    BEST: Recipe(OFTENER),
    MIXED: Recipe(
        changes={
            "network": {"neighbours": True},
            "training": {"steps": 2250, "record_every": 2250},
        }
    ),
    "weights of v-prediction": Recipe(changes={"training": {"weight_floor": 1e-3}}),
    "times drawn evenly": Recipe(changes={"training": {"time_shape": (1.0, 1.0)}}),
    "batches half as large": Recipe(
        changes={"training": {"batch_size": 32, "steps": 4350, "record_every": 4350}}
    ),
    "longer average": Recipe(changes={"training": {"ema_decay": 0.998}}),
    LONG: Recipe(OFTENER, {"training": {"steps": 24_000, "record_every": 1000}}, (0,)),
    MIXED_LONG: Recipe(
        OFTENER,
        {
            "network": {"neighbours": True},
            "training": {"steps": 22_500, "record_every": 500},
        },
        (0, 1),
    ),
}
"""How networks are trained. Steps are fewer or more where a step takes longer or less long.

The last one changes two things at once.
"""

DRAWS: dict[str, dict[str, Any]] = {
    BASE: {},
    KARRAS: {"spacing": "karras"},
    NOISE: {"sampler": "sde-dpm-solver++"},
    BOTH: {"spacing": "karras", "sampler": "sde-dpm-solver++"},
    COLDER: {"spacing": "karras", "temperature": 0.9},
    COLDEST: {"spacing": "karras", "temperature": 0.85},
}
"""How digits are drawn."""
WARM = (BASE, KARRAS, NOISE, BOTH)
DRAWS_OF = {
    BASE: (*WARM, COLDER),
    MIXED: WARM,
    SHIPPED: tuple(DRAWS),
    LONG: WARM,
    MIXED_LONG: (KARRAS, BOTH, COLDER, COLDEST),
}
"""In which ways digits are drawn with a network; with those that are missing only as before."""


def draws_of(training: str) -> tuple[str, ...]:
    """Return in which ways digits are drawn with a network."""
    return DRAWS_OF.get(training, (BASE,))


def labels() -> list[Labels]:
    """Return the labels of all points: of networks and draws, and of the time of a step."""
    points: list[Labels] = [
        {"training": SHIPPED, "draw": draw, "seed": 0} for draw in draws_of(SHIPPED)
    ]
    for name, recipe in RECIPES.items():
        points.extend(
            {"training": name, "draw": draw, "seed": seed}
            for draw in draws_of(name)
            for seed in recipe.seeds
        )
    return points + [{"training": name, "kind": "step"} for name in RECIPES]


def recording(
    folder: str = "", checkpoints: str = "", device: torch.device | str = "cpu"
) -> Recording:
    """Return the stored record, or that of a folder, completed there."""
    if not folder:
        return Recording(RESULTS / NAME)
    path = Path(folder) / NAME
    found = Recording(path, PLAN.settings(), code=__name__, device=device)
    for each in labels():
        complete(found, each, Path(checkpoints), device)
    return found


def complete(
    record: Recording, point: Labels, checkpoints: Path, device: torch.device | str = "cpu"
) -> None:
    """Record a point, after training its network if there is no checkpoint of it."""
    name = str(point["training"])
    if point.get("kind") == "step":
        record.point(partial(step_time, name, device), **point)
        return
    seed, how = int(point["seed"] or 0), DRAWS[str(point["draw"])]

    def compute() -> dict[str, Any]:
        if name == SHIPPED:
            model = load_shipped(device=device).model
        else:
            model = network(name, seed, checkpoints, device)
        return quality(model, seed, how, device)

    record.point(compute, **point)


def network(name: str, seed: int, checkpoints: Path, device: torch.device | str = "cpu") -> DiT:
    """Return the network of a recipe with averaged weights, trained or from its checkpoint."""
    recipe = RECIPES[name]
    condition = Condition.named(recipe.condition)
    data = prepare(condition, recipe.plan.network.patch, seed)
    path = checkpoints / f"{name.replace(' ', '-')}-{seed}.safetensors"
    training = start(recipe.plan, condition, seed, data, checkpoint_path=path, device=device)
    for _ in training.records():
        pass  # the records would be points of another study
    return training.averaged


def quality(
    model: DiT, seed: int, how: Mapping[str, Any], device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Return what :func:`measure_digits` says of images that are drawn in a way."""
    sizes, condition = PLAN.evaluation, Condition(rare=None)
    real = prepare(condition, model.settings.patch, seed).real
    reference, _ = to_compare(real, sizes, device)
    drawn = generate(
        model, condition.digits, sizes.n_generated, n_calls=sizes.n_calls, seed=seed, **how
    )
    return measure_digits(load_classifier(device=device), drawn, reference)


def step_time(name: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Time steps of a training, and of that as before, in turns; return the ratios of all pairs."""
    pairs = [[_seconds(each, device) for each in (name, BASE)] for _ in range(1 + REPEATS)]
    ratios = [mine / other for mine, other in pairs[1:]]  # the first pair warms up
    return {"ratios": ratios, "median": median(ratios)}


def _seconds(name: str, device: torch.device | str) -> float:
    """Return how long a few steps take."""
    few = {"steps": STEPS_TIMED, "record_every": STEPS_TIMED, "warmup_steps": 0}
    plan = RECIPES[name].plan.resized(training=few)
    condition = Condition.named(RECIPES[name].condition)
    data = prepare(condition, plan.network.patch, 0)
    training = start(plan, condition, 0, data, device=device)
    begun = time.perf_counter()
    for record in training.records():
        assert math.isfinite(record.loss)  # read, so that a GPU has ended
    return time.perf_counter() - begun
