"""Interventions on the attention, predicted without data points (C6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks import formulas
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c06_mean_denoising.closed_forms import (
    blind_excess,
    foreign_mismatch,
    same_pattern_distance,
)
from gmmtf_book.c06_mean_denoising.counts import error_given_count
from gmmtf_book.c06_mean_denoising.draws import Pair
from gmmtf_book.c06_mean_denoising.maps import predict_map


def weight_point(head: AttentionDenoiser) -> dict[str, Any]:
    """Record a trained weight in reduced coordinates, and the norm of what they leave out."""
    weight, outside = ReducedWeight.from_full(head.weight, head.mixture)
    return {**weight.as_json(), "outside": outside}


def predict(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int,
    *,
    n_points: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Predict what :func:`gmmtf_book.c06_mean_denoising.draws.measure` simulates, without data points.

    Returns
    -------
    dict
        The same, without the distance of the twin's map from the Bayes estimate, and
        ``map`` with the entry ``limit``. ``parts`` splits the trained head's excess over the
        oracle: ``gap`` (the labels are not known), ``limit`` (what the weight gets wrong with
        infinitely many tokens) and ``tokens`` (the rest, due to finite N).
    """
    excess = risk(
        weight, mixture, schedule, t=t, method="integral", n_points=n_points, seed=seed
    ).excess_risk
    many = replace(mixture, n_tokens=10**12)
    limit = risk(weight, many, schedule, t=t, seed=seed).excess_risk
    numbers = predict_map(weight, mixture, schedule, t, n_points=n_points, seed=seed)
    bayes = bayes_risk(mixture, schedule, t=t)
    gap = bayes.value - oracle_risk(mixture, schedule, t=t)
    concentration, own = numbers.concentration.value, numbers.own.value

    def blind(mismatch: float) -> float:
        return blind_excess(concentration, mismatch, mixture, schedule, t)

    oracle = {
        "trained": excess.value + gap,
        "uniform": formulas.start_risk(mixture, schedule, t=t),
        "same": formulas.mean_denoising_excess(mixture, schedule, t=t),
        "other": blind(foreign_mismatch(concentration, own, mixture)),
        "twin": blind(numbers.mismatch.value),
    }
    to_bayes = {name: oracle[name] - gap for name in ("trained", "uniform", "other")}
    to_bayes["same"] = same_pattern_distance(mixture, schedule, t).value
    error = math.hypot(excess.standard_error, bayes.standard_error)
    return {
        "oracle": {
            name: [value, error if name == "trained" else 0.0] for name, value in oracle.items()
        },
        "bayes": {
            name: [value, error if name == "trained" else 0.0] for name, value in to_bayes.items()
        },
        "map": {name: [e.value, e.standard_error] for name, e in vars(numbers).items()},
        "parts": {
            "gap": gap,
            "limit": limit.value,
            "tokens": excess.value - limit.value,
        },
    }


def predict_counts(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int,
    counts: Sequence[int],
    *,
    n_points: int,
) -> dict[str, Pair]:
    """Predict the error of the trained map in ``measure_counts``, for each count."""
    variance = float(noise_level(mixture, schedule, torch.tensor(t)).variance)
    result = {}
    for count in counts:
        error = error_given_count(weight, mixture, schedule, t, count, n_points=n_points)
        result[str(count)] = [error.value / variance, error.standard_error / variance]
    return result
