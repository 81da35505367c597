"""What recorded runs on rare and common digits say: curves, delays, and rarity against hardness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from scipy import stats
from torch import Tensor

from gmmtf_book.c10_mnist_generation.runs import Condition

ENTRIES = ("fid", "recognised", "precision", "recall")
FRACTION = 0.1
"""What is left of a rare digit where nothing else is said."""


@dataclass(frozen=True)
class Curves:
    """Quality against the training step.

    ``quality`` holds for each of `ENTRIES` a tensor ``[seeds, steps, digits]``, and ``floor`` the
    same of real images, ``[seeds, digits]``.
    """

    steps: list[int]
    digits: list[int]
    quality: dict[str, Tensor]
    floor: dict[str, Tensor]

    @property
    def fid(self) -> Tensor:
        """FID ``[seeds, steps, digits]``."""
        return self.quality["fid"]


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval, from the scatter between seeds."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def by_seed(values: Mapping[str, Any], condition: str) -> dict[str, dict[str, Any]]:
    """Return the recorded points of a condition by seed and step.

    Raises
    ------
    ValueError
        If there are none, or the seeds were recorded at different steps.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name, _, rest = key.partition("/")
        if name == condition:
            seed, _, step = rest.partition("/")
            found.setdefault(seed, {})[step] = value
    if not found:
        raise ValueError(f"condition: no recorded points of {condition!r}")
    first = next(iter(found.values())).keys()
    if any(runs.keys() != first for runs in found.values()):
        raise ValueError(f"condition: the seeds of {condition!r} were recorded at different steps")
    return found


def curves(values: Mapping[str, Any], condition: str) -> Curves:
    """Collect the recorded points of a condition with classes.

    Raises
    ------
    ValueError
        As :func:`by_seed`.
    """
    runs = by_seed(values, condition).values()
    first = next(iter(runs))
    steps = sorted(int(step) for step in first if step != "floor")
    digits = sorted(int(digit) for digit in first["floor"]["fid"])

    def row(point: Mapping[str, Any], entry: str) -> list[float]:
        return [point[entry][str(digit)] for digit in digits]

    quality = {
        entry: [[row(run[str(step)], entry) for step in steps] for run in runs] for entry in ENTRIES
    }
    floor = {entry: [row(run["floor"], entry) for run in runs] for entry in ENTRIES}
    return Curves(
        steps,
        digits,
        {name: torch.tensor(table, dtype=torch.float64) for name, table in quality.items()},
        {name: torch.tensor(table, dtype=torch.float64) for name, table in floor.items()},
    )


@dataclass(frozen=True)
class Comparison:
    """One digit when it is rare and when no digit is, FID ``[seeds, steps]``, floor ``[seeds]``."""

    steps: list[int]
    rare: Tensor
    common: Tensor
    floor: Tensor

    @property
    def rarity(self) -> Tensor:
        """Last FID when rare over that when common ``[seeds]``."""
        return self.rare[:, -1] / self.common[:, -1]

    @property
    def lags(self) -> Tensor:
        """Last step over the one at which the digit, when common, had the last FID ``[seeds]``."""
        pairs = zip(self.rare, self.common, strict=True)
        reached = [first_step_below(self.steps, common, float(rare[-1])) for rare, common in pairs]
        return self.steps[-1] / torch.tensor(reached, dtype=torch.float64)

    @property
    def delays(self) -> Tensor:
        """Step at which the rare digit reaches each recorded FID of the common one, over its step.

        ``[seeds, steps]``; infinite where the run ended before.
        """
        found = [
            [first_step_below(self.steps, rare, level) for level in common.tolist()]
            for rare, common in zip(self.rare, self.common, strict=True)
        ]
        return torch.tensor(found, dtype=torch.float64) / torch.tensor(self.steps)


def compare(values: Mapping[str, Any], digit: int, rare_fraction: float = FRACTION) -> Comparison:
    """Pair the recorded runs in which a digit is rare with those in which none is.

    Raises
    ------
    ValueError
        As :func:`curves`, or if the two conditions have other steps or another number of seeds.
    """
    rare = curves(values, Condition(rare=digit, rare_fraction=rare_fraction).name)
    common = curves(values, Condition(rare=None).name)
    if rare.steps != common.steps or len(rare.fid) != len(common.fid):
        raise ValueError(f"digit: the runs with {digit} rare and with none rare do not match")
    place = rare.digits.index(digit)
    return Comparison(
        rare.steps, rare.fid[:, :, place], common.fid[:, :, place], rare.floor["fid"][:, place]
    )


def conditions(values: Mapping[str, Any]) -> list[Condition]:
    """Return the conditions that were recorded."""
    names = {key.partition("/")[0] for key in values if key.count("/") == 2}
    return [Condition.named(name) for name in sorted(names) if not name.startswith("samplers")]


def rare_digits(values: Mapping[str, Any]) -> list[int]:
    """Return the digits of which a tenth was left in some recorded run with classes."""
    return sorted(
        each.rare
        for each in conditions(values)
        if each.rare is not None and each.rare_fraction == FRACTION and each.classes
    )


def against_fraction(values: Mapping[str, Any], digit: int) -> dict[float, Tensor]:
    """Return the last FID of a digit ``[seeds]`` for each fraction of it that was left, up to 1."""
    found = {
        each.rare_fraction: curves(values, each.name)
        for each in conditions(values)
        if each.rare == digit and each.classes
    }
    found[1.0] = curves(values, Condition(rare=None).name)
    return {
        fraction: found[fraction].fid[:, -1, found[fraction].digits.index(digit)]
        for fraction in sorted(found)
    }


def geometric_mean(ratios: Tensor) -> Interval:
    """Return the geometric mean of positive numbers ``[seeds]`` with Student's interval."""
    logs = ratios.log()
    mean, n = float(logs.mean()), len(logs)
    margin = math.inf
    if n > 1:
        margin = float(stats.t.ppf(0.975, n - 1)) * float(logs.std()) / math.sqrt(n)
    return Interval(math.exp(mean), math.exp(mean - margin), math.exp(mean + margin))


def hardness(values: Mapping[str, Any], digit: int) -> Tensor:
    """Last FID of a digit over the others' geometric mean when none is rare ``[seeds]``."""
    balanced = curves(values, Condition(rare=None).name)
    last, place = balanced.fid[:, -1].log(), balanced.digits.index(digit)
    others = [k for k in range(len(balanced.digits)) if k != place]
    return (last[:, place] - last[:, others].mean(1)).exp()


def summary(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers on rare and hard digits that the account of the claims quotes (F3).

    ``lag of <digit>``: steps of the run over the step at which the digit, when common, already had
    the FID at which it ends when rare, and ``delay of <digit>``: the step at which it reaches a FID
    when rare over that when common; both the least over the seeds, the second over all levels too.
    ``rarity of <digit>``: its last FID when rare over that when common, and ``hardness of
    <digit>``: its last FID over that of the other digits when all are common; geometric means over
    the seeds.
    """
    found = {}
    for digit in rare_digits(values):
        pair = compare(values, digit)
        found[f"lag of {digit}"] = float(pair.lags.min())
        found[f"delay of {digit}"] = float(pair.delays.min())
        found[f"rarity of {digit}"] = geometric_mean(pair.rarity).mean
        found[f"hardness of {digit}"] = geometric_mean(hardness(values, digit)).mean
    return found


def final_quality(values: Mapping[str, Any], rare: int) -> dict[str, float]:
    """Return the numbers on the quality of generated digits that the claims quote (F5).

    They are those of :func:`quality_numbers`, at the last step of the runs in which a digit is
    rare, means over the seeds.
    """
    found = curves(values, Condition(rare=rare).name)
    recognised = found.quality["recognised"][:, -1].mean(0)
    ratio = (found.fid[:, -1] / found.floor["fid"]).mean(0)
    return quality_numbers(recognised, ratio, found.digits.index(rare))


def quality_numbers(recognised: Tensor, ratio: Tensor, place: int) -> dict[str, float]:
    """Return recognised shares and FIDs over those of real images, of common digits and the rare.

    Parameters
    ----------
    recognised, ratio
        Recognised share, and FID over that of as many real images, ``[digits]``.
    place
        Which of the digits is rare.
    """
    common = [k for k in range(len(recognised)) if k != place]
    return {
        "common digits recognised": float(recognised[common].mean()),
        "common digits recognised, least": float(recognised[common].min()),
        "rare digit recognised": float(recognised[place]),
        "FID of common digits / real": float(ratio[common].mean()),
        "FID of common digits / real, largest": float(ratio[common].max()),
    }


def first_step_below(steps: Sequence[int], fid: Tensor, level: float) -> float:
    """Step at which a curve of FID ``[steps]`` falls below a level, interpolated; inf if never."""
    for index, value in enumerate(fid.tolist()):
        if value <= level:
            if index == 0:
                return float(steps[0])
            before: float = fid[index - 1].item()
            share = (before - level) / (before - value)
            return float(steps[index - 1] + share * (steps[index] - steps[index - 1]))
    return float("inf")
