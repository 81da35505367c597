"""What chapter 10 trains: conditions, settings, and the studies that are recorded (F3, F5).

The conditions tell rare from hard, the same digit rare, another one rare, none rare; and few images
from images that are seldom seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gmmtf.images.settings import TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.record import Label

Labels = dict[str, Label]
NO_CLASSES = "no classes, "
NETWORK = "with the exact GELU"
"""Of the network in settings: points of a network of another kind are not joined by new ones."""


@dataclass(frozen=True)
class Condition:
    """Which digits are trained on, which of them is rare (None: all alike), with classes or not.

    Of the rare digit a fraction of the images is left. They are drawn so often that it is seen
    ``seen`` times as often as with all its images; as often as each image of the others if None.
    """

    digits: tuple[int, ...] = (0, 1, 2, 3)
    rare: int | None = 2
    rare_fraction: float = 0.1
    classes: bool = True
    seen: float | None = None

    @property
    def name(self) -> str:
        """Name for the labels of recorded points."""
        law = "balanced" if self.rare is None else f"rare {self.rare} at {self.rare_fraction:g}"
        law = law if self.seen is None else f"{law} seen at {self.seen:g}"
        return law if self.classes else f"{NO_CLASSES}{law}"

    @property
    def weight(self) -> float:
        """How often an image of the rare digit is drawn, relative to one of the others."""
        return 1.0 if self.seen is None else self.seen / self.rare_fraction

    @property
    def file_name(self) -> str:
        """The name without what a shell would have to be told to keep."""
        return self.name.replace(",", "").replace(" ", "-")

    @classmethod
    def named(cls, name: str, digits: tuple[int, ...] = (0, 1, 2, 3)) -> Condition:
        """Return the condition of a name like ``"rare 2 at 0.1"``; ``ValueError`` for others."""
        law = name.removeprefix(NO_CLASSES)
        number = r"(\d*\.?\d+)"
        words = re.fullmatch(rf"rare (\d) at {number}(?: seen at {number})?", law)
        if law != "balanced" and words is None:
            raise ValueError(
                f"name: expected 'balanced' or, for instance, 'rare 2 at 0.1' or 'rare 2 at 0.1 "
                f"seen at 1', with {NO_CLASSES!r} before it for a model without classes; got "
                f"{name!r}"
            )
        classes = law == name
        if words is None:
            return cls(digits, None, classes=classes)
        seen = None if words[3] is None else float(words[3])
        return cls(digits, int(words[1]), float(words[2]), classes, seen)


@dataclass(frozen=True)
class Evaluation:
    """Images drawn of each digit, calls of the network for each, and real images to compare with.

    ``n_generated`` are drawn at the end of a run, ``n_during`` before. The real images are not
    split off: they are training images, as is usual for FID.
    """

    n_generated: int = 2000
    n_during: int = 250
    n_calls: int = 15
    n_reference: int = 2000
    sampler: str = "dpm-solver++"


@dataclass(frozen=True)
class Plan:
    """What runs share, the seeds of each condition, and the ways to draw that are compared.

    The seed of ``training`` is set for each run. ``draws`` are labels of ways to draw with a
    network of the project, of which ``shipped`` has the name and that of its guide.
    """

    seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    digits: tuple[int, ...] = (0, 1, 2, 3)
    network: TransformerSettings = field(default_factory=TransformerSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: Evaluation = field(default_factory=Evaluation)
    draws: tuple[Labels, ...] = ()
    shipped: tuple[str, str] = ("digits", "guide")

    def resized(self, **changes: Any) -> Plan:
        """Return the plan with some entries changed; those that are objects, entry by entry."""
        for name in ("network", "training", "evaluation"):
            changes[name] = replace(getattr(self, name), **changes.get(name, {}))
        return replace(self, **changes)

    def settings(self) -> dict[str, Any]:
        """Return what all points of a record depend on."""
        found = {"network": self.network.named(), "training": asdict(self.training)}
        del found["training"]["seed"]
        other = {"digits": self.digits, "evaluation": asdict(self.evaluation)}
        return found | other | {"network_note": NETWORK}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Plan:
        """Return the plan of recorded settings, without its seeds."""
        return cls(
            digits=tuple(settings["digits"]),
            network=TransformerSettings(**settings["network"]),
            training=TrainingSettings(**settings["training"]),
            evaluation=Evaluation(**settings["evaluation"]),
        )

    def labels(self) -> list[Labels]:
        """Return the labels of all points of the plan."""
        every, last = self.training.record_every, self.training.steps
        steps = sorted({*range(every, last + 1, every), last})
        points = [("floor", {}), *(("trained", {"step": step}) for step in steps)]
        return [
            {"kind": kind, "condition": condition, "seed": seed, **step}
            for condition, seeds in self.seeds.items()
            for seed in seeds
            for kind, step in points
        ] + list(self.draws)


_CALLS = (4, 6, 8, 10, 15, 25, 50)
DRAWS: list[Labels] = [
    {"kind": "sampler", "sampler": name, "n_calls": n}
    for name, calls in (("dpm-solver++", _CALLS), ("ddim", (*_CALLS, 100)), ("ancestral", (1000,)))
    for n in calls
]
DRAWS += [{"kind": "guidance", "weight": w} for w in (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)]
"""The ways to draw digits with the shipped network of four that are compared, as labels."""
_SOLVED: Labels = {"kind": "sampler", "spacing": "karras", "n_calls": 15}
TEN_DRAWS: list[Labels] = [
    {"kind": "guidance", "weight": 1.25},
    {**_SOLVED, "sampler": "sde-dpm-solver++"},
    {**_SOLVED, "sampler": "dpm-solver++", "temperature": 1.0},
    {**_SOLVED, "sampler": "dpm-solver++", "temperature": 0.9},
]
"""Those with the network of all ten."""

FEWER = Evaluation(n_generated=250)
SEEDS = tuple(range(6))
EXPOSURE = {
    ("all", "often"): "balanced",
    ("all", "seldom"): "rare 2 at 1 seen at 0.1",
    ("few", "often"): "rare 2 at 0.1 seen at 1",
    ("few", "seldom"): "rare 2 at 0.1",
}
"""Names of conditions: how many images of "2" there are, and how often one is seen."""
CONTROLS = ("rare 1 at 0.1", "rare 3 at 0.1")
"""Names of the conditions in which another digit is rare."""

STUDIES = {
    # One long run; its averaged weights are shipped.
    "generation": Plan(
        {"rare 2 at 0.1": (0,)},
        training=TrainingSettings(steps=24_000, record_every=3000),
        evaluation=FEWER,
        draws=tuple(DRAWS),
    ),
    # Is a digit late because there is less of it, or because it is seen less? And another one?
    "exposure": Plan(
        dict.fromkeys((*EXPOSURE.values(), *CONTROLS), SEEDS),
        training=TrainingSettings(steps=2400, record_every=300),
    ),
    # All digits, none of them rare; its averaged weights are shipped too.
    "ten": Plan(
        {"balanced": (0,)},
        digits=tuple(range(10)),
        network=TransformerSettings(n_classes=10, neighbours=True),
        training=TrainingSettings(steps=24_000, record_every=3000),
        draws=tuple(TEN_DRAWS),
        shipped=("ten", "ten-guide"),
    ),
}
"""The recorded studies, from long to short."""

PLANS = {
    "live": Plan(),
    "smoke": Plan(
        training=TrainingSettings(steps=40, batch_size=16, warmup_steps=5),
        evaluation=Evaluation(n_generated=8, n_calls=3, n_reference=200),
    ),
}
"""What the chapter's own run does not take from its parameters."""
