"""Tokens and steps that an excess risk takes, swept over one setting at a time (C4).

A point has the number ``found`` and the ``law``, its prediction in closed form. Nothing here
simulates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gmmtf import MultiTokenGMM, ReducedWeight, natural_step_size, steps_to_risk, tokens_needed
from gmmtf.laws.level import noise_level
from gmmtf.record import Recording
from gmmtf.risks.first_step import exact_descent_direction
from gmmtf.scaling import steps_needed
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case, Plan

DIM = 1024  # of all sweeps; a change of r²/d changes r
TARGET = 0.01  # excess risk of the sweeps of tokens
SHARE = 0.1  # of the excess at W = 0, down to which the sweeps of steps count
ABSOLUTE = 0.04  # excess risk, down to which they count otherwise
HALF = 0.5  # share of its excess at W = 0 at which the rarest pattern counts as learned
NOTICED = 0.1  # product with itself at which a rare pattern counts as noticed
MANY = 10**9  # tokens per data point in the sweeps of steps


@dataclass(frozen=True)
class Sweep:
    """One quantity against one setting.

    ``x``: abscissae, the quickest first; ``point``: computes one; ``limit``: the exponent in the
    limit in which there is a power law.
    """

    x: tuple[float, ...]
    point: Callable[[float, int], dict[str, Any]]
    limit: str


def law(
    n_tokens: int, *, n_patterns: int = 4, n_active: int | None = None, ratio: float = 1.0,
    sigma: float = 0.3, rarest: float | None = None,
) -> MultiTokenGMM:  # fmt: skip
    """Return the setting that the sweeps vary: N, M, K, r²/d, σ and π_min."""
    return Case(n_patterns, n_tokens, n_active, rarest).mixture(DIM, (ratio * DIM) ** 0.5, sigma)


def tokens_point(name: str, x: float, n_points: int) -> dict[str, Any]:
    """Tokens that the best head needs, and those of perfect selection, a K/target."""
    changes: dict[str, Any] = {} if name == "target" else {name: x}
    target, mixture = TARGET if changes else x, law(2, **changes)
    level = noise_level(mixture, SCHEDULE, SCHEDULE.times())
    closed = float((level.gain**2 * level.variance).mean()) * mixture.k / target
    return {"found": tokens_needed(target, mixture, SCHEDULE, n_points=n_points), "law": closed}


def time_point(
    name: str, x: float, n_points: int, *, target: float = SHARE, relative: bool = True,
    pattern: int | None = None, **fixed: Any,
) -> dict[str, Any]:  # fmt: skip
    """Training time, steps times step size, until the excess is down to the target.

    In units of the natural step size of the base setting. ``law`` is the time in which the product
    of pattern 0 with itself would reach 1 at the rate of the first step (theory result 1).
    """
    by_step = name == "step size"
    mixture = law(MANY, **(fixed if by_step else {**fixed, name: x}))
    lr = (x if by_step else 0.25) * natural_step_size(mixture)
    steps = steps_to_risk(target, mixture, SCHEDULE, relative=relative, pattern=pattern, lr=lr,
                          max_steps=4000, n_points=n_points)  # fmt: skip
    unit = 1.0 if by_step else lr / natural_step_size(law(MANY))
    return {"found": steps * unit, "law": unit / (lr * own_rate(mixture))}


def noticed_point(x: float, n_points: int, *, ratio: float) -> dict[str, Any]:
    """Steps until the product of a rare pattern with itself is noticed, and their prediction."""
    mixture = law(MANY, rarest=x, ratio=ratio)
    lr = 0.125 * natural_step_size(mixture)

    def noticed(weight: ReducedWeight) -> bool:
        return own_product(weight, mixture) >= NOTICED

    steps = steps_needed(noticed, mixture, SCHEDULE, lr=lr, max_steps=4000, n_points=n_points)
    return {"found": steps, "law": NOTICED / (lr * own_rate(mixture))}


def own_product(weight: ReducedWeight, mixture: MultiTokenGMM) -> float:
    """Return μ_uᵀWμ_u of the rarest pattern."""
    return float(weight.products(mixture)[0, 0])


def own_rate(mixture: MultiTokenGMM) -> float:
    """Rate at which that product starts to grow, per unit of step size."""
    return own_product(exact_descent_direction(mixture, SCHEDULE), mixture)


def crossover(mixture: MultiTokenGMM) -> float:
    """π* at which the two terms of a rare pattern's first rate are equal, for many tokens.

    π* = E[c²ᾱτ²]/(r² E[c²ᾱ²]), times averaged over the schedule (theory result 1).
    """
    level = noise_level(mixture, SCHEDULE, SCHEDULE.times())
    power = (level.gain * level.signal) ** 2
    ratio = (power * level.variance).mean() / (power * level.signal**2).mean()
    return float(ratio) / mixture.require_equal_orthogonal("the crossover") ** 2


_DOUBLING = (2, 4, 8, 16)
_RATIOS = (0.0625, 0.25, 1.0, 4.0)
_SIGMAS = (0.1, 0.2, 0.3, 0.6)
_absolute = partial(time_point, target=ABSOLUTE, relative=False)

SWEEPS: dict[str, Sweep] = {
    "tokens, target": Sweep((0.04, 0.02, 0.01, 0.005), partial(tokens_point, "target"), "-1"),
    "tokens, K = M": Sweep(_DOUBLING, partial(tokens_point, "n_patterns"), "1"),
    "tokens, pi_min": Sweep((0.02, 0.05, 0.125, 0.25), partial(tokens_point, "rarest"), "0"),
    "tokens, r^2/d": Sweep(_RATIOS, partial(tokens_point, "ratio"), "0"),
    "tokens, sigma": Sweep(_SIGMAS, partial(tokens_point, "sigma"), "none"),
    "share, K = M": Sweep(_DOUBLING, partial(time_point, "n_patterns"), "2"),
    "absolute, K = M": Sweep(_DOUBLING, partial(_absolute, "n_patterns"), "2"),
    "share, K of 16": Sweep(_DOUBLING, partial(time_point, "n_active", n_patterns=16), "1"),
    "absolute, K of 16": Sweep(_DOUBLING, partial(_absolute, "n_active", n_patterns=16), "1"),
    "share, r^2/d": Sweep(_RATIOS, partial(time_point, "ratio"), "-3"),
    "share, sigma": Sweep(_SIGMAS, partial(time_point, "sigma"), "none"),
    "share, step size": Sweep((0.0625, 0.125, 0.25, 0.5), partial(time_point, "step size"), "-1"),
    "rare, pi_min": Sweep(
        (0.16, 0.08, 0.04, 0.02, 0.01), partial(time_point, "rarest", target=HALF, pattern=0), "-2"
    ),
    "noticed, long": Sweep((0.08, 0.04, 0.02, 0.01), partial(noticed_point, ratio=4.0), "-2"),
    "noticed, short": Sweep(
        (0.02, 0.014, 0.01, 0.007, 0.005), partial(noticed_point, ratio=1 / 64), "-1"
    ),
}
"""All sweeps. ``tokens``: that the best head needs for :data:`TARGET`; ``share``, ``absolute``:
training time until the excess is down to :data:`SHARE` of its start, or to :data:`ABSOLUTE`;
``rare``: until that of the rarest pattern's tokens is down to :data:`HALF`; ``noticed``: until its
product with itself is :data:`NOTICED`, for r = 64 and r = 4."""


def run(record: Recording, plan: Plan) -> None:
    """Compute the points of the plan's sweeps that the record does not hold yet."""
    for name in SWEEPS if plan.sweeps is None else plan.sweeps:
        if name not in SWEEPS:
            raise ValueError(f"sweeps: expected some of {'; '.join(SWEEPS)}, got {name!r}")
        sweep = SWEEPS[name]
        for x in sweep.x[: plan.sweep_first]:
            record.point(partial(sweep.point, x, plan.sweep_points), kind="sweep", sweep=name, x=x)
