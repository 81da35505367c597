"""What the prose of chapter 5 quotes, section by section: names as glued, without the prefix."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import pandas as pd

from gmmtf import bayes_risk, best_weight, oracle_risk, risk
from gmmtf.risks.formulas import mean_denoising_excess
from gmmtf_book.c05_tokens_and_patterns import filter_numbers, phases, rare_numbers, sweeps
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from gmmtf_book.c05_tokens_and_patterns.sweeps import law

Numbers = dict[str, object]


def numbers(study: Study, split: pd.DataFrame) -> Numbers:
    """Everything but what a solution computes."""
    return {
        **setting(study), **families(study), **rare(study), **rare_numbers.quoted(study),
        **tokens(study, split), **filter_numbers.quoted(study), **times(study),
        **phase(diagrams(study)),
    }  # fmt: skip


def setting(study: Study) -> Numbers:
    """Sizes of the recorded runs, and how far the expansion is off."""
    plan = study.plan
    pairs = [pair for family in plan.families() for pair in study.points(family)]
    pairs += [pair for family in ("pi_min", "inclusion") for pair in study.rare_pairs(family)]
    pairs += [pair for reading in ("tokens", "data") for pair in study.learned(reading)[0].pairs]
    return {
        "dim": plan.dim, "n": plan.n_tokens, "m": plan.n_patterns, "r": plan.radius,
        "sigma": plan.sigma, "steps": plan.record_at[-1], "seeds": len(plan.seeds),
        "told": f"{100 * study.told():.1g}",
        "dev": 100 * max(pair.deviation for pair in pairs),
    }  # fmt: skip


def families(study: Study) -> Numbers:
    """What the prose says of exponents against K and K = M."""
    perfect, best = (study.predicted("K = M", entry)[1] for entry in ("law", "best"))
    mixtures = [study.plan.mixture(case) for case in study.plan.families()["K = M"][1]]
    gaps = [bayes_risk(m, SCHEDULE).value - oracle_risk(m, SCHEDULE) for m in mixtures]
    return {
        "fit-k": study.exponents("K")["trained"].exponent,
        "best-k": study.exponents("K")["best"].exponent,
        "best-km": study.exponents("K = M")["best"].exponent,
        "law-over-best-few": perfect[0] / best[0],
        "law-over-best-many": perfect[-1] / best[-1],
        "law-gap": 100 * max(gap / whole for gap, whole in zip(gaps, perfect, strict=True)),
    }


def rare(study: Study) -> Numbers:
    """Excess against the smallest probability of a token."""
    whole, own = study.series("pi_min"), study.series("pi_min", "rare", share=True)
    best = study.predicted("pi_min", "best")[1]
    top = whole.simulated.index(max(whole.simulated, key=float))
    found: Numbers = {
        "pi-first": whole.x[0], "pi-top": whole.x[top],
        "pi-best-first": best[0], "pi-best-last": best[-1],
    }  # fmt: skip
    for key, place in (("first", 0), ("top", top), ("last", -1)):
        found[f"pi-all-{key}"] = whole.simulated[place].value
        found[f"pi-own-{key}"] = 100 * own.simulated[place].value
    return found


def split_of_tokens(study: Study, n_points: int, seed: int) -> pd.DataFrame:
    """Return what the best head's excess is made of at the numbers of tokens found, by target.

    ``bias share``: what the same weight gets wrong with 10¹² tokens, of all it gets wrong.
    ``law``, ``recomputed``: excess of perfect selection, and of the best head on other query
    tokens, both over the target.
    """
    rows = []
    for target, count, _ in zip(*study.swept("tokens, target"), strict=True):
        there, endless = law(round(count)), law(10**12)
        best, _ = best_weight(there, SCHEDULE, n_points=n_points // 4)
        total, bias = (
            risk(best, each, SCHEDULE, n_points=256, seed=seed + 1).excess_risk.value
            for each in (there, endless)
        )
        rows.append({
            "target": target, "law/target": mean_denoising_excess(there, SCHEDULE) / target,
            "bias share": bias / total, "recomputed/target": total / target,
        })  # fmt: skip
    return pd.DataFrame(rows)


def tokens(study: Study, split: pd.DataFrame) -> Numbers:
    """Tokens needed, and why the exponents depart from the law."""
    first, last = split.iloc[0], split.iloc[-1]
    found: Numbers = {
        "target": sweeps.TARGET, "target-first": first["target"], "target-last": last["target"],
        "perfect-first": first["law/target"], "perfect-last": last["law/target"],
        "bias-first": 100 * first["bias share"], "bias-last": 100 * last["bias share"],
    }  # fmt: skip
    keys = {"target": "target", "K = M": "many", "pi_min": "pi", "r^2/d": "snr"}
    for name, key in keys.items():
        found[f"needed-{key}"] = study.fitted(f"tokens, {name}")[0].exponent
    return found


def recomputed(split: pd.DataFrame) -> float:
    """Largest relative distance of a recomputed excess from its target."""
    return float((split["recomputed/target"] - 1).abs().max())


def times(study: Study) -> Numbers:
    """Training times, and what the first step says of them."""
    found: Numbers = {
        "share": 100 * sweeps.SHARE, "half": 100 * sweeps.HALF,
        "s-rate": study.fitted("share, step size")[0].exponent,
        "rare": study.fitted("rare, pi_min")[0].exponent,
    }  # fmt: skip
    for name, key in (("share, K = M", "s-km"), ("share, r^2/d", "s-snr")):
        counted, derived = study.fitted(name)
        found |= {key: counted.exponent, f"{key}-law": derived.exponent}
    for name, key in (("share, K = M", "s-km"), ("rare, pi_min", "rare")):
        ratios = study.over_law(name)
        found |= {f"{key}-low": min(ratios), f"{key}-high": max(ratios)}
    return found


def short_patterns(study: Study, n_points: int) -> Numbers:
    """Steps until a rare pattern is noticed, long or short, and where that leads."""
    ratios = study.over_law("noticed, short")
    found: Numbers = {"short-first": ratios[0], "short-last": ratios[-1]}
    for key, ratio in (("long", 4.0), ("short", 1 / 64)):
        power, derived = study.fitted(f"noticed, {key}")
        star = sweeps.crossover(law(sweeps.MANY, ratio=ratio))
        found |= {key: power.exponent, f"{key}-law": derived.exponent, f"cross-{key}": star}
    return found | weak_patterns(n_points)


def weak_patterns(n_points: int) -> Numbers:
    """Products of a rare pattern with itself at the best weight, where the pattern is weak."""
    cases = {"weak": (0.005, 1 / 64), "less-weak": (0.02, 1 / 64)}
    found: Numbers = {}
    for key, (rarest, ratio) in cases.items():
        mixture = law(sweeps.MANY, rarest=rarest, ratio=ratio)
        best, _ = best_weight(mixture, SCHEDULE, n_points=n_points)
        found[f"{key}-product"] = sweeps.own_product(best, mixture)
    return found


class Diagrams(NamedTuple):
    """Cells of the phase diagrams: tables over N (rows) and π_min or r, and simulated cells."""

    all: pd.DataFrame
    rare: pd.DataFrame
    best: pd.DataFrame
    checks: pd.DataFrame
    edge: list[float]

    def marks(self, which: str) -> list[tuple[float, float, float]]:
        """Simulated cells as abscissa, N and share."""
        rows = self.checks[["pi_min", "N", which]].itertuples(index=False)
        return [(p, n, found.value) for p, n, found in rows]


def diagrams(study: Study) -> Diagrams:
    """Read the phase diagrams of a study."""
    cells, best = study.record.frame(kind="phase"), study.record.frame(kind="best")
    whole, rare = (cells.pivot(index="N", columns="pi_min", values=v) for v in ("all", "rare"))
    by_radius = best.astype({"value": float}).pivot(index="N", columns="r", values="value")
    edge = phases.first_step_boundary(study.plan, list(whole.index))
    return Diagrams(whole, rare, by_radius, study.record.frame(kind="check"), edge)


def phase(found: Diagrams) -> Numbers:
    """Where the share of the start is crossed."""
    crossings = found.all.apply(tokens_at_share)
    return {
        "phase-step": phases.RELATIVE_STEP_SIZE, "phase-even": crossings.iloc[-1],
        "phase-bump-pi": crossings.idxmax(),
        "phase-edge-few": found.edge[0], "phase-edge-many": found.edge[-1],
        "phase-few": found.all.index[0], "phase-many": found.all.index[-1],
        "radius-8": tokens_at_share(found.best[8.0]),
        "radius-16": tokens_at_share(found.best[16.0]),
    }  # fmt: skip


def tokens_at_share(column: pd.Series) -> float:
    """Return where the share of a column crosses the line, linear between logarithms."""
    pairs = list(zip(column.index.astype(float), column, strict=True))
    for (below, before), (above, after) in pairwise(pairs):
        if before > phases.SHARE >= after:
            part = math.log(before / phases.SHARE) / math.log(before / after)
            return float(below * (above / below) ** part)
    raise ValueError(f"column: the share does not cross {phases.SHARE}")
