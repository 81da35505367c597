"""Numbers of the study of real digits: what the theory predicts, and what it misses (chapter 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from gmmtf_book.c09_digits_as_tokens.setting import LADDER

HALF = 0.5
"""A digit counts as half learned at this share of the gain that it has when all are common."""


def gain_shares(
    point: Mapping[str, Any], reference: Mapping[str, Any], class_: int
) -> tuple[list[float], list[float]]:
    """Share of a class's final gain in the reference run that a run has reached at each step.

    Returns
    -------
    tuple
        The shares of the class, and the mean shares of all other classes.
    """
    start, end = reference["by_class"][0], reference["by_class"][-1]
    full = [a - b for a, b in zip(start, end, strict=True)]
    first = point["by_class"][0]
    shares = [
        [(a - b) / f for a, b, f in zip(first, now, full, strict=True)] for now in point["by_class"]
    ]
    others = [mean(s for u, s in enumerate(row) if u != class_) for row in shares]
    return [row[class_] for row in shares], others


def first_step_at(steps: Sequence[int], shares: Sequence[float], level: float) -> float:
    """Step at which a curve first crosses a level, linearly interpolated; infinite if never."""
    for k in range(1, len(steps)):
        low, high = shares[k - 1], shares[k]
        if low < level <= high:
            return steps[k - 1] + (level - low) / (high - low) * (steps[k] - steps[k - 1])
    return math.inf


def rare_times(values: Mapping[str, Any], digits: Sequence[int], rare: int) -> dict[str, list[Any]]:
    """Steps to half of the gain and final shares for a rare digit, one entry a seed.

    ``rare``: the digit when it is rare; ``common``: the same digit when all are equally likely;
    ``others``: the mean of the other digits in the run in which it is rare; ``share``: its final
    share of the gain.
    """
    class_ = list(digits).index(rare)
    found: dict[str, list[Any]] = {"rare": [], "common": [], "others": [], "share": []}
    for seed in seeds_of(values, f"rare/{rare}"):
        point, reference = values[f"rare/{rare}/{seed}"], values[f"real/{seed}"]
        own, others = gain_shares(point, reference, class_)
        common, _ = gain_shares(reference, reference, class_)
        steps = point["steps"]
        for name, shares in (("rare", own), ("common", common), ("others", others)):
            found[name].append(first_step_at(steps, shares, HALF))
        found["share"].append(own[-1])
    return found


def seeds_of(values: Mapping[str, Any], prefix: str) -> list[int]:
    """Seeds of the recorded points ``prefix/seed``."""
    return sorted(int(k.rpartition("/")[2]) for k in values if k.rpartition("/")[0] == prefix)


def over_seeds(
    values: Mapping[str, Any], prefix: str, number: Callable[..., float]
) -> tuple[float, float]:
    """Mean of a number of the points ``prefix/seed``, and its standard error (0 for one seed)."""
    found = [number(values[f"{prefix}/{seed}"]) for seed in seeds_of(values, prefix)]
    if not found:
        raise ValueError(f"prefix: no point {prefix}/…; there are {sorted(values)}")
    return mean(found), stdev(found) / math.sqrt(len(found)) if len(found) > 1 else 0.0


def gain_multiples(values: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Gain of training on each law over the predicted gain, and its standard error.

    The error is the larger of that within the runs and that between seeds.
    """
    scale = values["predicted"]["gain"][-1]
    found = {}
    for name in LADDER:
        gain, between = over_seeds(values, name, final_gain)
        within, _ = over_seeds(values, name, lambda point: float(point["gain"][-1][1]))
        error = max(between, within / math.sqrt(len(seeds_of(values, name))))
        found[name] = (gain / scale, error / scale)
    return found


def final_gain(point: Mapping[str, Any]) -> float:
    """Gain at the last step of a curve."""
    return float(point["gain"][-1][0])


def summary(values: Mapping[str, Any], digits: Sequence[int]) -> dict[str, float]:
    """Return the numbers that the account of the claims quotes."""
    multiples = {name: value for name, (value, _) in gain_multiples(values).items()}
    found = {f"gain of {name} / predicted": value for name, value in multiples.items()}
    found |= {
        f"gain of {name} / real": value / multiples["real"] for name, value in multiples.items()
    }
    eventual = values["predicted long"]["gain"][-1] / values["predicted"]["gain"][-1]
    found["gain of real / eventually predicted"] = multiples["real"] / eventual
    for name in ("start", "head", "isotropic"):
        above, _ = over_seeds(values, "mean", lambda point, of=name: float(point[of]["above"][0]))
        found[f"{name} above fitted mixture"] = above
    found |= {f"first step, {name}": value for name, value in values["direction"].items()}
    rare = sorted({int(key.split("/")[1]) for key in values if key.startswith("rare/")})
    times = [rare_times(values, digits, digit) for digit in rare]
    for name, words in (("common", "of a rare digit"), ("others", "behind the other digits")):
        found[f"least delay {words}"] = min(
            a / b for each in times for a, b in zip(each["rare"], each[name], strict=True)
        )
    shares = [share for each in times for share in each["share"]]
    found["least final share of a rare digit"] = min(shares)
    found["largest final share of a rare digit"] = max(shares)
    return found
