"""The numbers of chapter 10 that follow from its two recorded files, the long runs and the short.

The long runs train as long as a good generator takes, with one digit rare and with none. The short
ones ask, with the same network, what happens for other digits and fractions, and without classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gmmtf.scaling import PowerLaw, fit_power_law
from gmmtf.studies.generation import Condition
from gmmtf.studies.generation_curves import (
    Interval,
    against_fraction,
    by_seed,
    compare,
    final_quality,
    geometric_mean,
    hardness,
    summary,
)
from gmmtf.studies.generation_samplers import PREFIX

RARE = 2


def account(long: Mapping[str, Any], short: Mapping[str, Any]) -> dict[str, float]:
    """Return all numbers that the account of the claims quotes (F3, F5)."""
    found = summary(long) | final_quality(long, RARE)
    found |= {f"short: {name}": value for name, value in summary(short).items()}
    lags = [value for name, value in found.items() if name.startswith("short: lag")]
    found["short: least lag"] = min(lags)
    found["exponent of the fraction"] = fraction_law(short).exponent
    found["rarity's share of 2"] = share_of_rarity(long)
    drawn, trained = rare_frequencies(short)
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
