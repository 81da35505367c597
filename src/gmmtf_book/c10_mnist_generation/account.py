"""The numbers of chapter 10 that follow from its three recorded files.

They are those of `gmmtf_book.c10_mnist_generation.plan.STUDIES`: one long run, shorter ones with "2" rare
and with no digit rare, and many short ones with other digits and fractions, without classes too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from gmmtf.scaling.power_law import PowerLaw, fit_power_law
from gmmtf_book.c10_mnist_generation.curves import (
    ENTRIES,
    Interval,
    against_fraction,
    by_seed,
    compare,
    curves,
    final_quality,
    geometric_mean,
    hardness,
    quality_numbers,
    summary,
)
from gmmtf_book.c10_mnist_generation.runs import Condition
from gmmtf_book.c10_mnist_generation.samplers import GUIDED, PREFIX

RARE = 2
REFERENCE = f"{PREFIX}ancestral/1000"
GUIDANCE = 1.25
"""Weight of the guidance with which the digits of the gallery are drawn."""


def account(
    generation: Mapping[str, Any], rarity: Mapping[str, Any], controls: Mapping[str, Any]
) -> dict[str, float]:
    """Return all numbers that the account of the claims quotes (F3, F5)."""
    found = final_quality(generation, RARE) | summary(rarity)
    for name, key in (("ancestral", REFERENCE), ("guided", f"{GUIDED}{GUIDANCE:g}")):
        numbers = quality_with(generation, key)
        found |= {f"{name}: {what}": value for what, value in numbers.items()}
    found |= {f"controls: {name}": value for name, value in summary(controls).items()}
    for name in ("lag", "delay"):
        values = [v for key, v in found.items() if key.startswith(f"controls: {name} of")]
        found[f"controls: least {name}"] = min(values)
    found["exponent of the fraction"] = fraction_law(controls).exponent
    found["rarity's share of 2"] = share_of_rarity(rarity)
    drawn, trained = rare_frequencies(controls)
    found["2 without classes, drawn / trained"] = drawn / trained
    return found


def share_of_rarity(values: Mapping[str, Any], digit: int = RARE) -> float:
    """Return how much of a rare digit's distance from the others is rarity, in logarithms of FID.

    The last FID of the rare digit over that of the common ones when none is rare is the product of
    rarity and hardness.
    """
    found = spread(values, digit)
    rarity = math.log(found["rarity"].mean)
    return rarity / (rarity + math.log(found["hardness"].mean))


def fraction_law(values: Mapping[str, Any], digit: int = RARE) -> PowerLaw:
    """Fit a power law to the last FID of a digit against the fraction of it that was left."""
    fractions = against_fraction(values, digit)
    means = [geometric_mean(fid).mean for fid in fractions.values()]
    return fit_power_law(list(fractions), means)


def frequencies(values: Mapping[str, Any], condition: Condition) -> dict[str, dict[int, float]]:
    """Return how often digits are seen in samples of a model without classes, and in real images.

    ``drawn``: at the last step, means over the seeds; ``real``: in real images in the shares of the
    training set.
    """
    runs = list(by_seed(values, condition.name).values())
    last = max((step for step in runs[0] if step != "floor"), key=int)
    found = {}
    for name, step in (("drawn", last), ("real", "floor")):
        points = [run[step]["frequency"] for run in runs]
        found[name] = {
            int(digit): sum(point[digit] for point in points) / len(points) for digit in points[0]
        }
    return found


def rare_frequencies(values: Mapping[str, Any], digit: int = RARE) -> tuple[float, float]:
    """Return the frequency of the rare digit in unlabelled samples and in real images."""
    found = frequencies(values, Condition(rare=digit, classes=False))
    return found["drawn"][digit], found["real"][digit]


def guidance(values: Mapping[str, Any], rare: int = RARE) -> dict[float, dict[str, float]]:
    """Return for each weight of guidance the quality, and mean precision and recall of all digits.

    The quality is in the numbers of :func:`gmmtf_book.c10_mnist_generation.curves.quality_numbers`.
    """
    weights = [key.removeprefix(GUIDED) for key in values if key.startswith(GUIDED)]
    return {
        float(weight): quality_with(values, f"{GUIDED}{weight}", rare)
        for weight in sorted(weights, key=float)
    }


def quality_with(values: Mapping[str, Any], key: str, rare: int = RARE) -> dict[str, float]:
    """Return the quality of the digits of one recorded way to draw them, and precision and recall.

    Parameters
    ----------
    key
        Of the recorded point, for instance ``"samplers/ancestral/1000"``.
    """
    run = curves(values, Condition(rare=rare).name)
    place = run.digits.index(rare)
    table = {
        entry: torch.tensor([values[key][entry][str(digit)] for digit in run.digits]).double()
        for entry in ENTRIES
    }
    ratio = table["fid"] / run.floor["fid"].mean(0)
    found = quality_numbers(table["recognised"], ratio, place)
    found["FID of the rare digit / real"] = float(ratio[place])
    return found | {name: float(table[name].mean()) for name in ("precision", "recall")}


def sampler_curves(
    values: Mapping[str, Any], rare: int = RARE
) -> dict[str, tuple[list[int], list[float]]]:
    """Return for each sampler its numbers of calls and the mean FID of the common digits."""
    found: dict[str, dict[int, float]] = {}
    for key, point in values.items():
        if key.startswith(PREFIX):
            name, _, calls = key.removeprefix(PREFIX).partition("/")
            common = [fid for digit, fid in point["fid"].items() if int(digit) != rare]
            found.setdefault(name, {})[int(calls)] = sum(common) / len(common)
    return {
        name: (sorted(points), [points[calls] for calls in sorted(points)])
        for name, points in found.items()
    }


def spread(values: Mapping[str, Any], digit: int) -> dict[str, Interval]:
    """Return rarity and hardness of a digit with their intervals over the seeds."""
    return {
        "rarity": geometric_mean(compare(values, digit).rarity),
        "hardness": geometric_mean(hardness(values, digit)),
    }
