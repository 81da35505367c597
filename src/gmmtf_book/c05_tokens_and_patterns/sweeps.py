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
from gmmtf.scaling import PowerLaw, fit_power_law, steps_needed
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Plan

DIM = 1024
"""Dimension of all sweeps; a change of r²/d changes r."""

BASE = {"n_patterns": 4, "n_active": 4, "ratio": 1.0, "sigma": 0.3, "rarest": 0.25}
"""The setting that the sweeps vary: M, K, r²/d, σ and π_min."""

TARGET = 0.01
"""Excess risk of the sweeps of tokens."""

SHARE = 0.1
"""Share of the excess at W = 0 down to which the sweeps of steps count."""

ABSOLUTE = 0.04
"""Absolute excess risk down to which the sweeps of steps count."""

HALF = 0.5
"""Share of its excess at W = 0 at which the rarest pattern counts as learned."""

NOTICED = 0.1
"""Product with itself at which a rare pattern counts as noticed."""

MANY = 10**9
"""Tokens per data point in the sweeps of steps."""


@dataclass(frozen=True)
class Sweep:
    """One quantity against one setting.

    ``x``: abscissae, the quickest first; ``point``: computes one; ``limit``: the exponent in the
    limit in which there is a power law.
    """

    x: tuple[float, ...]
    point: Callable[[float, int], dict[str, Any]]
    limit: str


def law(n_tokens: int, **changes: float) -> MultiTokenGMM:
    """Return the base setting with changes; its other patterns share what the rarest leaves."""
    values = {**BASE, "rarest": 1 / changes.get("n_patterns", BASE["n_patterns"]), **changes}
    size = int(values["n_patterns"])
    active = int(changes.get("n_active", size))
    rest = (1 - values["rarest"]) / (size - 1)
    uniform = values["rarest"] * size == 1
    return MultiTokenGMM(
        n_patterns=size,
        dim=DIM,
        n_tokens=n_tokens,
        radius=(values["ratio"] * DIM) ** 0.5,
        sigma=values["sigma"],
        weights=None if uniform else [values["rarest"]] + [rest] * (size - 1),
        n_active=None if active == size else active,
    )


def tokens_point(name: str, x: float, n_points: int) -> dict[str, Any]:
    """Tokens that the best head needs, and those of perfect selection, a K/target."""
    target, changes = (x, {}) if name == "target" else (TARGET, {name: x})
    mixture = law(2, **changes)
    level = noise_level(mixture, SCHEDULE, SCHEDULE.times())
    closed = float((level.gain**2 * level.variance).mean()) * mixture.k / target
    return {"found": tokens_needed(target, mixture, SCHEDULE, n_points=n_points), "law": closed}


def time_point(
    name: str,
    x: float,
    n_points: int,
    *,
    target: float = SHARE,
    relative: bool = True,
    pattern: int | None = None,
    fixed: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Training time, steps times step size, until the excess is down to the target.

    In units of the natural step size of the base setting. ``law`` is the time in which the product
    of pattern 0 with itself would reach 1 at the rate of the first step (theory result 1).
    """
    relative_step = x if name == "step size" else 0.25
    changes = {} if name == "step size" else {name: x}
    mixture = law(MANY, **{**(fixed or {}), **changes})
    lr = relative_step * natural_step_size(mixture)
    steps = steps_to_risk(target, mixture, SCHEDULE, relative=relative, pattern=pattern, lr=lr,
                          max_steps=4000, n_points=n_points)  # fmt: skip
    unit = 1.0 if name == "step size" else lr / natural_step_size(law(MANY))
    return {"found": steps * unit, "law": unit / (lr * own_rate(mixture))}


def noticed_point(x: float, n_points: int, *, ratio: float) -> dict[str, Any]:
    """Steps until the product of a rare pattern with itself is noticed, and their prediction."""
    mixture = law(MANY, rarest=x, ratio=ratio)
    lr = 0.125 * natural_step_size(mixture)
    square = mixture.require_equal_orthogonal("the product") ** 2

    def noticed(weight: ReducedWeight) -> bool:
        return float(weight.pattern[0, 0]) * square >= NOTICED

    steps = steps_needed(noticed, mixture, SCHEDULE, lr=lr, max_steps=4000, n_points=n_points)
    return {"found": steps, "law": NOTICED / (lr * own_rate(mixture))}


def own_rate(mixture: MultiTokenGMM) -> float:
    """Rate at which μ_uᵀWμ_u of pattern 0 starts to grow, per unit of step size."""
    direction = exact_descent_direction(mixture, SCHEDULE)
    return float(direction.pattern[0, 0]) * mixture.require_equal_orthogonal("the product") ** 2


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
_OF_16 = {"n_patterns": 16}


def _tokens(name: str) -> Callable[[float, int], dict[str, Any]]:
    return partial(tokens_point, name)


def _share(name: str, **options: Any) -> Callable[[float, int], dict[str, Any]]:
    return partial(time_point, name, **options)


def _absolute(name: str, **options: Any) -> Callable[[float, int], dict[str, Any]]:
    return partial(time_point, name, target=ABSOLUTE, relative=False, **options)


SWEEPS: dict[str, Sweep] = {
    "tokens, target": Sweep((0.04, 0.02, 0.01, 0.005), _tokens("target"), "-1"),
    "tokens, K = M": Sweep(_DOUBLING, _tokens("n_patterns"), "1"),
    "tokens, pi_min": Sweep((0.02, 0.05, 0.125, 0.25), _tokens("rarest"), "0"),
    "tokens, r^2/d": Sweep(_RATIOS, _tokens("ratio"), "0"),
    "tokens, sigma": Sweep(_SIGMAS, _tokens("sigma"), "none"),
    "share, K = M": Sweep(_DOUBLING, _share("n_patterns"), "2"),
    "absolute, K = M": Sweep(_DOUBLING, _absolute("n_patterns"), "2"),
    "share, K of 16": Sweep(_DOUBLING, _share("n_active", fixed=_OF_16), "1"),
    "absolute, K of 16": Sweep(_DOUBLING, _absolute("n_active", fixed=_OF_16), "1"),
    "share, r^2/d": Sweep(_RATIOS, _share("ratio"), "-3"),
    "share, sigma": Sweep(_SIGMAS, _share("sigma"), "none"),
    "share, step size": Sweep((0.0625, 0.125, 0.25, 0.5), _share("step size"), "-1"),
    "rare, pi_min": Sweep(
        (0.16, 0.08, 0.04, 0.02, 0.01), _share("rarest", target=HALF, pattern=0), "-2"
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


def swept(record: Recording, name: str) -> tuple[list[float], list[float], list[float]]:
    """Return abscissae, numbers found and predictions of what is recorded of a sweep."""
    points = {p.labels["x"]: p.value for p in record.select(kind="sweep", sweep=name)}
    x = [each for each in SWEEPS[name].x if each in points]
    return x, [points[each]["found"] for each in x], [points[each]["law"] for each in x]


def fitted(record: Recording, name: str) -> tuple[PowerLaw, PowerLaw]:
    """Fit power laws to a sweep: to what was found, and to the prediction at the same points."""
    x, found, closed = swept(record, name)
    return fit_power_law(x, found), fit_power_law(x, closed)
