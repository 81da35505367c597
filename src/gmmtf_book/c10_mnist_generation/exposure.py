"""Chapter 10: what makes a digit late, that it has few images or that it is seldom seen.

Four conditions cross the two: all images of "2" or a tenth of them, and as many of them in a batch
as of the other digits or a tenth as many. Effects are factors, differences of logarithms, paired
by the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gmmtf.record import Recording
from gmmtf_book.c10_mnist_generation.measure import prepare, share_seen
from gmmtf_book.c10_mnist_generation.plan import EXPOSURE, Condition
from gmmtf_book.c10_mnist_generation.tables import (
    RARE,
    Array,
    Interval,
    at_end,
    by_digit,
    fid_curves,
    geometric_mean,
    mean,
)  # fmt: skip

MEASURES = {"fid": "FID", "kid": "KID", "pixel_kid": "KID of pixels"}
"""Entries of points in which the effects are told, and their names."""


class Effects(NamedTuple):
    """Factors on a distance of "2", with 95 % intervals over the seeds.

    ``seldom``: of being seen a tenth as often; ``few``: of a tenth of the images; ``both``: of the
    two together; ``joint``: how much more they are together than one times the other. ``share``:
    which part of the logarithm of ``both`` is due to being seldom seen, where what is joint is
    divided equally.
    """

    seldom: Interval
    few: Interval
    both: Interval
    joint: Interval
    share: Interval


def curves(record: Recording, entry: str = "fid") -> pd.DataFrame:
    """Return a distance of "2" during training: a row for each condition, seed and step.

    Columns ``images``, ``seen`` (the two words of `plan.EXPOSURE`), ``seed``, ``step``, ``shown``
    (images of "2" seen until then) and ``value``.
    """
    plan, parts = record.settings, []
    for (images, seen), name in EXPOSURE.items():
        rows = by_digit(record, kind="trained", condition=name)
        rows = rows[rows["digit"] == RARE]
        condition = Condition.named(name, tuple(plan["digits"]))
        data = prepare(condition, plan["network"]["patch"], seed=0)
        share = share_seen(data, condition.digits.index(RARE))
        shown = rows["step"] * plan["training"]["batch_size"] * share
        parts.append(
            pd.DataFrame(
                {"images": images, "seen": seen, "seed": rows["seed"], "step": rows["step"],
                 "shown": shown, "value": rows[entry]}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def floor(record: Recording) -> float:
    """Return the FID of real images of "2", as many as a FID is computed of."""
    rows = by_digit(record, kind="floor")
    return float(rows.loc[rows["digit"] == RARE, "fid"].mean())


def effects(record: Recording, entry: str = "fid") -> Effects:
    """Return what makes "2" late, from its distance at the end of the runs.

    Raises ``ValueError`` if the conditions were not recorded with the same seeds, or a distance is
    not positive.
    """
    logs = _logs(record, entry)
    seldom = {images: logs[images, "seldom"] - logs[images, "often"] for images in ("all", "few")}
    few = {seen: logs["few", seen] - logs["all", seen] for seen in ("often", "seldom")}
    by_seeing = (seldom["all"] + seldom["few"]) / 2
    by_number = (few["often"] + few["seldom"]) / 2
    both = by_seeing + by_number
    return Effects(
        geometric_mean(np.exp(by_seeing)), geometric_mean(np.exp(by_number)),
        geometric_mean(np.exp(both)), geometric_mean(np.exp(seldom["few"] - seldom["all"])),
        mean(by_seeing / both),
    )  # fmt: skip


def at_equal_number(record: Recording) -> Interval:
    """Return the FID of a "2" that is seen often, over that of one seen seldom, at equal images.

    Of the first at its first record, of the second at its last one: with all images, after about as
    many images of "2" shown, between which the second network has seen many more of other digits.
    """
    often, seldom = (
        fid_curves(record, Condition.named(EXPOSURE["all", seen]))[RARE].iloc[place]
        for seen, place in (("often", 0), ("seldom", -1))
    )
    return geometric_mean((often / seldom).to_numpy())


def cost_to_others(record: Recording) -> Interval:
    """Return the other digits' last FID when a "2" of few images is seen often, over seldom."""
    logs = []
    for seen in ("often", "seldom"):
        rows = at_end(by_digit(record, kind="trained", condition=EXPOSURE["few", seen]))
        others = rows[rows["digit"] != RARE].pivot(index="seed", columns="digit", values="fid")
        logs.append(np.log(others).mean(axis=1).to_numpy())
    return geometric_mean(np.exp(logs[0] - logs[1]))


def _logs(record: Recording, entry: str) -> Mapping[tuple[str, str], Array]:
    """Return the logarithm of the last distance of "2" for each condition ``[seeds]``."""
    found: dict[tuple[str, str], Any] = {}
    for key, name in EXPOSURE.items():
        rows = at_end(by_digit(record, kind="trained", condition=name))
        found[key] = rows[rows["digit"] == RARE].set_index("seed")[entry].sort_index()
    first = next(iter(found.values()))
    if any(not each.index.equals(first.index) for each in found.values()):
        raise ValueError("record: expected the same seeds under all conditions of exposure")
    if any((each <= 0).any() for each in found.values()):
        raise ValueError(f"record: expected positive values of {entry!r}")
    return {key: np.log(each.to_numpy()) for key, each in found.items()}


def table(record: Recording) -> pd.DataFrame:
    """Return the effects in every measure, as text: a row an effect."""
    rows = {
        "seldom": "seen a tenth as often", "few": "a tenth of the images", "both": "both",
        "joint": "together over one times the other",
    }  # fmt: skip
    found = {label: effects(record, entry) for entry, label in MEASURES.items()}
    cells = {
        label: {text: str(getattr(each, name)) for name, text in rows.items()}
        | {"share of being seldom seen": f"{each.share:.0%}"}
        for label, each in found.items()
    }
    return pd.DataFrame(cells)
