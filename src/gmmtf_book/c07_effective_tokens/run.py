"""The effective picture against simulation: where it holds, how well, and what it says (C3, C4).

A plan names the sizes of a run. Every point of it is computed three ways, by simulation of data
points, by the expansion in 1/N and by the exact integral, and is recorded under a key from which
its setting can be made again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import DescentRecord
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.risk import risk
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE, SWEEPS, Plan

Point = dict[str, Any]

_CHEAPER = 32  # query tokens for the expansion, for each one for the integral


def measure(
    recording: Recording, plan: Plan, *, device: torch.device | str = "cpu"
) -> dict[str, Point]:
    """Compute or read every point of the four sweeps; keys as in :attr:`Plan.keys`."""
    found = {}
    for key in plan.keys:

        def compute(key: str = key) -> Point:
            weight, mixture, t = plan.setting(key)
            count = plan.n_simulated
            if t is not None:  # fewer data points do where the time does not vary
                count = max(8, round(count / 2 * min(1.0, plan.n_tokens / mixture.n_tokens)))
            simulated = simulate(weight, mixture, t, plan.seeds, count, device)
            return simulated | predict(weight, mixture, t, n_points=plan.n_points)

        found[key] = recording.point(key, compute)
    return found


def measure_curve(
    recording: Recording,
    plan: Plan,
    run: Iterable[DescentRecord],
    *,
    device: torch.device | str = "cpu",
) -> dict[int, Point]:
    """Simulate some of the weights that gradient descent on the expansion went through.

    Parameters
    ----------
    run
        Records of the descent for the plan's main mixture; those of the ``curve_steps`` are used.

    Returns
    -------
    dict[int, Point]
        By the step; ``weight`` holds the three numbers of :func:`three_numbers`.
    """
    found = {}
    for record in run:
        if record.step not in plan.curve_steps:
            continue

        def compute(record: DescentRecord = record) -> Point:
            weight = record.weight
            simulated = simulate(weight, plan.main, None, plan.seeds, plan.n_simulated, device)
            predicted = predict(weight, plan.main, None, n_points=plan.n_points)
            return simulated | predicted | {"weight": three_numbers(weight)}

        found[record.step] = recording.point(f"curve/{record.step}", compute)
    return found


def three_numbers(weight: ReducedWeight) -> list[float]:
    """Means of the diagonal and of the other entries of G, and κ: the weight, for uniform π."""
    size = weight.pattern.shape[0]
    same = float(weight.pattern.diagonal().mean())
    other = (float(weight.pattern.sum()) - size * same) / max(1, size * (size - 1))
    return [same, other, float(weight.complement)]


def from_three_numbers(numbers: Sequence[float], mixture: MultiTokenGMM) -> ReducedWeight:
    """Undo :func:`three_numbers`."""
    same, other, complement = numbers
    size = mixture.n_patterns
    pattern = torch.full((size, size), other, dtype=torch.float64)
    pattern.fill_diagonal_(same)
    return ReducedWeight(pattern, torch.tensor(complement, dtype=torch.float64))


def simulate(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    t: int | None,
    seeds: Sequence[int],
    n_samples: int,
    device: torch.device | str = "cpu",
) -> Point:
    """Excess risk by the exact reduced simulation: ``seeds`` and their mean, ``simulated``.

    Every estimate is ``[value, standard_error]``.
    """
    each = []
    for seed in seeds:
        generator = torch.Generator(device).manual_seed(seed)
        risks = risk(
            weight,
            mixture,
            SCHEDULE,
            t=t,
            method="simulation",
            n_samples=n_samples,
            generator=generator,
            bayes=Estimate(0.0, 0.0),  # only the loss needs it
        )
        each.append(_pair(risks.excess_risk))
    value = sum(v for v, _ in each) / len(each)
    error = math.sqrt(sum(e**2 for _, e in each)) / len(each)
    return {"seeds": each, "simulated": [value, error]}


def predict(
    weight: ReducedWeight, mixture: MultiTokenGMM, t: int | None, *, n_points: int
) -> Point:
    """Excess risk by the expansion and by the integral, and what the expansion says of itself."""
    with warnings.catch_warnings():  # that it may fail is what is studied
        warnings.simplefilter("ignore", ValidityWarning)
        found = risk(weight, mixture, SCHEDULE, t=t, n_points=_CHEAPER * n_points)
    exact = risk(weight, mixture, SCHEDULE, t=t, method="integral", n_points=n_points)
    return {
        "expansion": _pair(found.excess_risk),
        "integral": _pair(exact.excess_risk),
        "validity": found.validity,
        "dispersion": found.dispersion,
        "holds": found.holds,
    }


def expansion_line(
    plan: Plan, sweep: str, values: Sequence[float], *, n_points: int = 256
) -> list[float]:
    """Excess risk by the expansion over a sweep, as a curve to draw; NaN where it does not hold."""
    line = []
    for value in values:
        weight, mixture, t = plan.setting(f"{sweep}/{value:g}")
        with warnings.catch_warnings():  # where it fails there is nothing to draw
            warnings.simplefilter("ignore", ValidityWarning)
            found = risk(weight, mixture, SCHEDULE, t=t, n_points=n_points)
        line.append(found.excess_risk.value if found.holds else math.nan)
    return line


def summary(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers that the account of the claims quotes, from the recorded points.

    ``tolerance``: the largest difference between expansion and simulation at a point where the
    expansion holds, in units of what is allowed: 5 % or two standard errors, whichever is more.
    """
    sweeps = [p for key, p in values.items() if key.split("/")[0] in SWEEPS]
    curve = [p for key, p in values.items() if key.startswith("curve/")]
    points = sweeps + curve
    held = [p for p in points if p["holds"]]
    grid, floor = values["grid"], values["floor"]
    right = [p for p in grid if p["holds"]]
    wrong = [p["validity"] for p in grid if p["error"] > 0.05]
    return {
        "points": len(points),
        "points_held": len(held),
        "worst_error": max(_relative(p) for p in held),
        "tolerance": max(min(_relative(p) / 0.05, _deviation(p, "expansion") / 2) for p in held),
        "curve_worst_error": max(_relative(p) for p in curve),
        "integral_deviation": max(_deviation(p, "integral") for p in points),
        "largest_standard_error": max(p["simulated"][1] / p["simulated"][0] for p in points),
        "grid_settings": len(grid),
        "grid_held": len(right),
        "grid_worst_error": max(p["error"] for p in right),
        "grid_smallest_indicator_of_failure": min(wrong),
        "floor_fixed": floor["fixed"][-1][0],
        "floor_best": floor["best"][-1][0],
        "floor_best_share": floor["best"][-1][0] / floor["best"][0][0],
        "floor_exponent": values["floor_by_dim"]["exponent"][0],
        "floor_strength_exponent": values["floor_by_dim"]["strength_exponent"][0],
    }


def _relative(point: Point) -> float:
    return float(abs(point["expansion"][0] / point["simulated"][0] - 1))


def _deviation(point: Point, method: str) -> float:
    """Standard errors between a prediction and the simulation."""
    (a, error_a), (b, error_b) = point[method], point["simulated"]
    return float(abs(a - b) / math.hypot(error_a, error_b))


def _pair(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.standard_error]
