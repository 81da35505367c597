"""The numbers of chapter 7, for its prose and its checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, risk, scaling
from gmmtf.descent import DescentRecord
from gmmtf.record import Recording
from gmmtf.risks.risk import DISPERSION_LIMIT, VALIDITY_LIMIT
from gmmtf_book import RESULTS
from gmmtf_book.c07_effective_tokens.limits import strain
from gmmtf_book.c07_effective_tokens.parts import TokenCloud
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE, SWEEPS, on_patterns
from gmmtf_book.c07_effective_tokens.runs import Study
from gmmtf_book.c07_effective_tokens.search import random_cases

Numbers = dict[str, Any]

ALLOWED = 0.05  # relative error of the expansion where it holds


def picture(cloud: TokenCloud, drawn: Mapping[int, Tensor], radii: Mapping[int, float]) -> Numbers:
    """Of the cloud and of the averages over data points."""
    error = max(
        abs(float((points - cloud.limit).square().sum(1).mean().sqrt()) / radii[n] - 1)
        for n, points in drawn.items()
    )
    return {
        "drift": float(cloud.drift.norm()), "spread": cloud.spread,
        "far-0": float(cloud.labels[0, 1]), "far-1": float(cloud.labels[1, 1]),
        "cloud-effective": cloud.effective, "cloud-tokens": len(cloud.tokens),
        "picture": error, "picture-error": 100 * error,
    }  # fmt: skip


def counts(table: pd.DataFrame, mixture: MultiTokenGMM) -> Numbers:
    """Of the effective numbers of tokens."""
    error = float((table["measured"] / table["predicted"] - 1).abs().max())
    last = table[table["t"] == table["t"].min()].iloc[-1]
    return {
        "one-pattern": mixture.n_tokens / mixture.n_patterns, "count-last": last["predicted"],
        "counts": error, "count-error": 100 * error,
    }  # fmt: skip


def agreement(points: Any, *, errors: float) -> tuple[float, float]:
    """Largest |expansion/simulation - 1| where the expansion holds, and it over what is allowed.

    Allowed are 5 % or so many standard ``errors``, whichever is more.
    """
    held = points[points["holds"]]
    pairs = list(zip(held["expansion"], held["simulated"], strict=True))
    shares = [min(e.relative_to(s) / ALLOWED, e.errors_from(s) / errors) for e, s in pairs]
    return max(e.relative_to(s) for e, s in pairs), max(shares)


def integral_deviation(points: Any) -> float:
    """Most standard errors between integral and simulation."""
    return float(max(map(Estimate.errors_from, points["integral"], points["simulated"])))


def sweeps(live: Study, paper: Study) -> Numbers:
    """Of the sweeps of both runs, and of their sizes."""
    worst, allowed = agreement(live.points(), errors=3)
    short = paper.points("short")
    last = short.iloc[-1]
    sizes = {
        f"{run}-{name}": getattr(study.plan, field)
        for run, study in (("live", live), ("big", paper))
        for name, field in (("dim", "dim"), ("tokens", "n_tokens"), ("strength", "strength"))
    }
    return sizes | {
        "big-seeds": len(paper.plan.seeds),
        "short-live": live.plan.short_radius, "short-big": paper.plan.short_radius,
        "live-error": 100 * worst, "allowed": allowed,
        "integral": integral_deviation(live.points()),
        "held-until": float(short.loc[short["holds"], "x"].max()), "strongest": float(last["x"]),
        "blow-up": f"{abs(last['expansion'].value / last['simulated'].value):.0e}",
        "strongest-validity": last["validity"],
        "limit": 100 * VALIDITY_LIMIT, "dispersion-limit": DISPERSION_LIMIT,
        "last-alpha": f"{float(SCHEDULE.alpha_bar(torch.tensor(999))):.0e}",
    }  # fmt: skip


def indicator(grid: Any) -> pd.DataFrame:
    """Number of settings and worst error, by the larger of the indicators over its limit."""
    edges = [0, 1e-3, 1e-2, 0.1, 1]
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)] + [f"{edges[-1]:g} and more"]
    share = pd.cut(strain(grid), [*edges, math.inf], right=False, labels=names)
    errors = grid["error"].groupby(share, observed=False)
    worst = errors.max().map(lambda error: f"{100 * error:.2g} %").astype(str)
    return pd.DataFrame({"settings": errors.size(), "worst error": worst}).rename_axis(
        "indicator / limit"
    )


def parts(
    long: pd.DataFrame, weak: pd.DataFrame, times: pd.DataFrame, mixture: MultiTokenGMM
) -> Numbers:
    """Of the parts of the excess risk with long and with short patterns, and over times."""
    found: Numbers = {}
    for name, table in (("long", long), ("weak", weak)):
        best: Any = table["total"].idxmin()
        found[f"best-{name}"] = best
        for part in ("wrong patterns", "tilt", "variance", "product"):
            share = table.loc[best, part] / table.loc[best, "total"]
            found[f"{name}-{part.split()[0]}"] = 100 * share
    best = found["best-long"]
    direct = risk(on_patterns(mixture, best), mixture, SCHEDULE).excess_risk
    peak: Any = times["wrong patterns"].idxmax()
    share = times.loc[peak, "wrong patterns"] / times.loc[peak, "total"]
    return found | {
        "parts": long.loc[best, "total"] / direct.value,
        "balance": found["long-wrong"] / found["long-variance"],
        "peak-time": peak,
        "peak-share": 100 * share,
    }


def curves(live: Study, paper: Study, descents: Mapping[str, Sequence[DescentRecord]]) -> Numbers:
    """Of the descents on the expansion."""
    worst, allowed = agreement(live.points("curve"), errors=3)
    huge = descents["huge"]
    start, end = (record.excess_given_set.value for record in (huge[0], huge[-1]))
    return {
        "live-curve-error": 100 * worst, "curve-allowed": allowed,
        "big-curve-error": 100 * agreement(paper.points("curve"), errors=2)[0],
        "huge-start": start, "huge-end": end, "huge-kept": end / start,
        "huge-steps": huge[-1].step, "huge-dispersion": f"{huge[-1].dispersion:.0e}",
    }  # fmt: skip


def floors(floor: Any, by_dim: Any) -> Numbers:
    """Of the sweep of N, and of the floor against the dimension."""
    first, last = floor.iloc[0], floor.iloc[-1]
    dims, best, strength = (
        by_dim[name].map(float).tolist() for name in ("d", "best", "best_strength")
    )
    fits = {"floor": scaling.fit_power_law(dims, best)}
    fits["strength"] = scaling.fit_power_law(dims, strength)
    return {
        "floor-fixed": last["fixed"].value,
        "floor-first": first["best"].value, "floor-best": last["best"].value,
        "floor-kept": last["best"].value / first["best"].value,
        "floor-strength-first": first["best_strength"], "floor-strength": last["best_strength"],
        "exponent": fits["floor"].exponent,
        **{f"{name}-exponent": f"{f.exponent:.2f} [{f.low:.2f}, {f.high:.2f}]"
           for name, f in fits.items()},
    }  # fmt: skip


def benchmarks() -> pd.DataFrame:
    """Recorded speeds, with the machine as the name of the table's index."""
    record = Recording(RESULTS / "benchmarks.json")
    made = record.points[0].provenance
    machine = f"{made['processor']}, {made['threads']} threads, torch {made['torch']}"
    table = record.frame().set_index("title")[["median", "minimum", "maximum"]]
    return table.rename_axis(machine)


def speeds() -> Numbers:
    """Of the benchmarks."""
    rows = Recording(RESULTS / "benchmarks.json").frame().set_index("benchmark")
    names = {
        "step": "effective_step_speedup",
        "population": "population_step_speedup",
        "curve": "effective_curve_seconds",
    }
    found = {f"bench-{short}": rows["median"][name] for short, name in names.items()}
    return found | {"bench-step-least": rows["minimum"]["effective_step_speedup"]}


def recorded() -> dict[str, float]:
    """Numbers of the recorded points that the account of the claims quotes."""
    paper = Study.recorded()
    record = paper.record
    points = paper.points(*SWEEPS, "curve")
    grid: Any = record.frame(kind="grid")
    right, wrong = grid[grid["holds"]], grid[grid["error"] > ALLOWED]
    worst, tolerance = agreement(points, errors=2)
    floor = floors(record.frame(kind="floor"), record.frame(kind="floor_by_dim"))
    searched = random_cases(paper)
    known = searched[searched["known"]]
    fine = known[known["error"] < ALLOWED]
    return {
        "points": len(points),
        "points_held": int(points["holds"].sum()),
        "worst_error": worst,
        "tolerance": tolerance,
        "curve_worst_error": agreement(paper.points("curve"), errors=2)[0],
        "integral_deviation": integral_deviation(points),
        "largest_standard_error": max(s.standard_error / s.value for s in points["simulated"]),
        "grid_settings": len(grid),
        "grid_held": len(right),
        "grid_worst_error": float(right["error"].max()),
        "grid_smallest_indicator_of_failure": float(strain(wrong).min()),
        "search_settings": len(known),
        "search_held": int(known["holds"].sum()),
        "search_worst_error": float(known.loc[known["holds"], "error"].max()),
        "search_wrong": len(known) - len(fine),
        "search_refused": float(1 - fine["holds"].mean()),
        "floor_fixed": floor["floor-fixed"],
        "floor_best": floor["floor-best"],
        "floor_exponent": floor["exponent"],
    }


def quoted(found: Mapping[str, float]) -> Numbers:
    """Of the recorded numbers, as the prose quotes them."""
    return {
        "points": found["points"], "held": found["points_held"],
        "worst": 100 * found["worst_error"],
        "largest-error": 100 * found["largest_standard_error"],
        "integral-deviation": found["integral_deviation"],
        "grid-settings": found["grid_settings"], "grid-held": found["grid_held"],
        "grid-worst": 100 * found["grid_worst_error"],
        "grid-first": found["grid_smallest_indicator_of_failure"],
        "search-settings": found["search_settings"], "search-held": found["search_held"],
        "search-worst": 100 * found["search_worst_error"],
        "search-wrong": found["search_wrong"], "search-refused": 100 * found["search_refused"],
    }  # fmt: skip
