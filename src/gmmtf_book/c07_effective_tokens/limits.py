"""Limits of the effective picture: where the expansion fails, and what many tokens leave (C3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gmmtf import MultiTokenGMM, ReducedWeight, risk, scaling
from gmmtf.descent import gradient
from gmmtf.estimate import Estimate
from gmmtf.record import Recording
from gmmtf.risks import first_step, formulas
from gmmtf.risks.risk import DISPERSION_LIMIT, VALIDITY_LIMIT
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE, Plan, on_patterns
from gmmtf_book.c07_effective_tokens.runs import Study, expanded

ENDLESS = 10**12
"""A number of tokens at which what is left of the risk no longer depends on it."""


def indicator_grid(study: Study) -> Any:
    """The expansion's error, against the integral on the same queries, over a grid of settings.

    A table, a row a setting: the ``validity`` and ``dispersion`` that the expansion reports,
    whether it ``holds``, and the relative ``error``. Points that are recorded are read.
    """
    plan = study.plan
    for mixture, t, strength in itertools.islice(_grid(plan), 0, None, plan.grid_every):
        study.record.point(
            partial(_indicator, mixture, t, strength, plan.grid_points),
            kind="grid", radius=mixture.radius, sigma=mixture.sigma, N=mixture.n_tokens,
            K=mixture.k, t=t, strength=strength,
        )  # fmt: skip
    return study.record.frame(kind="grid")


def _indicator(
    mixture: MultiTokenGMM, t: int, strength: float, n_points: int
) -> dict[str, float | bool]:
    weight = on_patterns(mixture, strength)
    found = expanded((weight, mixture, t), n_points=n_points)
    exact = risk(weight, mixture, SCHEDULE, t=t, method="integral", n_points=n_points)
    error = found.excess_given_set.relative_to(exact.excess_given_set)
    said = {name: getattr(found, name) for name in ("validity", "dispersion", "holds")}
    return {**said, "error": error}


def strain(points: Any) -> Any:
    """Larger of the expansion's two indicators over its limit; it is taken to hold below 1."""
    return np.maximum(points["validity"] / VALIDITY_LIMIT, points["dispersion"] / DISPERSION_LIMIT)


def _grid(plan: Plan) -> Iterator[tuple[MultiTokenGMM, int, float]]:
    """Norms of the patterns, scatters, times, strengths and numbers of tokens; K takes turns."""
    active = itertools.cycle((None, 2, None, None, 2))
    axes = itertools.product(
        [factor * plan.short_radius for factor in (1, 2, 4)],
        (0.3, 0.6),
        (50, 250, 450, 700),
        (3.0, 6.0, 9.0, 14.0),
        [factor * plan.n_tokens for factor in (1, 4, 32)],
    )
    for radius, sigma, t, strength, n_tokens in axes:
        mixture = replace(plan.short, radius=radius, sigma=sigma, n_tokens=n_tokens)
        yield replace(mixture, n_active=next(active)), t, strength


def many_tokens(
    record: Recording, mixture: MultiTokenGMM, counts: Sequence[int], fixed: ReducedWeight,
    *, n_points: int = 1024,
) -> Any:  # fmt: skip
    """Excess risk against N: of one ``fixed`` weight, and of the ``best`` weight at each N (C3).

    A table, a row a number of tokens; ``best_strength`` is the mean query-key product of a pattern
    with itself at the best weight, whose search starts at that for the number before.
    """
    start = fixed

    def compute(n: int) -> dict[str, Any]:
        nonlocal start
        many = replace(mixture, n_tokens=n)
        kept = _excess(fixed, many, n_points)
        start, found = _best(many, start, n_points)
        return {"fixed": kept, **found}

    for n in counts:
        record.point(partial(compute, n), kind="floor", N=n)
    return record.frame(kind="floor")


def floor_by_dimension(record: Recording, mixture: MultiTokenGMM, dims: Sequence[int]) -> Any:
    """Excess that the best weight leaves with endlessly many tokens, against d = r² (C3).

    A table, a row a dimension; columns as :func:`many_tokens`. The search for the best weight
    starts at βr² = 0.75 d^(2/3).
    """

    def compute(dim: int) -> dict[str, Any]:
        wide = replace(mixture, dim=dim, radius=dim**0.5, n_tokens=ENDLESS)
        return _best(wide, on_patterns(wide, 0.75 * dim ** (2 / 3)), 1024)[1]

    for dim in dims:
        record.point(partial(compute, dim), kind="floor_by_dim", d=dim)
    return record.frame(kind="floor_by_dim")


def _best(
    mixture: MultiTokenGMM, start: ReducedWeight, n_points: int
) -> tuple[ReducedWeight, dict[str, Any]]:
    best, _ = scaling.best_weight(mixture, SCHEDULE, start=start, n_points=n_points)
    strength = float(best.products(mixture).diagonal().mean())
    return best, {"best": _excess(best, mixture, n_points), "best_strength": strength}


def _excess(weight: ReducedWeight, mixture: MultiTokenGMM, n_points: int) -> Estimate:
    return risk(weight, mixture, SCHEDULE, n_points=n_points).excess_risk


def closed_forms(
    mixture: MultiTokenGMM, sharp: MultiTokenGMM, weight: ReducedWeight, *, n_points: int, seed: int
) -> pd.DataFrame:
    """Closed forms beside the full computation.

    The first step is that for ``mixture``; mean denoising and the tilt's floor are those of
    ``weight`` at t = 200 for ``sharp``, whose patterns are long.
    """
    zero = ReducedWeight.zero(mixture)
    slope = gradient(zero, mixture, SCHEDULE, method="integral", n_points=n_points, seed=seed)
    exact = first_step.exact_descent_direction(mixture, SCHEDULE)
    limit = first_step.descent_direction(mixture, SCHEDULE)
    rate, exact_rate, limit_rate = (
        float(each.pattern.diagonal().mean()) for each in (slope, exact, limit)
    )
    full_mean, full_floor = (
        risk(weight, law, SCHEDULE, t=200, seed=seed).excess_risk.value
        for law in (sharp, replace(sharp, n_tokens=ENDLESS))
    )
    rows = {
        "first step, N = 512": (exact_rate, -rate),
        "first step, limit": (limit_rate, -rate),
        "mean denoising": (formulas.mean_denoising_excess(sharp, SCHEDULE, t=200), full_mean),
        "tilt floor": (formulas.tilt_floor(weight, sharp, SCHEDULE, t=200), full_floor),
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["closed form", "full"])
    return table.assign(ratio=table["full"] / table["closed form"])
