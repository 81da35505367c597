"""What recorded runs on rare and common digits say: curves, delays, and rarity against hardness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gmmtf.studies.generation import Condition


@dataclass(frozen=True)
class Curves:
    """Quality against the training step, for each seed: ``[seeds, steps, digits]``."""

    steps: list[int]
    digits: list[int]
    fid: Tensor
    recognised: Tensor
    floor: Tensor


def curves(values: Mapping[str, Any], condition: str) -> Curves:
    """Collect the recorded points of a condition.

    Raises
    ------
    ValueError
        If there are none, or the seeds were recorded at different steps.
    """
    by_seed: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name, _, rest = key.partition("/")
        if name == condition:
            seed, _, step = rest.partition("/")
            by_seed.setdefault(seed, {})[step] = value
    if not by_seed:
        raise ValueError(f"condition: no recorded points of {condition!r}")
    found = [sorted(int(step) for step in runs if step != "floor") for runs in by_seed.values()]
    if any(steps != found[0] for steps in found):
        raise ValueError(f"condition: the seeds of {condition!r} were recorded at different steps")
    steps = found[0]
    digits = sorted(int(digit) for digit in next(iter(by_seed.values()))["floor"]["fid"])

    def table(entry: str) -> Tensor:
        return torch.tensor(
            [
                [[runs[str(step)][entry][str(digit)] for digit in digits] for step in steps]
                for runs in by_seed.values()
            ],
            dtype=torch.float64,
        )

    floor = [[runs["floor"]["fid"][str(digit)] for digit in digits] for runs in by_seed.values()]
    return Curves(
        steps, digits, table("fid"), table("recognised"), torch.tensor(floor, dtype=torch.float64)
    )


@dataclass(frozen=True)
class Comparison:
    """One digit when it is rare and when no digit is, FID ``[seeds, steps]``, floor ``[seeds]``."""

    steps: list[int]
    rare: Tensor
    common: Tensor
    floor: Tensor


def compare(values: Mapping[str, Any], digit: int, rare_fraction: float = 0.1) -> Comparison:
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
        rare.steps, rare.fid[:, :, place], common.fid[:, :, place], rare.floor[:, place]
    )


def rare_digits(values: Mapping[str, Any]) -> list[int]:
    """Return the digits that were rare in some recorded run."""
    names = {key.split()[1] for key in values if key.startswith("rare ")}
    return sorted(int(name) for name in names)


def summary(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that the account of the claims quotes (F3).

    ``lag of <digit>``: steps of the run over the step at which the digit, when common, already had
    the FID at which it ends when rare; the least over the seeds. ``rarity of <digit>``: its last
    FID when rare over that when common, and ``hardness of <digit>``: its last FID over the mean of
    the other digits' when all are common; geometric means over the seeds.
    """
    found = {}
    balanced = curves(values, Condition(rare=None).name)
    last = balanced.fid[:, -1].log()
    for digit in rare_digits(values):
        pair = compare(values, digit)
        when_common = [
            first_step_below(pair.steps, common, float(rare[-1]))
            for rare, common in zip(pair.rare, pair.common, strict=True)
        ]
        found[f"lag of {digit}"] = min(pair.steps[-1] / step for step in when_common)
        ratio = (pair.rare[:, -1] / pair.common[:, -1]).log().mean()
        found[f"rarity of {digit}"] = float(ratio.exp())
        place = balanced.digits.index(digit)
        others = [k for k in range(len(balanced.digits)) if k != place]
        hardness = (last[:, place] - last[:, others].mean(1)).mean()
        found[f"hardness of {digit}"] = float(hardness.exp())
    return found


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
