"""The numbers of chapter 10, for its prose and its checks: of its own run and of the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gmmtf.images.coverage import Neighbours
from gmmtf.images.features import DigitClassifier
from gmmtf.images.generation import TEMPERATURE
from gmmtf.images.transformer import DiT
from gmmtf.record import Recording
from gmmtf_book import RESULTS
from gmmtf_book.c10_mnist_generation import cost_tables, equal_cost, exposure, tables
from gmmtf_book.c10_mnist_generation.measure import Data, gelu_difference, measure, prepare
from gmmtf_book.c10_mnist_generation.plan import Condition, Labels, Plan
from gmmtf_book.c10_mnist_generation.run import records
from gmmtf_book.c10_mnist_generation.tables import RARE, Interval, by_digit, compare

Numbers = dict[str, Any]
ENDS = ("mean", "low", "high")
TEN_WAYS: dict[str, Labels] = {
    "guided": {"kind": "guidance"},
    "noise": {"sampler": "sde-dpm-solver++"},
    "karras": {"temperature": 1.0},
    "colder": {"temperature": TEMPERATURE},
}
"""Labels of the ways to draw with the network of all ten digits."""


def recorded() -> Numbers:
    """Return all numbers of the stored records."""
    generation, exposed, ten = records()
    cost = cost_tables.numbers(equal_cost.recording(), exposed)
    return account(generation, exposed, ten) | cost


def account(
    generation: Recording, exposed: Recording, ten: Recording, weight: float = 1.25
) -> Numbers:
    """Return all numbers of the records, guided with the recorded weight that is nearest."""
    drawn = _draws(generation, weight) | _short(exposed) | _ten(ten)
    return drawn | _lateness(exposed) | _causes(exposed)


def _draws(record: Recording, weight: float) -> Numbers:
    """Quality of the long run's digits, drawn in several ways."""
    long = tables.at_end(by_digit(record, kind="trained"))
    weights, floor = tables.guidance(record), by_digit(record, kind="floor")
    nearest = min(weights.index, key=lambda each: abs(each - weight))
    ways = {
        "long": tables.quality(long, floor),
        "ancestral": tables.quality(by_digit(record, sampler="ancestral"), floor),
        "guided": weights.loc[nearest],
        "plain": weights.loc[1.0],
    }
    found = {f"{way}-{k}": v for way, each in ways.items() for k, v in each.items()}
    samplers = tables.by_sampler(record)
    solver = samplers.loc["dpm-solver++"]
    for key, fid in (("dpm", solver["fid"]), ("ddim", samplers.loc["ddim"]["fid"])):
        found |= {f"{key}-best": fid.min(), f"{key}-enough": fid.index[fid <= 1.1 * fid.min()][0]}
    few, most = solver.iloc[0], solver.iloc[-1]
    return found | {
        "weight": nearest,
        "long-steps": long["step"].iloc[0],
        "long-n": record.settings["evaluation"]["n_generated"],
        "floor-common": floor.loc[floor["digit"] != RARE, "fid"].mean(),
        "ancestral": samplers.loc["ancestral"]["fid"].iloc[0],
        "few": few.name, "few-fid": few["fid"], "few-seen": 100 * few["recognised"],
        "many": most.name, "best-seen": 100 * most["recognised"],
    }  # fmt: skip


def _short(record: Recording) -> Numbers:
    """Quality of the short runs with a rare digit, see `tables.quality`, with intervals."""
    rows = tables.at_end(by_digit(record, kind="trained", condition=Condition().name))
    each = tables.quality_by_seed(rows, by_digit(record, kind="floor"))
    kinds = {"common": ("common-share", ".1%"), "rare": ("rare-share", ".1%"),
             "ratio": ("ratio", ".2f")}  # fmt: skip
    found: Numbers = {}
    for name, (column, form) in kinds.items():
        found |= _with_ends(f"short-{name}", tables.mean(each[column].to_numpy()), form)
    return found


def _with_ends(name: str, interval: Interval, form: str = ".2f") -> Numbers:
    """Return an interval as text, and its mean and ends as numbers."""
    ends = {f"{name}-{end}": getattr(interval, end) for end in ENDS}
    return {name: f"{interval:{form}}"} | ends


def _lateness(record: Recording) -> Numbers:
    """How much later each digit is when it is rare, and how much harder than the others.

    ``late``: see `tables.Comparison`. Each with the ends of its interval over the seeds. Names of
    other digits than the one that the prose follows end with the digit.
    """
    found: Numbers = {}
    for digit in sorted({c.rare for c in tables.conditions(record) if c.rare is not None}):
        pair = compare(record, digit)
        ending = "" if digit == RARE else f"-{digit}"
        late = {"late": tables.geometric_mean(pair.lags)}
        for name, interval in (tables.spread(record, digit) | late).items():
            found |= _with_ends(f"{name}{ending}", interval)
    sizes = {"steps": int(pair.steps[-1]), "seeds": len(pair.rare)}  # the same for all
    return found | sizes | {"exposed-n": record.settings["evaluation"]["n_generated"]}


def _causes(record: Recording) -> Numbers:
    """What makes "2" late, see `exposure.Effects`: as text, and the ends of the intervals."""
    found: Numbers = {}
    for entry in exposure.MEASURES:
        for name, interval in exposure.effects(record, entry)._asdict().items():
            found |= _with_ends(f"{entry}-{name}", interval, ".0%" if name == "share" else ".2f")
    return found | {
        "equal-number": str(exposure.at_equal_number(record)),
        "cost-others": str(exposure.cost_to_others(record)),
    }


def _ten(record: Recording) -> Numbers:
    """Quality of the digits of the network that knows all ten, drawn in several ways."""
    ends = tables.at_end(by_digit(record, kind="trained")).set_index("digit")
    floor = by_digit(record, kind="floor").set_index("digit")
    seen, ratio = ends["recognised"], ends["fid"] / floor["fid"]
    least = min(seen.index, key=seen.to_dict().__getitem__)
    other: Numbers = {}
    for name, labels in TEN_WAYS.items():
        drawn = by_digit(record, **labels).set_index("digit")
        seen_so = drawn["recognised"].mean()
        other |= {f"ten-{name}-seen": 100 * seen_so, f"ten-{name}-share": seen_so}
        other |= {f"ten-{name}-ratio": (drawn["fid"] / floor["fid"]).mean()}
    return other | {
        "ten-temperature": TEMPERATURE,
        "ten-weight": by_digit(record, kind="guidance")["weight"].iloc[0],
        "ten-seen": 100 * seen.mean(), "ten-least": 100 * seen.min(),
        "ten-least-digit": least, "ten-steps": ends["step"].iloc[0],
        "ten-ratio": ratio.mean(), "ten-ratio-most": ratio.max(), "ten-share": seen.mean(),
    }  # fmt: skip


def data(found: Data, condition: Condition) -> Numbers:
    """Return the sizes of the training set, and how many of its tokens are background (percent)."""
    images, n_tokens, dim = found.tokens.shape
    rare = int((found.classes == condition.digits.index(condition.rare or 0)).sum())
    return {
        "rare": condition.rare, "images": images, "tokens": n_tokens, "dim": dim,
        "rare-images": rare, "rare-percent": 100 * rare / images,
        "background": 100 * float((found.tokens == -1).all(-1).double().mean()),
        "pixel-square": float(found.tokens.double().square().mean()),
    }  # fmt: skip


def live(record: Recording, rare: int, start: float) -> Numbers:
    """Return losses and quality of the chapter's own run, which began at the loss ``start``.

    ``floor``: FID of as many real images, ``left``: last FID over the first.
    """
    points, rows = record.select(kind="trained"), by_digit(record, kind="trained")
    fid = rows.pivot(index="step", columns="digit", values="fid")
    floor = by_digit(record, kind="floor").set_index("digit")
    seen = tables.at_end(rows).set_index("digit")["recognised"]
    levels = {"first": fid.iloc[0], "last": fid.iloc[-1], "floor": floor["fid"]}
    found: Numbers = {f"fid-rare-{k}": v[rare] for k, v in levels.items()}
    found |= {f"fid-common-{k}": v.drop(rare).mean() for k, v in levels.items()}
    common, left = (found[f"fid-{k}-last"] / found[f"fid-{k}-first"] for k in ("common", "rare"))
    for name, point in (("first", points[0]), ("last", points[-1])):
        found |= {f"step-{name}": point.labels["step"], f"loss-{name}": point.value["loss"]}
    share = seen.drop(rare).mean()
    return found | {
        "loss-ratio": found["loss-last"] / start,
        "recognised-common": 100 * share, "recognised-common-share": share,
        "recognised-rare": 100 * seen[rare], "recognised-real": floor["recognised"].mean(),
        "n": record.settings["evaluation"]["n_generated"],
        "floor-rare": found["fid-rare-floor"] / found["fid-common-floor"],
        "left-common": 100 * common, "left-common-share": common, "left-rare": 100 * left,
        "slowness": left / common,
        "lag": (fid[rare] / fid.drop(columns=rare).mean(axis=1)).mean(),
    }  # fmt: skip


def network(model: DiT, start: float, formula: float, accuracy: float) -> Numbers:
    """Return what is known of the network before training, and of the classifier."""
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "start": start, "start-formula": formula, "start-ratio": start / formula,
        "accuracy": 100 * accuracy, "accuracy-share": accuracy,
    }  # fmt: skip


def again(record: Recording, live: Recording, model: DiT, classifier: DigitClassifier) -> Numbers:
    """Return how the record compares with now.

    ``floor-again``: FID of its real images, computed again, over the recorded one, and
    ``floor-growth``: that of as many as the live run has, means of the digits. ``gelu``: see
    `measure.gelu_difference` (percent).
    """
    plan = Plan.from_settings(record.settings)
    condition = Condition(plan.digits)
    real = prepare(condition, plan.network.patch, 0)
    n = plan.evaluation.n_generated
    floor = measure(condition, real, plan.evaluation, 0, classifier, None, n)["fid"].values()
    then, here = (by_digit(each, kind="floor")["fid"].mean() for each in (record, live))
    return {
        "floor-again": float(sum(floor) / len(floor) / then),
        "floor-growth": float(here / then),
        "gelu": 100 * gelu_difference(model),
    }


def copies(near: Mapping[int, Neighbours], far: Mapping[int, Neighbours]) -> Numbers:
    """Compare distances from the nearest training image, of generated and of test images.

    ``gap``: median over median; ``copies``: largest share of a digit's images that are nearer than
    every test image (percent).
    """
    pairs = {digit: (near[digit].distances, far[digit].distances) for digit in near}
    gaps = {digit: float(x.median() / y.median()) for digit, (x, y) in pairs.items()}
    nearer = [float((x < y.min()).double().mean()) for x, y in pairs.values()]
    return {"gap-least": min(gaps.values()), "gap-rare": gaps[RARE], "copies": 100 * max(nearer)}


def speed() -> Numbers:
    """Return the recorded speed of the network: times faster than diffusers', and share of peak."""
    record = Recording(RESULTS / "image_benchmarks.json")
    step, compiled, peak = (
        record.value(benchmark=f"image_transformer_{name}")
        for name in ("speedup", "compiled_speedup", "peak_share")
    )
    ends = {"bench": "median", "bench-least": "minimum", "bench-most": "maximum"}
    found = {name: step[end] for name, end in ends.items()}
    return found | {"bench-compiled": compiled["median"], "peak": 100 * peak["median"]}
