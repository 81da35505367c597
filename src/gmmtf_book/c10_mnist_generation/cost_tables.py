"""What the record of `equal_cost` says: quality at equal cost, a row a change, and its numbers."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import pandas as pd

from gmmtf.images.sampler import SPREAD
from gmmtf.record import Recording
from gmmtf_book.c10_mnist_generation import tables
from gmmtf_book.c10_mnist_generation.equal_cost import (
    BASE,
    BEST,
    BOTH,
    COLDER,
    COLDEST,
    DRAWS,
    KARRAS,
    LONG,
    LONG_RUNS,
    MIXED,
    MIXED_LONG,
    NOISE,
    RECIPES,
    SHIPPED,
    draws_of,
)  # fmt: skip
from gmmtf_book.c10_mnist_generation.plan import Condition
from gmmtf_book.c10_mnist_generation.tables import RARE, Interval, by_digit

LONG_DRAWS = {
    KARRAS: "the flow",
    BOTH: "with noise",
    COLDER: "the flow, colder",
    COLDEST: "the flow, colder still",
}
"""Of the long runs, all at Karras' times, which are better for them."""
LONG_KEYS = {"karras": KARRAS, "both": BOTH, "colder": COLDER, "coldest": COLDEST}
"""Parts of the names of their numbers."""
RARE_CHANGE, RARE_RATIO = f'"{RARE}": FID, times', f'"{RARE}": FID/real'


class Quality(NamedTuple):
    """How good the digits of a network are, drawn in one way, with 95 % intervals over its seeds.

    Recognised shares of the common digits and of the rare one; FIDs over those of as many real
    images, in the mean of the common digits and of the rare one.
    """

    common: Interval
    rare: Interval
    ratio: Interval
    ratio_rare: Interval


def each_seed(record: Recording, floor: Recording, training: str, draw: str) -> pd.DataFrame:
    """Return `tables.quality` of a network and a way to draw, a row a seed.

    ``floor`` has the FIDs of real images.
    """
    rows = by_digit(record, training=training, draw=draw)
    return tables.quality_by_seed(rows, by_digit(floor, kind="floor"))


def quality(record: Recording, floor: Recording, training: str, draw: str = BASE) -> Quality:
    """Return the means over the seeds, with their intervals."""
    found = each_seed(record, floor, training, draw)
    shares = [tables.mean(found[name].to_numpy()) for name in ("common-share", "rare-share")]
    ratios = [tables.geometric_mean(found[name].to_numpy()) for name in ("ratio", "ratio-rare")]
    return Quality(*shares, *ratios)


def changes(record: Recording, floor: Recording, new: tuple[str, str]) -> tuple[Interval, Interval]:
    """Return by what the FIDs of common digits and of the rare one are multiplied, seed by seed.

    ``new`` has the names of a training and of a way to draw; the others are as before.

    Raises
    ------
    ValueError
        If the two were not recorded with the same seeds.
    """
    after, before = (each_seed(record, floor, *names) for names in (new, (BASE, BASE)))
    if not after.index.equals(before.index):
        raise ValueError(f"record: expected the same seeds of {new} and as before")
    ratios = after / before
    common, rare = (ratios[name].to_numpy() for name in ("ratio", "ratio-rare"))
    return tables.geometric_mean(common), tables.geometric_mean(rare)


def of_trainings(record: Recording, floor: Recording) -> pd.DataFrame:
    """Return the networks of equal cost, all drawn from as before, as text: a row a change."""
    names = [name for name in RECIPES if name not in LONG_RUNS]
    found = {}
    for name in names:
        time = record.value(training=name, kind="step")["median"]
        steps, before = (RECIPES[each].plan.training.steps for each in (name, BASE))
        found[name] = {"steps": str(steps), "time": f"{time * steps / before:.2f}"}
        found[name] |= _row(record, floor, (name, BASE))
    return pd.DataFrame(found).T


def of_draws(record: Recording, floor: Recording) -> pd.DataFrame:
    """Return the ways to draw from the networks as before, as text: a row a way."""
    found = {draw: _row(record, floor, (BASE, draw)) for draw in draws_of(BASE)}
    return pd.DataFrame(found).T


def of_long_runs(record: Recording, floor: Recording) -> pd.DataFrame:
    """Return the long runs as text, a row a run and a way to draw; the numbers of each seed."""
    found = {}
    for name, (draw, how) in product(LONG_RUNS, LONG_DRAWS.items()):
        if draw not in draws_of(name):
            continue
        recipe = RECIPES.get(name, RECIPES[BASE])  # the project's network was trained as before
        found[name, how] = {
            '"2" drawn': f"{Condition.named(recipe.condition).weight:g}",
            **long_run(each_seed(record, floor, name, draw)),
        }
    return pd.DataFrame(found).T


def long_run(rows: pd.DataFrame) -> dict[str, str]:
    """Return the quality of a long run as text, from a row a seed: the numbers of each."""
    entries = (
        ("common", "common", "%", ".1f"), ("rare", "rare", "%", ".1f"),
        ("FID/real", "ratio", "", ".2f"), (RARE_RATIO, "ratio-rare", "", ".2f"),
    )  # fmt: skip
    return {
        head: ", ".join(format(value, form) for value in rows[entry]) + (unit and f" {unit}")
        for head, entry, unit, form in entries
    }


def _row(record: Recording, floor: Recording, new: tuple[str, str]) -> dict[str, str]:
    """Return the quality of a row, and what it does to the FIDs of the first."""
    found = quality(record, floor, *new)
    row = {
        "common": f"{100 * found.common.mean:.1f} %", "rare": f"{100 * found.rare.mean:.1f} %",
        "FID/real": f"{found.ratio.mean:.2f}",
    }  # fmt: skip
    if new == (BASE, BASE):
        return row | {"FID, times": "1", RARE_CHANGE: "1"}
    common, rare = changes(record, floor, new)
    return row | {"FID, times": str(common), RARE_CHANGE: str(rare)}


def numbers(record: Recording, floor: Recording) -> dict[str, Any]:
    """Return what the prose and the checks say of equal cost.

    Of the long run, and of the network of the project, which was trained as before, drawn with
    noise at Karras' times.
    """
    base = quality(record, floor, BASE)
    found: dict[str, Any] = {
        "cost-seeds": len(each_seed(record, floor, BASE, BASE)),
        "cost-temperature": DRAWS[COLDER]["temperature"], "cost-spread": SPREAD,
        "cost-coldest": DRAWS[COLDEST]["temperature"],
        "cost-base-common": f"{base.common:.1%}", "cost-base-rare": f"{base.rare:.1%}",
    }  # fmt: skip
    for key, training, draw in (
        ("oftener", BEST, BASE), ("mixed", MIXED, BASE), ("noise", BASE, NOISE),
        ("colder", BASE, COLDER), ("mixed-both", MIXED, BOTH),
    ):  # fmt: skip
        each = quality(record, floor, training, draw)
        found |= {
            f"cost-{key}-common": f"{each.common:.1%}",
            f"cost-{key}-rare": f"{each.rare:.1%}",
        }
        change = changes(record, floor, (training, draw))
        for name, interval in zip(("change", "change-rare"), change, strict=True):
            found[f"cost-{key}-{name}"] = str(interval)
            found[f"cost-{key}-{name}-high"] = interval.high
    run = each_seed(record, floor, LONG, BOTH).iloc[0]
    entries = ("common", "rare", "ratio", "ratio-rare", "common-share", "rare-share")
    found |= {f"cost-long-{name}": run[name] for name in entries}
    for key, draw in {"before": BASE, **LONG_KEYS}.items():
        run = each_seed(record, floor, SHIPPED, draw).iloc[0]
        found |= {f"cost-shipped-{key}-{name}": run[name] for name in entries}
    return found | _mixed_long(record, floor)


def _mixed_long(record: Recording, floor: Recording) -> dict[str, Any]:
    """Return the quality of the long runs that mix neighbours: as text, and its worst."""
    found: dict[str, Any] = {}
    names = ("common", "rare", "ratio", "ratio-rare")
    for key, draw in LONG_KEYS.items():
        rows = each_seed(record, floor, MIXED_LONG, draw)
        found |= {"cost-mixed-long-seeds": len(rows)}  # of every way to draw
        found |= {
            f"cost-mixed-long-{key}-{name}": " and ".join(text.rsplit(", ", 1))
            for name, text in zip(names, long_run(rows).values(), strict=True)
        }
        found |= {
            f"cost-mixed-long-{key}-ratio-most": float(rows["ratio"].max()),
            f"cost-mixed-long-{key}-common-share-least": float(rows["common-share"].min()),
            f"cost-mixed-long-{key}-rare-share-least": float(rows["rare-share"].min()),
        }
    return found
