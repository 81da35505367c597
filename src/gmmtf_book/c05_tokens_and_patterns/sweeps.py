"""Tokens and steps that an excess risk takes, swept over one setting at a time (C4).

A point is ``{"x": abscissa, "found": number, "law": prediction in closed form}``. Nothing here
simulates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from gmmtf import scaling
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.risks import first_step
from gmmtf.risks.first_step import natural_step_size
from gmmtf.scaling.power_law import PowerLaw, fit_power_law
from gmmtf_book.c05_tokens_and_patterns.runs import SCHEDULE

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

MANY = 10**9
"""Tokens per data point in the sweeps of steps."""


@dataclass(frozen=True)
class Sweep:
    """One quantity against one setting: the abscissae, and how a point is computed."""

    x: tuple[float, ...]
    point: Callable[[float, int], dict[str, Any]]


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
    level = noise_level(mixture, SCHEDULE, torch.arange(SCHEDULE.n_steps))
    closed = float((level.gain**2 * level.variance).mean()) * mixture.k / target
    found = scaling.tokens_needed(target, mixture, SCHEDULE, n_points=n_points)
    return {"x": x, "found": found, "law": closed}


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
    steps = scaling.steps_to_risk(
        target,
        mixture,
        SCHEDULE,
        relative=relative,
        pattern=pattern,
        lr=lr,
        max_steps=4000,
        n_points=n_points,
    )
    unit = 1.0 if name == "step size" else lr / natural_step_size(law(MANY))
    return {"x": x, "found": steps * unit, "law": unit / (lr * own_rate(mixture))}


def noticed_point(x: float, n_points: int, *, ratio: float, level: float = 0.1) -> dict[str, Any]:
    """Steps until the product of a rare pattern with itself is ``level``, and their prediction."""
    mixture = law(MANY, rarest=x, ratio=ratio)
    lr = 0.125 * natural_step_size(mixture)
    square = mixture.require_equal_orthogonal("the product") ** 2
    steps = scaling.steps_needed(
        lambda weight: float(weight.pattern[0, 0]) * square >= level,
        mixture,
        SCHEDULE,
        lr=lr,
        max_steps=4000,
        n_points=n_points,
    )
    return {"x": x, "found": steps, "law": level / (lr * own_rate(mixture))}


def own_rate(mixture: MultiTokenGMM) -> float:
    """Rate at which μ_uᵀWμ_u of pattern 0 starts to grow, per unit of step size."""
    square = mixture.require_equal_orthogonal("the product") ** 2
    direction = first_step.exact_descent_direction(mixture, SCHEDULE)
    return float(direction.pattern[0, 0]) * square


def crossover(mixture: MultiTokenGMM) -> float:
    """π* at which the two terms of a rare pattern's first rate are equal, for many tokens.

    π* = E[c²ᾱτ²]/(r² E[c²ᾱ²]), times averaged over the schedule (theory result 1).
    """
    level = noise_level(mixture, SCHEDULE, torch.arange(SCHEDULE.n_steps))
    power = (level.gain * level.signal) ** 2
    ratio = (power * level.variance).mean() / (power * level.signal**2).mean()
    return float(ratio) / mixture.require_equal_orthogonal("the crossover") ** 2


SWEEPS: dict[str, Sweep] = {
    "tokens, target": Sweep((0.04, 0.02, 0.01, 0.005), partial(tokens_point, "target")),
    "tokens, K = M": Sweep((2, 4, 8, 16), partial(tokens_point, "n_patterns")),
    "tokens, pi_min": Sweep((0.02, 0.05, 0.125, 0.25), partial(tokens_point, "rarest")),
    "tokens, r^2/d": Sweep((0.0625, 0.25, 1.0, 4.0), partial(tokens_point, "ratio")),
    "tokens, sigma": Sweep((0.1, 0.2, 0.3, 0.6), partial(tokens_point, "sigma")),
    "share, K = M": Sweep((2, 4, 8, 16), partial(time_point, "n_patterns")),
    "share, K of 16": Sweep(
        (2, 4, 8, 16), partial(time_point, "n_active", fixed={"n_patterns": 16})
    ),
    "share, r^2/d": Sweep((0.0625, 0.25, 1.0, 4.0), partial(time_point, "ratio")),
    "share, sigma": Sweep((0.1, 0.2, 0.3, 0.6), partial(time_point, "sigma")),
    "share, step size": Sweep((0.0625, 0.125, 0.25, 0.5), partial(time_point, "step size")),
    "absolute, K = M": Sweep(
        (2, 4, 8, 16), partial(time_point, "n_patterns", target=ABSOLUTE, relative=False)
    ),
    "absolute, K of 16": Sweep(
        (2, 4, 8, 16),
        partial(time_point, "n_active", target=ABSOLUTE, relative=False, fixed={"n_patterns": 16}),
    ),
    "rare, pi_min": Sweep(
        (0.16, 0.08, 0.04, 0.02, 0.01), partial(time_point, "rarest", target=HALF, pattern=0)
    ),
    "noticed, long": Sweep((0.08, 0.04, 0.02, 0.01), partial(noticed_point, ratio=4.0)),
    "noticed, short": Sweep(
        (0.02, 0.014, 0.01, 0.007, 0.005), partial(noticed_point, ratio=1 / 64)
    ),
}
"""All sweeps. ``tokens``: that the best head needs for :data:`TARGET`; ``share``, ``absolute``:
training time until the excess is down to :data:`SHARE` of its start, or to :data:`ABSOLUTE`;
``rare``: until that of the rarest pattern's tokens is down to :data:`HALF`; ``noticed``: until its
product with itself is 0.1, for r = 64 and r = 4."""


def run_sweeps(
    recording: Recording, names: Iterable[str], n_points: int, first: int | None = None
) -> None:
    """Compute points of the named sweeps that the recording does not hold yet.

    Only the ``first`` abscissae of each, which are the quickest; all when None.

    Raises
    ------
    ValueError
        If there is no sweep of a name.
    """
    for name in names:
        if name not in SWEEPS:
            raise ValueError(f"names: expected some of {', '.join(SWEEPS)}, got {name!r}")
        sweep = SWEEPS[name]
        for x in sweep.x[:first]:
            recording.point(f"{name} {x:g}", partial(sweep.point, x, n_points))


def swept(values: dict[str, Any], name: str) -> tuple[list[float], list[float], list[float]]:
    """Return abscissae, numbers found and predictions of what is recorded of a sweep."""
    keys = [f"{name} {x:g}" for x in SWEEPS[name].x]
    points = [values[key] for key in keys if key in values]
    return (
        [p["x"] for p in points],
        [p["found"] for p in points],
        [p["law"] for p in points],
    )


def fitted(values: dict[str, Any], name: str) -> tuple[PowerLaw, PowerLaw]:
    """Fit power laws to a sweep: to what was found, and to the prediction at the same points."""
    x, found, closed = swept(values, name)
    return fit_power_law(x, found), fit_power_law(x, closed)
