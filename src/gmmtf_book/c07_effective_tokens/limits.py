"""Limits of the effective picture: where the expansion fails, and what many tokens leave (C3)."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gmmtf import scaling
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.risk import risk
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE, Plan, on_patterns
from gmmtf_book.c07_effective_tokens.run import Point

ENDLESS = 10**12
"""A number of tokens at which what is left of the risk no longer depends on it."""

_START = 0.75  # the search for the best weight starts at βr² = 0.75 d^(2/3)


def indicator_grid(plan: Plan, *, n_points: int = 32, every: int = 1) -> list[Point]:
    """The expansion's error, against the integral on the same queries, over a grid of settings.

    Each point has the ``setting`` (r, σ, N, K, t, βr²), the ``validity`` that the expansion
    reports, whether it ``holds``, and the relative ``error``.

    Parameters
    ----------
    n_points
        Query tokens in each of 8 nets; both computations use the same.
    every
        Take every so-manieth of the 288 settings.
    """
    found = []
    for mixture, t, strength in itertools.islice(_grid(plan), 0, None, every):
        weight = on_patterns(mixture, strength)
        with warnings.catch_warnings():  # that it may fail is what is studied
            warnings.simplefilter("ignore", ValidityWarning)
            expanded = risk(weight, mixture, SCHEDULE, t=t, n_points=n_points)
        exact = risk(weight, mixture, SCHEDULE, t=t, method="integral", n_points=n_points)
        name = [mixture.radius, mixture.sigma, mixture.n_tokens, mixture.k, t, strength]
        found.append(
            {
                "setting": name,
                "validity": expanded.validity,
                "holds": expanded.holds,
                "error": expanded.excess_given_set.relative_to(exact.excess_given_set),
            }
        )
    return found


def _grid(plan: Plan) -> Iterator[tuple[MultiTokenGMM, int, float]]:
    """Norms of the patterns, scatters, times, strengths and numbers of tokens; K takes turns."""
    counts = (plan.n_tokens, 4 * plan.n_tokens, 32 * plan.n_tokens)
    active = itertools.cycle((None, 2, None, None, 2))
    radii = (plan.short_radius, 2 * plan.short_radius, 4 * plan.short_radius)
    times, strengths = (50, 250, 450, 700), (3.0, 6.0, 9.0, 14.0)
    axes = itertools.product(radii, (0.3, 0.6), times, strengths, counts)
    for radius, sigma, t, strength, n_tokens in axes:
        mixture = MultiTokenGMM(
            n_patterns=plan.short_patterns,
            dim=plan.dim,
            n_tokens=n_tokens,
            radius=radius,
            sigma=sigma,
            n_active=next(active),
        )
        yield mixture, t, strength


def many_tokens(
    mixture: MultiTokenGMM, counts: Sequence[int], fixed: ReducedWeight, *, n_points: int = 1024
) -> Point:
    """Excess risk against N: of one ``fixed`` weight, and of the best weight at each N (C3).

    ``best_strength`` is the mean query-key product of a pattern with itself at the best weight.
    """
    radius = mixture.require_equal_orthogonal("the sweep of N")
    kept, best, strengths = [], [], []
    start = fixed
    for n in counts:
        many = replace(mixture, n_tokens=n)
        kept.append(_excess(fixed, many, n_points))
        start, _ = scaling.best_weight(many, SCHEDULE, start=start, n_points=n_points)
        best.append(_excess(start, many, n_points))
        strengths.append(radius**2 * float(start.pattern.diagonal().mean()))
    return {"counts": list(counts), "fixed": kept, "best": best, "best_strength": strengths}


def floor_by_dimension(
    mixture: MultiTokenGMM, dims: Sequence[int], *, n_points: int = 1024
) -> Point:
    """Excess that the best weight leaves with endlessly many tokens, against d = r² (C3).

    ``exponent`` and ``strength_exponent`` are fitted, each with its interval: of the floor, and of
    the best weight's product of a pattern with itself.
    """
    floors, strengths = [], []
    for dim in dims:
        wide = replace(mixture, dim=dim, radius=dim**0.5, n_tokens=ENDLESS)
        start = on_patterns(wide, _START * dim ** (2 / 3))
        point = many_tokens(wide, [ENDLESS], start, n_points=n_points)
        floors.append(point["best"][0])
        strengths.append(point["best_strength"][0])
    fits = [scaling.fit_power_law(dims, y) for y in ([f[0] for f in floors], strengths)]
    exponent, strength_exponent = ([fit.exponent, fit.low, fit.high] for fit in fits)
    return {
        "dims": list(dims),
        "floor": floors,
        "best_strength": strengths,
        "exponent": exponent,
        "strength_exponent": strength_exponent,
    }


def _excess(weight: ReducedWeight, mixture: MultiTokenGMM, n_points: int) -> list[float]:
    excess = risk(weight, mixture, SCHEDULE, n_points=n_points).excess_risk
    return [excess.value, excess.standard_error]
