"""The tilt floor: excess risk against the number of tokens, with and without correction (ch. 8).

One noise level, short patterns, and numbers of tokens from a hundred to a million millions: the
risk is the exact integral of the effective picture, so none of them has to be simulated.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial

import torch
from scipy.optimize import minimize_scalar
from torch import nn

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, ReducedWeight, evaluate, risk
from gmmtf.laws.level import noise_level
from gmmtf.record import Recording
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import squared_error
from gmmtf_book.c08_better_heads.plan import SCHEDULE

TIME = 306  # noise level of the study: ᾱ = 0.38 on the linear schedule with 1000 steps
FIXED_STRENGTH = 12.0  # βr² of the weight βP that is kept for all numbers of tokens


def mixture(n_tokens: int) -> MultiTokenGMM:
    """Return the mixture of the study, M = 4, d = 32, r = 8: labels are readable."""
    return MultiTokenGMM(n_patterns=4, dim=32, n_tokens=n_tokens, radius=8.0, sigma=0.3)


def bayes_strength() -> float:
    """βr² of W = P/τ², with which the corrected head has the Bayes denoiser as its limit."""
    return 64.0 / float(noise_level(mixture(2), SCHEDULE, torch.tensor(TIME)).variance)


def centred(strength: float) -> ReducedWeight:
    """Weight β(I - 11ᵀ/M) on the patterns, βr² = ``strength``: it compares patterns, and no more.

    The direction 11ᵀ moves the scores of all patterns alike, which softmax does not see, and only
    adds to the tilt and to the variance.
    """
    scaled = ReducedWeight.on_patterns(mixture(2), strength)
    return ReducedWeight(scaled.pattern - scaled.pattern.mean(), scaled.complement)


def excess(strength: float, n_tokens: int, corrected: bool, n_points: int) -> dict[str, Estimate]:
    """Exact excess risk of W = βP.

    Where scores have a standard deviation above 8 the quadrature calls itself unreliable; that is
    so for a few queries at W = P/τ², whose errors are of order one either way.
    """
    weight = ReducedWeight.on_patterns(mixture(n_tokens), strength)
    with warnings.catch_warnings(action="ignore", category=ValidityWarning):
        return {"excess": _exact(weight, n_tokens, corrected, n_points)}


def _exact(
    weight: ReducedWeight, n_tokens: int, corrected: bool, n_points: int, seed: int = 0
) -> Estimate:
    head = HeadScalars(tilt_correction=float(corrected))
    return risk(
        weight, mixture(n_tokens), SCHEDULE, t=TIME, head=head, method="integral",
        n_points=n_points, n_replicates=4, seed=seed,
    ).excess_risk  # fmt: skip


def best(n_tokens: int, corrected: bool, n_points: int) -> dict[str, Estimate | float]:
    """Find the best weight β(I - 11ᵀ/M) for this number of tokens, and its exact excess risk.

    With many tokens a few queries of unreadable label carry the whole risk, so the evaluation uses
    four times as many query tokens in each of its 4 nets as ``n_points``.
    """
    head = HeadScalars(tilt_correction=float(corrected))
    queries = draw_queries(mixture(n_tokens), SCHEDULE, t=TIME, n_points=2 * n_points)

    def value(log_strength: float) -> float:
        weight = centred(math.exp(log_strength))
        return float(squared_error(weight, queries, head, "integral").mean())

    with torch.no_grad():
        search = minimize_scalar(
            value, bounds=(math.log(4), math.log(100)), method="bounded", options={"xatol": 0.03}
        )
    strength = math.exp(float(search.x))
    found = _exact(centred(strength), n_tokens, corrected, 4 * n_points, seed=1)
    return {"excess": found, "strength": strength}


def simulated(strength: float, n_tokens: int, corrected: bool, n_samples: int) -> Estimate:
    """Excess risk of W = βP by simulation with full tokens."""
    there = mixture(n_tokens)
    head = AttentionDenoiser(there, SCHEDULE, torch.float64, tilt_correction=corrected)
    with torch.no_grad():
        head.weight.copy_(ReducedWeight.on_patterns(there, strength).to_full(there))
    return simulated_excess(head, there, n_samples, batch_size=1, seed=0)


def simulated_excess(
    head: nn.Module, law: MultiTokenGMM, n_samples: int, *, batch_size: int, seed: int
) -> Estimate:
    """Excess risk of any head at :data:`TIME`; all heads of a law see the same data."""
    return evaluate(
        head, law, SCHEDULE, t=TIME, n_samples=n_samples, batch_size=batch_size,
        generator=torch.Generator().manual_seed(seed), dtype=torch.float64,
    ).excess_risk  # fmt: skip


CURVES = {
    "plain": (FIXED_STRENGTH, False),
    "corrected": (FIXED_STRENGTH, True),
    "limit": (bayes_strength(), True),
}
"""Curves of a fixed weight W = βP: βr², and whether the tilt is corrected. Beside them there are
``best plain`` and ``best corrected``."""


def run(record: Recording, counts: Sequence[int], n_points: int = 256) -> None:
    """Compute the curves of the floor at the given numbers of tokens."""
    for n in counts:
        for curve, (strength, corrected) in CURVES.items():
            points = max(8, n_points // 4) if curve == "limit" else n_points
            compute = partial(excess, strength, n, corrected, points)
            record.point(compute, kind="floor", curve=curve, N=n)
        for curve, corrected in (("best plain", False), ("best corrected", True)):
            record.point(partial(best, n, corrected, n_points), kind="floor", curve=curve, N=n)
