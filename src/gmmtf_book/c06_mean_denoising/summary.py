"""The numbers of the prose and of the checks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from gmmtf import MultiTokenGMM, ReducedWeight, risk
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf.scaling import best_weight, fit_power_law
from gmmtf_book.c06_mean_denoising import run, tables
from gmmtf_book.c06_mean_denoising.plan import SCHEDULE
from gmmtf_book.c06_mean_denoising.predictions import uniform_crossing
from gmmtf_book.c06_mean_denoising.tables import crossing

SHARES = (
    "largest_oracle", "above_same_low", "bias_share", "gap_share", "twin_gain_low", "uneven",
    "twin_loss", "twin_loss_predicted", "twin_gain_last", "mass_low", "mass_middle",
    "mass_middle_predicted", "mass_high", "pattern_share", "own_low", "widest_share", "pythagoras",
    "outside", "corrected",
)  # fmt: skip
"""Numbers that the prose quotes in percent."""
LIVE = ("n", "largest_oracle", "crossing_risk", "crossing_risk_predicted", "own_low")
"""Numbers that it quotes of the run in the chapter."""


def recorded() -> dict[str, float]:
    """Numbers of the recorded run, and of its trained weights."""
    record, mixture = run.recorded()
    found = account(record, mixture)
    stored = [point.value for point in record.select(kind="weight")]
    weights = [ReducedWeight.from_json(value) for value in stored]
    peak, middle = int(found["peak_time"]), int(found["twin_time"])
    single, _ = best_weight(mixture, SCHEDULE, n_points=1024)
    by_single = risk(single, mixture, SCHEDULE, t=peak).excess_risk.value + found["peak_gap"]
    plain, corrected = (
        risk(weights[0], mixture, SCHEDULE, t=middle, head=head).excess_risk.value
        for head in (PLAIN, HeadScalars(tilt_correction=1.0))
    )
    products = weights[0].products(mixture)
    own, m = float(products.diagonal().mean()), mixture.n_patterns
    other = (float(products.sum() / m) - own) / (m - 1)
    return found | {
        "outside": max(v["outside"] for v in stored)
        / min(float(w.pattern.norm()) for w in weights),
        "single": by_single / formulas.mean_denoising_excess(mixture, SCHEDULE, t=peak),
        "corrected": corrected / plain - 1,
        "half_predicted": time_of(math.log(m - 1) / (own - other)),
    }


def prose(numbers: dict[str, float]) -> dict[str, float]:
    """What the prose quotes, under its names: with hyphens, :data:`SHARES` in percent."""
    found = {}
    for name, value in numbers.items():
        of_run = name.removeprefix("live_")
        if of_run == name or of_run in LIVE:
            share = of_run in SHARES
            key = f"{name}_percent" if share else name
            found[key.replace("_", "-")] = 100 * value if share else value
    return found


def account(record: Recording, mixture: MultiTokenGMM, prefix: str = "") -> dict[str, float]:
    """What the interventions of a run show (C6, C7, F1), with a prefix before each name.

    The entries "worst" are at most 1 if all predictions hold, within 5 % or two standard errors;
    numbers of the map below 0.0001 are taken for zero. "low", "middle" and "high" are the noise
    levels of the error against n_u, "peak" is that of the trained head's largest excess.
    """
    maps, counts = tables.maps(record), tables.counts(record)
    sim, law = (maps[side].astype(float) for side in ("simulated", "predicted"))
    errors, errors_law = (counts[side].astype(float) for side in ("simulated", "predicted"))
    ratio = sim / law
    trained, uniform, same = (sim["oracle", name] for name in ("trained", "uniform", "same"))
    mass = sim["map", "same"]
    expected, gap, to_bayes = law["oracle", "trained"], law["parts", "gap"], sim["bayes", "trained"]
    over_same, twin, share = trained / same, sim["oracle", "twin"] / trained, gap / expected
    peak, twin_time, last = trained.idxmax(), twin.idxmax(), trained.index[-1]
    widest, hump = share.idxmax(), gap.idxmax()
    levels = counts.index.unique(0).tolist()
    low, middle, high = levels[0], levels[len(levels) // 2], levels[-1]
    few = errors[middle, "trained"] / errors[middle, "same"]
    crossings = {
        "risk": crossing(trained, same),
        "risk_predicted": crossing(expected, law["oracle", "same"]),
        "bayes": crossing(to_bayes, sim["bayes", "same"]),
        "bayes_predicted": crossing(law["bayes", "trained"], law["bayes", "same"]),
        "uniform": crossing(uniform, same),
        "uniform_predicted": time_of(uniform_crossing(mixture)),
    }
    miss = crossings["uniform"] - crossings["uniform_predicted"]
    found: dict[str, Any] = {f"crossing_{name}": t for name, t in crossings.items()} | {
        "n": mixture.n_tokens, "d": mixture.dim, "seeds": len(record.select(kind="weight")),
        "low": low, "middle": middle, "high": high,
        "worst_oracle": tables.misfit(maps.loc["oracle"]),
        "worst_bayes": tables.misfit(maps.loc["bayes"]),
        "worst_map": tables.misfit(maps.loc["map"], floor=1e-4),
        "worst_counts": tables.misfit(counts.xs("trained", level=1)),
        "largest_oracle": (1 / ratio["oracle"] - 1).abs().max(),
        "same_over_law": ratio["oracle", "same"][low],
        "uniform_over_law": ratio["oracle", "uniform"][low],
        "same_to_bayes_over_law": ratio["bayes", "same"][hump],
        "uniform_over_trained_low": uniform[low] / trained[low],
        "other_over_uniform_low": sim["oracle", "other"][low] / uniform[low],
        "trained_over_same_low": over_same[low], "above_same_low": over_same[low] - 1,
        "trained_over_same_high": over_same[high],
        "peak_time": peak, "peak_ratio": over_same[peak], "peak_gap": gap[peak],
        "bias_share": law["parts", "limit"][peak] / expected[peak], "gap_share": share[peak],
        "last_time": last, "last_same": over_same[last],
        "last_uniform": trained[last] / uniform[last],
        "variance_high": law["parts", "tokens"][last] / law["oracle", "same"][last],
        "twin_gain_low": 1 - twin[low], "uneven": twin[low] * over_same[low] - 1,
        "twin_time": twin_time, "twin_loss": twin[twin_time] - 1,
        "twin_loss_predicted": law["oracle", "twin"][twin_time] / expected[twin_time] - 1,
        "twin_gain_last": 1 - twin[last],
        "mass_low": mass[low], "mass_middle": mass[middle], "mass_high": mass[high],
        "mass_middle_predicted": law["map", "same"][middle],
        "pattern_share": 1 / mixture.n_patterns, "own_low": sim["map", "own"][low],
        "half": np.interp(-0.5, -mass, trained.index),
        "few": few.index[0], "few_ratio": few.iloc[0],
        "slope_low": _exponent(errors[low, "trained"]),
        "slope_low_predicted": _exponent(errors_law[low, "trained"]),
        "slope_same": _exponent(errors[low, "same"]),
        "slope_high": _exponent(errors[high, "trained"]),
        "slope_high_predicted": _exponent(errors_law[high, "trained"]),
        "readable": share[share < 0.01].loc[:widest].index.max(),
        "widest_time": widest, "widest_share": share[widest],
        "widest_oracle": trained[widest], "widest_bayes": to_bayes[widest],
        "pythagoras": ((trained - to_bayes - gap) / trained).abs().max(),
        "crossing_uniform_error": abs(miss),
    }  # fmt: skip
    return {f"{prefix}{name}": np.asarray(value).item() for name, value in found.items()}


def time_of(alpha_bar: float) -> float:
    """Time at which ᾱ falls to a value, interpolated; ``ValueError`` if it never does."""
    grid = SCHEDULE.alpha_bars.numpy()
    if not grid[-1] <= alpha_bar <= grid[0]:
        raise ValueError(f"alpha_bar: expected {grid[-1]:.2g} to {grid[0]:.4g}, got {alpha_bar}")
    return float(np.interp(-alpha_bar, -grid, np.arange(len(grid))))


def excess_table(record: Recording) -> pd.DataFrame:
    """Excess risks over Bayes, simulated and in brackets predicted, by noise level."""
    maps = tables.maps(record)
    gap = maps.predicted["parts", "gap"].astype(float)
    titles = {"uniform": "uniform", "trained": "trained", "same": "same pattern"}
    columns = {title: maps.loc["oracle", n].sub(gap, axis=0) for n, title in titles.items()}
    columns["same pattern, distance from Bayes"] = maps.loc["bayes", "same"]
    table = pd.DataFrame({title: found.apply(_both, axis=1) for title, found in columns.items()})
    return table.assign(gap=gap.map("{:.4f}".format)).rename_axis("t")


def _both(row: Any) -> str:
    return f"{row.simulated.value:.4f} ({row.predicted.value:.4f})"


def _exponent(errors: Any) -> float:
    """Exponent of the errors as a power of 1/n_u."""
    return fit_power_law((1 / errors.index).tolist(), errors.tolist()).exponent
