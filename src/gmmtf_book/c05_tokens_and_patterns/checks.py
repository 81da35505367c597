"""The claims of chapter 5 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from gmmtf.check import Bound
from gmmtf_book.c05_tokens_and_patterns import sweeps
from gmmtf_book.c05_tokens_and_patterns.quoted import recomputed
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from gmmtf_book.c05_tokens_and_patterns.sweeps import law

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live disagreement", "live: disagreement, 15 % or 4 errors", at_most=1, shown=False),
    _recorded("K disagreement", "recorded, K of M: disagreement", at_most=1),
    _recorded("K = M disagreement", "recorded, K = M: disagreement", at_most=1),
    _recorded("pi_min disagreement", "recorded, pi_min: disagreement", at_most=1),
    _recorded("N disagreement", "recorded, N: disagreement", at_most=1),
    _recorded("K deviation", "recorded, K of M: largest deviation", at_most=0.05),
    _recorded("K = M deviation", "recorded, K = M: largest deviation", at_most=0.05),
    _recorded("pi_min deviation", "recorded, pi_min: largest deviation", at_most=0.05),
    _recorded("rare standard errors", "recorded, rare tokens: standard errors away", at_most=3),
    _recorded("told", "value of knowing the set / excess", at_most=0.02),
    _recorded("K simulated exponent", "trained, against K: exponent", 0.05, 0.35),
    _recorded("K best exponent", "best head, against K: exponent", 0.6, 0.9),
    _recorded("hump of pi_min", "hump: excess at the top / at smallest pi_min", at_least=1.05),
    _recorded("inclusion disagreement", "recorded, rare data points: disagreement", at_most=1),
    _recorded("inclusion deviation", "recorded, rare data points: largest deviation", at_most=0.05),
    _recorded("inclusion rare deviation", "the same, tokens of the rare pattern", at_most=0.05),
    _recorded("inclusion spread", "rare data points: largest / smallest excess", at_most=1.05),
    _recorded("tokens, target exponent", "tokens against target: exponent", -1.5, -1.05),
    _recorded("tokens, K = M exponent", "tokens against K = M: exponent", 0.8, 1.3),
    Bound("live recomputed", "tokens: error on other queries", at_most=0.05, shown=False),
    _recorded("share, K = M exponent", "time against K = M: exponent", 1.5, 1.95),
    _recorded("share, K = M exponent - derived", "time against K = M: found - derived exponent",
              -0.2, 0.2),
    _recorded("share, r^2/d exponent", "time against r^2/d: exponent", -3.2, -2.7),
    _recorded("share, r^2/d exponent - derived", "time against r^2/d: found - derived exponent",
              -0.2, 0.2),
    _recorded("rare, pi_min exponent", "time of a rare pattern: exponent", -2, -1.6),
    _recorded("rare, pi_min exponent - derived", "time of a rare pattern: found - derived exponent",
              -0.2, 0.2),
    _recorded("rare, pi_min least time over derived",
              "time of a rare pattern / first-step time, least", at_least=0.8),
    _recorded("rare, pi_min most time over derived",
              "time of a rare pattern / first-step time, most", at_most=1.25),
    _recorded("share, step size exponent", "steps against step size: exponent", -1.1, -0.9),
    _recorded("learned tokens disagreement", "rare tokens, steps until learned: disagreement",
              at_most=1),
    _recorded("learned tokens exponent", "rare tokens, steps until learned: exponent", -2, -1.4),
    _recorded("learned data deviation", "rare data points, steps until learned: largest deviation",
              at_most=0.05),
    _recorded("learned data exponent", "rare data points, steps until learned: exponent",
              -1.2, -0.8),
    _recorded("filter short", "head / filter, up to K d/(M-1) tokens: least", at_least=1.2),
    _recorded("filter beyond", "head / filter, from 3 K d/(M-1) tokens on: most", at_most=0.9),
    _recorded("filter level least", "tokens where they are level, over K d/(M-1): least",
              at_least=1.5),
    _recorded("filter level most", "tokens where they are level, over K d/(M-1): most",
              at_most=2.5),
    _recorded("filter disagreement", "head / filter, simulated cells: disagreement", at_most=1),
    Bound("live filter", "head / filter: live / recorded - 1", at_most=0.02, shown=False),
    Bound("live crossover, r = 4", "crossover probability, r = 4", 0.02, 0.04),
    Bound("live crossover, r = 64", "crossover probability, r = 64", 8e-5, 1.6e-4),
    Bound("live share, K = M", "live: exponent, share, K = M", 1.5, 1.95),
    Bound("live share, step size", "live: exponent, share, step size", -1.1, -0.9),
    Bound("live rare, pi_min", "live: exponent, rare, pi_min", -2, -1.5),
    Bound("live tokens, target", "live: exponent, tokens, target", -2, -1.05, digits=2),
    _recorded("phase disagreement", "phase diagrams: simulated cells, disagreement", at_most=1),
    Bound("live phase", "phase diagrams: live / recorded - 1", at_most=0.15, digits=2),
]  # fmt: skip


def live(run: Study, recorded: Study, split: pd.DataFrame) -> dict[str, float]:
    """Return the numbers that this run computed, by name; ``split``: see ``split_of_tokens``."""
    pairs = [pair for family in run.plan.families() for pair in run.points(family)]
    names = sweeps.SWEEPS if run.plan.sweeps is None else run.plan.sweeps
    return {
        "live disagreement": max(pair.disagreement(0.15, 4) for pair in pairs),
        "live recomputed": recomputed(split),
        "live phase": _phase_deviation(run, recorded),
        "live filter": _filter_deviation(run, recorded),
        "live crossover, r = 4": sweeps.crossover(law(sweeps.MANY, ratio=1 / 64)),
        "live crossover, r = 64": sweeps.crossover(law(sweeps.MANY, ratio=4.0)),
        **{f"live {name}": run.fitted(name)[0].exponent for name in names},
    }


def bounds_of(numbers: dict[str, float]) -> list[Bound]:
    """Return the bounds of what was computed: a short run leaves some sweeps out."""
    left_out = {f"live {name}" for name in sweeps.SWEEPS} - set(numbers)
    return [bound for bound in BOUNDS if bound.number not in left_out]


def _phase_deviation(run: Study, recorded: Study) -> float:
    """Largest relative deviation of cells of the phase diagrams from the recorded ones."""
    found: list[float] = []
    for point in (*run.record.select(kind="phase"), *run.record.select(kind="best")):
        same: Any = recorded.record.value(**point.labels)
        both = (point.value, same)
        if isinstance(same, dict):
            found += [point.value[name] / same[name] for name in same]
        elif None not in both:
            found.append(point.value / same)
    return max(abs(ratio - 1) for ratio in found)


def _filter_deviation(run: Study, recorded: Study) -> float:
    """Largest relative deviation of cells of head over filter from the recorded ones."""
    cells = run.record.select(kind="filter")
    expected = [float(recorded.record.value(**cell.labels)["ratio"]) for cell in cells]
    pairs = zip(cells, expected, strict=True)
    return max(abs(float(cell.value["ratio"]) / value - 1) for cell, value in pairs)
