"""What recorded points say of chapter 10's digits, as tables: curves, rarity against hardness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from gmmtf.record import Recording
from gmmtf_book.c10_mnist_generation.plan import Condition

Array = NDArray[Any]
ENTRIES = ("fid", "recognised", "precision", "recall")
ALSO = ("fid_error", "kid", "kid_error", "pixel_kid", "pixel_kid_error")
"""What there is of many images only."""
RARE = 2
"""The digit that is rare in the recorded runs that the prose follows."""
BALANCED = Condition(rare=None)


def by_digit(record: Recording, **labels: Any) -> pd.DataFrame:
    """Return quality digit by digit: a row for each point and digit, with the point's labels.

    Raises ``ValueError`` if there are no such points.
    """
    rows = [
        {
            **point.labels, "digit": int(digit), **{e: point.value[e][digit] for e in ENTRIES},
            **{e: point.value[e][digit] for e in ALSO if e in point.value},
        }
        for point in record.select(**labels)
        for digit in point.value["fid"]
    ]  # fmt: skip
    if not rows:
        raise ValueError(f"labels: no recorded points of {labels}")
    return pd.DataFrame(rows)


def at_end(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the last step."""
    return pd.DataFrame(rows[rows["step"] == rows["step"].max()])


def fid_curves(record: Recording, condition: Condition) -> pd.DataFrame:
    """Return FID by step, with a column for each digit and seed.

    Raises ``ValueError`` if there are no such points, or the seeds have different steps.
    """
    rows = by_digit(record, kind="trained", condition=condition.name)
    found = rows.pivot(index="step", columns=["digit", "seed"], values="fid")
    if found.isna().any(axis=None):
        raise ValueError(f"condition: seeds of {condition.name!r} recorded at different steps")
    return pd.DataFrame(found).sort_index(axis=1)  # seeds are paired by their place


def first_below(steps: Array, curve: Array, level: float) -> float:
    """Step at which a curve of FID falls below a level, interpolated; inf if never."""
    below = np.flatnonzero(curve <= level)
    if not below.size:
        return math.inf
    k = max(int(below[0]), 1)
    return float(np.interp(level, curve[[k, k - 1]], steps[[k, k - 1]]))


@dataclass(frozen=True)
class Comparison:
    """One digit when it is rare and when no digit is, FID ``[seeds, steps]``, and of real ones."""

    steps: Array
    rare: Array
    common: Array
    floor: float

    @property
    def rarity(self) -> Array:
        """Last FID when rare over that when common ``[seeds]``."""
        ratio: Array = self.rare[:, -1] / self.common[:, -1]
        return ratio

    @property
    def lags(self) -> Array:
        """Last step over the one at which the digit, when common, had the last FID ``[seeds]``."""
        pairs = zip(self.rare, self.common, strict=True)
        reached = [first_below(self.steps, y, x[-1]) for x, y in pairs]
        return int(self.steps[-1]) / np.array(reached)

    @property
    def delays(self) -> Array:
        """Step at which the rare digit reaches each recorded FID of the common one, over its step.

        ``[seeds, steps]``; infinite where the run ended before.
        """
        pairs = zip(self.rare, self.common, strict=True)
        found = [[first_below(self.steps, x, level) for level in y] for x, y in pairs]
        return np.array(found) / self.steps


def compare(record: Recording, digit: int) -> Comparison:
    """Pair the recorded runs in which a digit is rare with those in which none is.

    Raises ``ValueError`` as :func:`fid_curves`, or if the two have other steps or seeds.
    """
    condition = Condition(rare=digit)
    rare, common = (fid_curves(record, each)[[digit]] for each in (condition, BALANCED))
    if not (rare.index.equals(common.index) and rare.columns.equals(common.columns)):
        raise ValueError(f"digit: the runs with {digit} rare and with none rare do not match")
    floor = by_digit(record, kind="floor", condition=condition.name)
    real = float(floor.loc[floor["digit"] == digit, "fid"].mean())
    return Comparison(rare.index.to_numpy(), rare.to_numpy().T, common.to_numpy().T, real)


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval, from the scatter between seeds."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self:.2f}"

    def __format__(self, form: str) -> str:
        return f"{self.mean:{form}} [{self.low:{form}}, {self.high:{form}}]"


def mean(values: Array) -> Interval:
    """Return the mean of numbers ``[seeds]`` with Student's interval."""
    n = len(values)
    margin = stats.t.ppf(0.975, n - 1) * stats.sem(values) if n > 1 else math.inf
    return Interval(*(float(values.mean() + x) for x in (0, -margin, margin)))


def geometric_mean(ratios: Array) -> Interval:
    """Return the geometric mean of positive numbers ``[seeds]`` with Student's interval."""
    return Interval(*(float(np.exp(end)) for end in mean(np.log(ratios))))


def spread(record: Recording, digit: int) -> dict[str, Interval]:
    """Return rarity and hardness of a digit with their intervals over the seeds.

    Hardness is its last FID over the others' geometric mean when none is rare.
    """
    ends = fid_curves(record, BALANCED).iloc[-1].unstack("seed")
    hardness = ends.loc[digit].to_numpy() / stats.gmean(ends.drop(digit))
    rarity = geometric_mean(compare(record, digit).rarity)
    return {"rarity": rarity, "hardness": geometric_mean(hardness)}


def conditions(record: Recording) -> list[Condition]:
    """Return the conditions that were recorded."""
    names = {str(point.labels["condition"]) for point in record.select(kind="trained")}
    return [Condition.named(name) for name in sorted(names)]


def by_sampler(record: Recording) -> pd.DataFrame:
    """Return FID and recognised share, means of the common digits, by sampler and calls."""
    rows = by_digit(record, kind="sampler")
    common = rows.loc[rows["digit"] != RARE].groupby(["sampler", "n_calls"], sort=False)
    return common[["fid", "recognised"]].mean()


def quality(rows: pd.DataFrame, floor: pd.DataFrame) -> dict[str, float]:
    """Return how good digits are: recognised shares, FIDs over those of real images, coverage.

    From tables of :func:`by_digit`, of generated and of real images; means over their seeds.
    """
    digits = rows.groupby("digit")[list(ENTRIES)].mean()
    ratio = digits["fid"] / floor.groupby("digit")["fid"].mean()
    seen, common = digits["recognised"], ratio.drop(RARE)
    found = {"common": seen.drop(RARE).mean(), "least": seen.drop(RARE).min(), "rare": seen[RARE]}
    found |= {f"{name}-share": share for name, share in found.items()}
    found |= {name: 100 * found[name] for name in ("common", "least", "rare")}
    found |= {"ratio": common.mean(), "ratio-most": common.max(), "ratio-rare": ratio[RARE]}
    found |= {name: digits[name].mean() for name in ("precision", "recall")}
    return {name: float(value) for name, value in found.items()}


def quality_by_seed(rows: pd.DataFrame, floor: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of :func:`quality` for each seed, a row a seed."""
    by_seed = rows.groupby("seed")
    return pd.DataFrame({seed: quality(of_seed, floor) for seed, of_seed in by_seed}).T


def guidance(record: Recording) -> pd.DataFrame:
    """Return the numbers of :func:`quality` for each weight of guidance, a row a weight."""
    floor = by_digit(record, kind="floor")
    rows = by_digit(record, kind="guidance").groupby("weight")
    return pd.DataFrame({weight: quality(each, floor) for weight, each in rows}).T


def end_of_run(record: Recording, *entries: str) -> pd.DataFrame:
    """Return the quality of each digit at the end of a run, beside that of real images."""
    ends = at_end(by_digit(record, kind="trained")).set_index("digit")
    floor = by_digit(record, kind="floor").set_index("digit")
    columns: dict[str, Any] = {}
    for entry in entries:
        name = entry.replace("fid", "FID")
        columns |= {name: ends[entry], f"{name}, real": floor[entry]}
    return pd.DataFrame(columns).round(3)
