"""The tilt floor: excess risk against the number of tokens, with and without correction (ch. 8).

One noise level, short patterns, and numbers of tokens from a hundred to a million millions: the
risk is the exact integral of the effective picture, so none of them has to be simulated.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from scipy.optimize import minimize_scalar

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.risks.evaluate import evaluate
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import risk, squared_error
from gmmtf.schedule import NoiseSchedule

TIME = 306
"""Noise level of the study: ᾱ = 0.38 on the linear schedule with 1000 steps."""

FIXED_STRENGTH = 12.0
"""βr² of the weight βP that is kept for all numbers of tokens."""


def mixture(n_tokens: int) -> MultiTokenGMM:
    """Return the mixture of the study, M = 4, d = 32, r = 8: labels are readable."""
    return MultiTokenGMM(n_patterns=4, dim=32, n_tokens=n_tokens, radius=8.0, sigma=0.3)


def bayes_strength(schedule: NoiseSchedule) -> float:
    """βr² of W = P/τ², with which the corrected head has the Bayes denoiser as its limit."""
    one = mixture(2)
    return 64.0 / float(noise_level(one, schedule, torch.tensor(TIME)).variance)


def centred(strength: float, radius: float, size: int) -> ReducedWeight:
    """Weight β(I - 11ᵀ/M) on the patterns: it compares patterns, and no more.

    The direction 11ᵀ moves the scores of all patterns alike, which softmax does not see, and only
    adds to the tilt and to the variance.
    """
    eye = torch.eye(size, dtype=torch.float64)
    pattern = strength / radius**2 * (eye - 1 / size)
    return ReducedWeight(pattern, torch.zeros((), dtype=torch.float64))


def on_patterns(strength: float, radius: float, size: int) -> ReducedWeight:
    """Weight βP with βr² = ``strength``."""
    eye = torch.eye(size, dtype=torch.float64)
    return ReducedWeight(strength / radius**2 * eye, torch.zeros((), dtype=torch.float64))


def excess(
    strength: float, n_tokens: int, corrected: bool, schedule: NoiseSchedule, n_points: int
) -> list[float]:
    """Exact excess risk of W = βP, with its standard error.

    Where scores have a standard deviation above 8 the quadrature calls itself unreliable; that is
    so for a few queries at W = P/τ², whose errors are of order one either way.
    """
    there = mixture(n_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ValidityWarning)
        found = risk(
            on_patterns(strength, 8.0, 4),
            there,
            schedule,
            t=TIME,
            head=HeadScalars(tilt_correction=float(corrected)),
            method="integral",
            n_points=n_points,
            n_replicates=4,
        ).excess_risk
    return [found.value, found.standard_error]


def best(
    n_tokens: int, corrected: bool, schedule: NoiseSchedule, n_points: int
) -> dict[str, list[float] | float]:
    """Find the best weight β(I - 11ᵀ/M) for this number of tokens, and its exact excess risk.

    With many tokens a few queries of unreadable label carry the whole risk, so the evaluation uses
    four times as many query tokens in each of its 4 nets as ``n_points``.
    """
    there = mixture(n_tokens)
    head = HeadScalars(tilt_correction=float(corrected))
    queries = draw_queries(there, schedule, t=TIME, n_points=2 * n_points)

    def value(log_strength: float) -> float:
        weight = centred(math.exp(log_strength), 8.0, 4)
        return float(squared_error(weight, queries, head, "integral").mean())

    with torch.no_grad():
        search = minimize_scalar(
            value, bounds=(math.log(4), math.log(100)), method="bounded", options={"xatol": 0.03}
        )
    strength = math.exp(float(search.x))
    found = risk(
        centred(strength, 8.0, 4),
        there,
        schedule,
        t=TIME,
        head=head,
        method="integral",
        n_points=4 * n_points,
        n_replicates=4,
        seed=1,
    ).excess_risk
    return {"excess": [found.value, found.standard_error], "strength": strength}


def simulated(
    strength: float, n_tokens: int, corrected: bool, schedule: NoiseSchedule, n_samples: int
) -> list[float]:
    """Excess risk of W = βP by simulation with full tokens, with its standard error."""
    there = mixture(n_tokens)
    head = AttentionDenoiser(there, schedule, torch.float64, tilt_correction=corrected)
    with torch.no_grad():
        head.weight.copy_(on_patterns(strength, 8.0, 4).to_full(there))
    found = evaluate(
        head,
        there,
        schedule,
        t=TIME,
        n_samples=n_samples,
        batch_size=1,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    ).excess_risk
    return [found.value, found.standard_error]


def record_floor(
    recording: Recording, schedule: NoiseSchedule, counts: Sequence[int], n_points: int
) -> dict[str, Any]:
    """Compute the curves of the floor at the given numbers of tokens, and return all points.

    Keys are ``floor/<curve>/<N>`` with the curves ``plain``, ``corrected`` (W = βP fixed),
    ``limit`` (corrected, W = P/τ²), ``best plain`` and ``best corrected``.
    """
    limit = bayes_strength(schedule)
    for n in counts:
        curves: dict[str, Callable[[], Any]] = {
            "plain": partial(excess, FIXED_STRENGTH, n, False, schedule, n_points),
            "corrected": partial(excess, FIXED_STRENGTH, n, True, schedule, n_points),
            "limit": partial(excess, limit, n, True, schedule, max(8, n_points // 4)),
            "best plain": partial(best, n, False, schedule, n_points),
            "best corrected": partial(best, n, True, schedule, n_points),
        }
        for name, compute in curves.items():
            recording.point(f"floor/{name}/{n}", compute)
    return recording.values
