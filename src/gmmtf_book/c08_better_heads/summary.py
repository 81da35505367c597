"""The numbers of chapter 8: excess risks over the plain head's, and what the prose quotes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from gmmtf import Estimate
from gmmtf.denoisers.deeper import WEIGHT_UNIT
from gmmtf.laws.level import noise_level
from gmmtf_book.c08_better_heads import tilt
from gmmtf_book.c08_better_heads.best_head import KINDS, clean_context_excess
from gmmtf_book.c08_better_heads.heads import DEEPER, RETUNED
from gmmtf_book.c08_better_heads.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.study import Study as StudyOf

Numbers = dict[str, object]

LAST = 10**12  # most tokens of the floor's curves
SHOWN = ("plain", "tilt", "value")  # heads that are compared at each noise level


@dataclass(frozen=True)
class Reduction:
    """Excess risk over the plain head's: over seeds on common data, and predicted."""

    measured: Estimate
    predicted: float | None


class Study(StudyOf[Plan]):
    """The points of chapter 8."""

    chapter, paper = "08_better_heads", PLANS["paper"]

    def best(self, name: str) -> Any:
        """Return the predicted best head of a kind."""
        return self.record.value(kind="predicted", head=name)

    def trained(self) -> pd.DataFrame:
        """Excess risk after training, a row a seed and a column a kind."""
        frame = self.record.frame(kind="trained").astype({"excess": float})
        wide = frame.pivot(index="seed", columns="head", values="excess")
        return wide[[name for name in (*KINDS, *DEEPER) if name in wide]]

    def reductions(self) -> dict[str, Reduction]:
        """Excess risk of each kind over the plain head's."""
        found, wide = {}, self.trained()
        for name, ratios in wide.div(wide["plain"], axis=0).items():
            measured = Estimate.pooled(map(Estimate, ratios))
            predicted = None
            if name in KINDS:
                predicted = float(self.best(str(name))["excess"] / self.best("plain")["excess"])
            found[str(name)] = Reduction(measured, predicted)
        return found

    def worst(self) -> tuple[float, float]:
        """Largest |trained/predicted - 1| of the reductions, and of the excess risks."""
        found = self.reductions().values()
        reductions = [r.measured.relative_to(r.predicted) for r in found if r.predicted is not None]
        means = self.trained().mean()
        excess = [abs(means[n] / self.best(n)["excess"].value - 1) for n in KINDS if n in means]
        return max(reductions), max(excess)

    def levels(self) -> pd.DataFrame:
        """Excess risk at each noise level, a column a kind and method.

        ``predicted``: with one set of numbers for all times; ``trained``: the same, one seed;
        ``retuned``: predicted, with numbers of their own at each time.
        """
        columns = {("predicted", name): self.best(name)["levels"] for name in SHOWN}
        for name in SHOWN:
            run = self.record.value(kind="trained", head=name, seed=0)
            columns["trained", name] = run["levels"]
        for name in RETUNED:
            points = self.record.frame(kind="retuned", head=name)
            columns["retuned", name] = points["excess"].map(float).tolist()
        return pd.DataFrame(columns, index=pd.Index(self.plan.level_times, name="t"))

    def retuned(self) -> dict[str, float]:
        """Predicted excess with other numbers at every time over that with one set."""
        sums: Any = self.levels().drop(columns="trained", level=0).sum()
        return {name: float(sums["retuned", name] / sums["predicted", name]) for name in RETUNED}

    def floor(self) -> pd.DataFrame:
        """Exact excess risks, a row a number of tokens and a column a curve."""
        frame = self.record.frame(kind="floor")
        return frame.pivot(index="N", columns="curve", values="excess")

    def products(self, name: str, part: str) -> float:
        """βr² of a trained part: product of a pattern with itself less that with another."""
        size = self.plan.n_patterns
        found = []
        for point in self.record.select(kind="trained", head=name):
            weight = np.reshape(point.value["numbers"][f"{part}weight.original0"], (size, size))
            other = (weight.sum() - np.trace(weight)) / (size * (size - 1))
            found.append(WEIGHT_UNIT * (np.trace(weight) / size - other))
        return float(np.mean(found))

    def shares(self, part: str) -> float:
        """Share of a part of the two heads in the value, over seeds."""
        points = self.record.select(kind="trained", head="two heads")
        return float(np.mean([p.value["numbers"][f"{part}value.original"][0] for p in points]))


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run that are checked and quoted as claims, by name."""
    study = Study.recorded()
    found = {f"reduction/{name}": r.measured.value for name, r in study.reductions().items()}
    found["worst reduction"], found["worst excess"] = study.worst()
    found |= {f"retuned/{name}": value for name, value in study.retuned().items()}
    floor: Any = study.floor().map(float)
    return found | {
        "two heads over value": found["reduction/two heads"] / found["reduction/value"],
        "floor ratio": floor.loc[LAST, "best corrected"] / floor.loc[LAST, "best plain"],
        "floor limit": floor.loc[10**6, "limit"],
    }


def live(study: Study, simulated: pd.DataFrame) -> dict[str, float]:
    """Return the numbers that a run computed; ``simulated`` as :func:`simulated_floor` gives."""
    predicted = {name: r.predicted for name, r in study.reductions().items()}
    return {
        "live worst reduction": study.worst()[0],
        **{f"live predicted {name}": p for name, p in predicted.items() if p is not None},
        "live floor deviation": floor_deviation(simulated),
        "live log-variance": log_variance(),
        "live strength": tilt.bayes_strength(),
    }


def simulated_floor(plan: Plan) -> pd.DataFrame:
    """Simulate points of the floor's curves of a fixed weight, beside the recorded integral."""
    exact: Any = Study.recorded().floor()
    rows = [
        (curve, n, tilt.simulated(strength, n, corrected, plan.floor_samples), exact.loc[n, curve])
        for curve, (strength, corrected) in tilt.CURVES.items()
        for n in plan.floor_simulated
    ]
    return pd.DataFrame(rows, columns=["curve", "N", "simulated", "exact"])


def floor_deviation(simulated: pd.DataFrame) -> float:
    """Largest distance of simulation from integral, in standard errors."""
    return max(map(Estimate.errors_from, simulated["simulated"], simulated["exact"]))


def log_variance() -> float:
    """Mean log-variance of the weights at W = P/τ² in the setting of the floor: ᾱr²/τ² + M."""
    level = noise_level(tilt.mixture(2), SCHEDULE, torch.tensor(tilt.TIME))
    return float(level.signal**2) * 64 / float(level.variance) + 4


def floor_numbers(simulated: pd.DataFrame) -> Numbers:
    """What the prose quotes of the floor."""
    study, spread = Study.recorded(), log_variance()
    floor: Any = study.floor()
    best = study.record.frame(kind="floor", curve="best corrected").set_index("N")["strength"]
    few, million, last = floor.loc[100], floor.loc[10**6], floor.loc[LAST]
    return {
        "abar": float(SCHEDULE.alpha_bar(torch.tensor(tilt.TIME))),
        "logvar": spread, "typical": f"{math.exp(spread / 2):.0e}",
        "safe": f"{math.exp(spread):.0e}",
        "million": million["limit"].value, "best-million": str(million["best corrected"]),
        "last": last["limit"].value, "best": str(last["best corrected"]),
        "plain": last["plain"].value, "corrected": last["corrected"].value,
        "best-plain": last["best plain"].value,
        "small-plain": few["best plain"].value, "small-corrected": few["best corrected"].value,
        "strength-million": best[10**6], "strength-last": best[LAST],
        "bayes": tilt.bayes_strength(), "deviation": floor_deviation(simulated),
    }  # fmt: skip


_GLUED = {
    "tilt": "tilt", "skip": "skip", "value": "value", "value, tilt": "both", "two heads": "two",
    "depth 2": "deep", "depth 2, value": "deepvalue",
}  # fmt: skip


def part_numbers(live: Study, paper: Study) -> Numbers:
    """What the prose quotes of the reductions, part by part."""
    plain, value, plan = paper.best("plain"), paper.best("value"), paper.plan
    reductions, (worst, worst_excess) = paper.reductions(), paper.worst()
    return {
        **{key: reductions[name].measured.value for name, key in _GLUED.items()},
        "live-worst": 100 * live.worst()[0],
        "paper-worst": 100 * worst, "paper-worst-excess": 100 * worst_excess,
        "law": plan.n_patterns / plan.dim, "d": plan.dim, "n": plan.n_tokens,
        "skip-s": paper.best("skip")["skip_span"],
        "value-span": value["value_span"], "value-complement": abs(value["value_complement"]),
        "value-same": value["same"] - value["different"],
        "plain-same": plain["same"] - plain["different"],
    }  # fmt: skip


def level_numbers(paper: Study) -> Numbers:
    """What the prose quotes of the comparison by noise level."""
    levels: Any = paper.levels()
    one, own = levels["predicted"], levels["retuned"]
    by_time, tilts = own["value"] / one["value"], one["tilt"] / one["plain"]
    first, worst = levels.index.min(), (one["tilt"] - one["plain"]).idxmax()
    best, plan = paper.best("plain"), paper.plan
    beta = (best["same"] - best["different"]) / plan.radius**2
    hump = noise_level(plan.mixture, SCHEDULE, torch.tensor(worst))
    spread = float(hump.signal**2) * plan.radius**2 / plan.n_patterns
    total = spread + float(hump.variance)
    return {
        **{f"retuned-{name}": ratio for name, ratio in paper.retuned().items()},
        "retuned-both": own["value"].sum() / one["plain"].sum(),
        "retuned-low": by_time[first],
        "retuned-best": by_time.min(), "retuned-best-t": by_time.idxmin(),
        "retuned-share": (own["value"] / own["plain"])[150],
        "tilt-worst": 100 * (tilts[worst] - 1), "tilt-worst-t": worst,
        "tilt-low": 100 * (1 - tilts[first]), "tilt-low-t": first,
        "slope-bayes": spread / total, "slope-plain": beta * total,
        "slope-corrected": beta * spread,
    }  # fmt: skip


def depth_table(paper: Study) -> pd.DataFrame:
    """Excess of depth 2, and of attention to a clean context, without and with a value matrix."""
    clean = clean_context_excess(paper.plan.mixture, SCHEDULE)
    rows = {"depth 2": clean, "depth 2, value": clean * paper.plan.n_patterns / paper.plan.dim}
    means = paper.trained().mean()[list(rows)].rename_axis(None)
    return pd.DataFrame({"trained": means, "clean context": pd.Series(rows)})


def depth_numbers(paper: Study, table: Any) -> Numbers:
    """What the prose quotes of two heads and of depth 2."""
    found = {name: r.measured.value for name, r in paper.reductions().items()}
    (sharp, share), (broad, other) = (
        (paper.products("two heads", part), paper.shares(part)) for part in ("heads.0.", "heads.1.")
    )
    ratio = table["trained"] / table["clean context"]
    return {
        "two-shares": f"at the end βr² is {sharp:.0f} with share {share:.2f}, "
        f"and {broad:.0f} with share {other:.2f}",
        "two-gain": 100 * (1 - found["two heads"] / found["value"]),
        "deep-gain": 100 * (1 - found["depth 2"]),
        "deepvalue-gain": 100 * (1 - found["depth 2, value"] / found["value"]),
        "deep-excess": table.loc["depth 2", "trained"],
        "clean": table.loc["depth 2", "clean context"],
        "clean-ratio": ratio["depth 2"], "clean-value-ratio": ratio["depth 2, value"],
        "layer-1": paper.products("depth 2", "first."),
        "layer-2": paper.products("depth 2", "second."),
    }  # fmt: skip


def reduction_table(live: Study, paper: Study) -> pd.DataFrame:
    """Excess over the plain head's of all kinds, of this run and recorded."""
    columns = {}
    runs = (("this run", live, "{0:.3f}"), ("recorded", paper, "{0:.4f} ± {1:.4f}"))
    for title, study, form in runs:
        found = study.reductions()
        columns[title, "trained"] = {
            name: form.format(r.measured.value, r.measured.standard_error)
            for name, r in found.items()
        }
        columns[title, "predicted"] = {
            name: "" if r.predicted is None else f"{r.predicted:.4f}" for name, r in found.items()
        }
    return pd.DataFrame(columns)
