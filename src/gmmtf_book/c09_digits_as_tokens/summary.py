"""Numbers of the study of real digits: what the theory predicts, and what it misses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gmmtf import Estimate
from gmmtf_book.c09_digits_as_tokens.plan import PLANS, Plan
from gmmtf_book.c09_digits_as_tokens.setting import LADDER
from gmmtf_book.study import Study as StudyOf

HALF = 0.5
"""A digit counts as half learned at this share of the gain that it has when all are common."""


def gain_shares(
    point: Mapping[str, Any], reference: Mapping[str, Any], class_: int
) -> tuple[list[float], list[float]]:
    """Share of a class's final gain in the reference run that a run has reached at each step.

    The shares of the class, and the mean shares of all other classes.
    """
    losses, full = np.array(point["by_class"]), np.array(reference["by_class"])
    shares = (losses[0] - losses) / (full[0] - full[-1])
    return shares[:, class_].tolist(), np.delete(shares, class_, axis=1).mean(1).tolist()


def first_step_at(steps: Sequence[int], shares: Sequence[float], level: float) -> float:
    """Step at which a curve first crosses a level, linearly interpolated; infinite if never."""
    for k in range(1, len(steps)):
        low, high = shares[k - 1], shares[k]
        if low < level <= high:
            return steps[k - 1] + (level - low) / (high - low) * (steps[k] - steps[k - 1])
    return math.inf


class Study(StudyOf[Plan]):
    """The points of chapter 9."""

    chapter, paper = "09_digits_as_tokens", PLANS["paper"]

    def predicted_gain(self, length: int = 1) -> float:
        """Gain that the theory predicts at the end of a run, or of one ``length`` times as long."""
        return float(self.record.value(kind="predicted", length=length)["gain"][-1])

    def curves(self, law: str) -> list[Any]:
        """Training curves on a law, one a seed."""
        return [point.value for point in self.record.select(kind="curve", law=law)]

    def gain_multiples(self) -> dict[str, Estimate]:
        """Gain of training on each law over the predicted gain."""
        scale = self.predicted_gain()
        return {
            law: Estimate.pooled(curve["gain"][-1] for curve in self.curves(law)) / scale
            for law in LADDER
        }

    def above(self, name: str) -> float:
        """Loss of a denoiser less that of the fitted mixture, mean over seeds."""
        points = self.record.select(kind="mean")
        return Estimate.mean(point.value[name]["above"] for point in points).value

    def losses(self, split: str) -> dict[str, list[float]]:
        """Losses of all denoisers at the noise levels, on test or on training tokens."""
        rows = self.record.value(kind="levels")[split]
        return {name: [row[name]["loss"].value for row in rows] for name in rows[0]}

    def shares(self, rare: int, seed: int) -> dict[str, list[float]]:
        """Shares of a digit's gain at each step: ``rare``, ``common`` and, beside it, ``others``.

        ``common``: of the same digit when all are equally likely; ``others``: the mean of the other
        digits in the run in which it is rare.
        """
        point = self.record.value(kind="rare", digit=rare, seed=seed)
        reference = self.record.value(kind="curve", law="real", seed=seed)
        own, others = gain_shares(point, reference, rare)
        common, _ = gain_shares(reference, reference, rare)
        return {"rare": own, "common": common, "others": others}

    def rare_times(self, rare: int) -> dict[str, list[float]]:
        """Steps to half of the gain as in :meth:`shares`, and the rare digit's final ``share``.

        One entry a seed.
        """
        seeds = self.record.frame(kind="rare", digit=rare)["seed"]
        runs = [self.shares(rare, seed) for seed in seeds]
        found = {
            name: [first_step_at(self.plan.records, shares[name], HALF) for shares in runs]
            for name in ("rare", "common", "others")
        }
        return found | {"share": [shares["rare"][-1] for shares in runs]}

    def numbers(self) -> dict[str, float]:
        """The numbers that are checked and quoted as claims, by name."""
        multiples = {name: multiple.value for name, multiple in self.gain_multiples().items()}
        found = {f"gain of {name} / predicted": value for name, value in multiples.items()}
        found |= {f"gain of {name} / real": v / multiples["real"] for name, v in multiples.items()}
        eventual = self.predicted_gain(10) / self.predicted_gain()
        found["gain of real / eventually predicted"] = multiples["real"] / eventual
        found |= {
            f"{n} above fitted mixture": self.above(n) for n in ("start", "head", "isotropic")
        }
        direction = self.record.value(kind="direction")
        found |= {f"first step, {name}": value for name, value in direction.items()}
        times = [self.rare_times(digit) for digit in self.plan.rare_digits]
        for name, words in (("common", "of a rare digit"), ("others", "behind the other digits")):
            found[f"least delay {words}"] = min(
                a / b for each in times for a, b in zip(each["rare"], each[name], strict=True)
            )
        shares = [share for each in times for share in each["share"]]
        found["least final share of a rare digit"] = min(shares)
        found["largest final share of a rare digit"] = max(shares)
        return found


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run that are checked and quoted as claims, by name."""
    found = Study.recorded().numbers()
    isotropic = found["isotropic above fitted mixture"]
    return found | {"head above / isotropic above": found["head above fitted mixture"] / isotropic}
