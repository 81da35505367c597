"""The intervention study: which points it computes, and the numbers that are drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.scaling.power_law import fit_power_law
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c06_mean_denoising.draws import MAPS, measure, measure_counts
from gmmtf_book.c06_mean_denoising.predictions import predict, predict_counts, weight_point
from gmmtf_book.c06_mean_denoising.series import (
    Series,
    count_series,
    crossings,
    grid,
    misfit,
    parts,
    series,
)

Heads = Callable[[int], AttentionDenoiser]
"""Returns the head that was trained with a seed."""


@dataclass(frozen=True)
class Plan:
    """Which points a run computes.

    ``seeds``: one trained head each; ``times``: noise levels of the interventions; ``counts`` and
    ``count_times``: n_u and the noise levels of the error against 1/n_u; ``n_samples``: data points
    a simulated point, ``batch_size`` at a time; ``n_points``: queries of each of the eight nets of
    a prediction.
    """

    seeds: Sequence[int]
    times: Sequence[int]
    count_times: Sequence[int]
    counts: Sequence[int]
    n_samples: int
    batch_size: int
    n_points: int


def law_of(settings: Mapping[str, Any]) -> MultiTokenGMM:
    """Return the data law of a recorded run from its settings."""
    names = ("n_patterns", "dim", "n_tokens", "radius", "sigma")
    return MultiTokenGMM(**{name: settings[name] for name in names})


def run(recording: Recording, head_of: Heads, plan: Plan) -> dict[str, Any]:
    """Compute the points that ``recording`` lacks, and return all of them.

    ``head_of`` returns the head trained with a seed; it is called only where a point is missing.
    """
    for seed in plan.seeds:
        point = recording.point(f"{seed}/weight", partial(_weight, head_of, seed))
        weight = ReducedWeight.from_json(point)
        for t in plan.times:
            recording.point(f"{seed}/{t}", partial(_level, head_of, weight, t, seed, plan))
        for t in plan.count_times:
            recording.point(f"{seed}/counts/{t}", partial(_counts, head_of, weight, t, seed, plan))
    return recording.values


def _weight(head_of: Heads, seed: int) -> dict[str, Any]:
    return weight_point(head_of(seed))


def _level(head_of: Heads, weight: ReducedWeight, t: int, seed: int, plan: Plan) -> dict[str, Any]:
    head = head_of(seed)
    return {
        "simulated": measure(
            head, t, n_samples=plan.n_samples, batch_size=plan.batch_size, seed=1000 * t + seed
        ),
        "predicted": predict(
            weight, head.mixture, head.schedule, t, n_points=plan.n_points, seed=seed
        ),
    }


def _counts(head_of: Heads, weight: ReducedWeight, t: int, seed: int, plan: Plan) -> dict[str, Any]:
    head = head_of(seed)
    return {
        "simulated": measure_counts(
            head,
            t,
            plan.counts,
            n_samples=plan.n_samples,
            batch_size=plan.batch_size,
            seed=1000 * t + 500 + seed,
        ),
        "predicted": predict_counts(
            weight, head.mixture, head.schedule, t, plan.counts, n_points=plan.n_points
        ),
    }


def summary(
    values: Mapping[str, Any], mixture: MultiTokenGMM, schedule: NoiseSchedule
) -> dict[str, float]:
    """Numbers that the account of the claims quotes (C6, C7, F1).

    The entries "worst" are at most 1 if all predictions hold, within 5 % or two standard errors;
    numbers of the map below 0.0001 are taken for zero. "low" and "high" are the lowest and the
    highest noise level of the error against n_u.
    """
    oracle = {name: series(values, "oracle", name) for name in MAPS}
    to_bayes = {name: series(values, "bayes", name) for name in MAPS if name != "twin"}
    numbers = {
        name: series(values, "map", name) for name in ("same", "own", "concentration", "mismatch")
    }
    _, seeds = grid(values)
    levels = sorted(
        int(key.split("/")[2]) for key in values if key.startswith(f"{seeds[0]}/counts/")
    )
    counted = {t: count_series(values, t) for t in levels}
    times = oracle["trained"].times.tolist()
    low, high = times.index(levels[0]), times.index(levels[-1])
    found = {
        "worst_oracle": max(misfit(row) for row in oracle.values()),
        "largest_oracle": max(
            float(np.abs(row.predicted / row.simulated - 1).max()) for row in oracle.values()
        ),
        "worst_bayes": max(misfit(row) for row in to_bayes.values()),
        "worst_map": max(misfit(row, floor=1e-4) for row in numbers.values()),
        "worst_counts": max(misfit(row["trained"]) for row in counted.values()),
        "mass_low": float(numbers["same"].simulated[low]),
        "mass_high": float(numbers["same"].simulated[high]),
        "trained_over_same_low": _ratio(oracle, "trained", "same", low),
        "trained_over_same_high": _ratio(oracle, "trained", "same", high),
        "uniform_over_trained_low": _ratio(oracle, "uniform", "trained", low),
        "other_over_uniform_low": _ratio(oracle, "other", "uniform", low),
        "twin_over_trained_low": _ratio(oracle, "twin", "trained", low),
        "pythagoras": _pythagoras(oracle["trained"], to_bayes["trained"], values),
    }
    for key, level in (("low", levels[0]), ("high", levels[-1])):
        row = counted[level]["trained"]
        found[f"slope_{key}"] = _exponent(row.times, row.simulated)
        found[f"slope_{key}_predicted"] = _exponent(row.times, row.predicted)
    same = counted[levels[0]]["same"]
    found["slope_same"] = _exponent(same.times, same.simulated)
    for key, (simulated, predicted) in crossings(values, mixture, schedule).items():
        found[f"crossing_{key}"] = simulated
        found[f"crossing_{key}_predicted"] = predicted
    return found


def _ratio(rows: Mapping[str, Series], first: str, second: str, at: int) -> float:
    return float(rows[first].simulated[at] / rows[second].simulated[at])


def _pythagoras(oracle: Series, to_bayes: Series, values: Mapping[str, Any]) -> float:
    """Largest deviation from D_O = D_B + gap, as a share of D_O."""
    deviation = oracle.simulated - to_bayes.simulated - parts(values)["gap"]
    return float(np.abs(deviation / oracle.simulated).max())


def _exponent(counts: np.ndarray, errors: np.ndarray) -> float:
    """Exponent of the errors as a power of 1/n_u."""
    return fit_power_law([1 / n for n in counts.tolist()], errors.tolist()).exponent
