"""What the prose of chapter 5 quotes, section by section: names as glued, without the prefix."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import pandas as pd

from gmmtf import Estimate, best_weight, descend, risk
from gmmtf.risks.formulas import mean_denoising_excess, tilt_floor
from gmmtf_book.c05_tokens_and_patterns import phases, sweeps
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from gmmtf_book.c05_tokens_and_patterns.sweeps import law

Numbers = dict[str, object]


def setting(study: Study) -> Numbers:
    """Sizes of the recorded runs."""
    plan = study.plan
    return {
        "relative": plan.relative_step_size, "batch": plan.batch_size, "dim": plan.dim,
        "n": plan.n_tokens, "m": plan.n_patterns, "r": plan.radius, "sigma": plan.sigma,
        "steps": plan.record_at[-1], "seeds": len(plan.seeds), "told": f"{100 * study.told():.1g}",
        "few": plan.active_counts[0],
    }  # fmt: skip


def families(study: Study) -> Numbers:
    """Exponents against K, K = M and N."""
    found: Numbers = {}
    for family, key in (("K", "k"), ("K = M", "km"), ("N", "n")):
        fits = study.exponents(family)
        found[f"fit-{key}"], found[f"best-{key}"] = str(fits["trained"]), str(fits["best"])
        found[f"law-{key}"] = fits["law"].exponent
        found[f"dev-{key}"] = 100 * study.deviation(family)
    perfect, best = (study.predicted("K = M", entry)[1] for entry in ("law", "best"))
    return found | {
        "law-over-best-few": perfect[0] / best[0],
        "law-over-best-many": perfect[-1] / best[-1],
    }


def rare(study: Study) -> Numbers:
    """Excess against the smallest probability."""
    whole, own = study.series("pi_min"), study.series("pi_min", "rare", share=True)
    best = study.predicted("pi_min", "best")[1]
    top = whole.simulated.index(max(whole.simulated, key=float))
    found: Numbers = {
        "dev-pi": 100 * study.deviation("pi_min"), "pi-own-errors": study.rare_errors(),
        "pi-top": whole.x[top], "pi-best-first": best[0], "pi-best-last": best[-1],
        "pi-first": whole.x[0],
    }  # fmt: skip
    for key, place in (("first", 0), ("top", top), ("last", -1)):
        found[f"pi-all-{key}"] = str(whole.simulated[place])
        found[f"pi-own-{key}"] = 100 * own.simulated[place].value
    return found


class Curves(NamedTuple):
    """Predicted descents by name, and the simulated points on them."""

    lines: dict[str, tuple[list[int], list[float]]]
    marks: dict[str, tuple[tuple[int, ...], list[Estimate]]]

    @property
    def numbers(self) -> Numbers:
        """What is left of the start at the end, in per cent."""
        left = [100 * excess[-1] / excess[0] for _, excess in self.lines.values()]
        return dict(zip(("end-few", "end-even", "end-rare"), left, strict=True))


def curves(study: Study, n_points: int, seed: int) -> Curves:
    """Descend on the expansion for few patterns, all patterns, and a rare one."""
    plan = study.plan
    shown = {
        f"$K = {plan.active_counts[0]}$": plan.families()["K"][1][0],
        f"$K = M = {plan.n_patterns}$": Case(plan.n_patterns, plan.n_tokens),
        rf"$\pi_{{\min}} = {plan.rarest[1]:g}$": plan.families()["pi_min"][1][1],
    }
    lines, marks = {}, {}
    for name, case in shown.items():
        mixture = plan.mixture(case)
        path = list(descend(mixture, SCHEDULE, plan.record_at[-1], lr=plan.step_size(mixture),
                            n_points=n_points, record_every=4, seed=seed))  # fmt: skip
        lines[name] = [r.step for r in path], [r.excess.value for r in path]
        simulated = [study.compare(case, step).simulated for step in plan.record_at]
        marks[name] = plan.record_at, simulated
    return Curves(lines, marks)


def split_of_tokens(study: Study, n_points: int, seed: int) -> pd.DataFrame:
    """Excess of the best head at the numbers of tokens found, split into bias and variance.

    ``bias`` is what the same weight gets wrong with 10¹² tokens. Excesses are recomputed on other
    query tokens; ``law`` and ``recomputed`` are over the target.
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
            "target": target, "tokens": count,
            "law/target": mean_denoising_excess(there, SCHEDULE) / target,
            "variance": total - bias, "bias": bias, "bias share": bias / total,
            "tilt floor": tilt_floor(best, there, SCHEDULE), "recomputed/target": total / target,
        })  # fmt: skip
    return pd.DataFrame(rows)


def split_table(split: pd.DataFrame) -> pd.DataFrame:
    """Return the split as a table for the page."""
    formats = {
        "target": "{:g}", "tokens": "{:.0f}", "law/target": "{:.2f}", "variance": "{:.2g}",
        "bias": "{:.2g}", "tilt floor": "{:.1g}", "recomputed/target": "{:.3f}",
    }  # fmt: skip
    shown = split.transform({name: form.format for name, form in formats.items()})
    return pd.DataFrame(shown).set_index("target")


def tokens(study: Study, split: pd.DataFrame) -> Numbers:
    """Tokens needed, and why the exponents depart from the law."""
    found: Numbers = {"target": sweeps.TARGET}
    keys = {"target": "target", "K = M": "many", "pi_min": "pi", "sigma": "sigma", "r^2/d": "snr"}
    for name, key in keys.items():
        found[f"needed-{key}"] = str(study.fitted(f"tokens, {name}")[0])
    found["law-sigma"] = study.fitted("tokens, sigma")[1].exponent
    counts = study.swept("tokens, K = M")[1]
    first, last = split.iloc[0], split.iloc[-1]
    return found | {
        "double-first": counts[1] / counts[0],
        "double-last": counts[-1] / counts[-2],
        "perfect-first": first["law/target"],
        "perfect-last": last["law/target"],
        "bias-first": 100 * first["bias share"],
        "bias-last": 100 * last["bias share"],
        "recomputed": 100 * recomputed(split),
    }


def recomputed(split: pd.DataFrame) -> float:
    """Largest relative distance of a recomputed excess from its target."""
    return float((split["recomputed/target"] - 1).abs().max())


def times(study: Study) -> Numbers:
    """Training times, and what the first step says of them."""
    found: Numbers = {"share": sweeps.SHARE, "absolute": sweeps.ABSOLUTE, "half": sweeps.HALF}
    keys = {
        "share, K = M": "s-km", "absolute, K = M": "a-km", "share, K of 16": "s-k",
        "absolute, K of 16": "a-k", "share, r^2/d": "s-snr", "share, sigma": "s-sigma",
        "share, step size": "s-rate", "rare, pi_min": "rare", "noticed, long": "long",
        "noticed, short": "short",
    }  # fmt: skip
    for name, key in keys.items():
        power, derived = study.fitted(name)
        first, *_, last = ratios = study.over_law(name)
        found |= {key: str(power), f"{key}-law": derived.exponent}
        found |= {f"{key}-first": first, f"{key}-last": last}
        if key == "rare":
            found |= {"rare-low": min(ratios), "rare-high": max(ratios)}
    for key, ratio, digits in (("long", 4.0, 1), ("base", 1.0, 1), ("short", 1 / 64, 2)):
        star = sweeps.crossover(law(sweeps.MANY, ratio=ratio))
        found[f"cross-{key}"] = f"{star:.{digits}g}"
    return found


def weak_patterns(n_points: int) -> Numbers:
    """Products of a rare pattern with itself at the best weight, where the pattern is weak."""
    cases = {"weak": (0.005, 1 / 64), "less-weak": (0.02, 1 / 64), "long-rare": (1e-4, 1.0)}
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
    bump = crossings.idxmax()
    few, many = found.all.index[0], found.all.index[-1]
    held = found.checks[found.checks["N"] == few].sort_values("pi_min")["rare"].iloc[-1]
    return {
        "phase-steps": phases.STEPS, "phase-step": phases.RELATIVE_STEP_SIZE,
        "phase-share": phases.SHARE, "phase-even": crossings.iloc[-1],
        "phase-bump": crossings.max(), "phase-bump-pi": bump, "phase-checks": len(found.checks),
        "phase-edge-few": found.edge[0], "phase-edge-many": found.edge[-1],
        "phase-few": few, "phase-many": many,
        "phase-held": 100 * held.value, "phase-held-error": 100 * held.standard_error,
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
