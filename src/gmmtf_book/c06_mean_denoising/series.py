"""Curves over the noise levels from recorded interventions, and where they cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c06_mean_denoising.closed_forms import uniform_crossing

TOLERANCE = 0.05
"""A prediction is right if it is off by less than this share, or by two standard errors."""


class Series(NamedTuple):
    """A number over the noise levels: means over the seeds, ``[T]``.

    ``errors`` are the standard errors of the simulation and of the prediction together, ``spread``
    is the standard deviation of the simulated value over the seeds (0 for one seed).
    """

    times: np.ndarray
    simulated: np.ndarray
    predicted: np.ndarray
    errors: np.ndarray
    spread: np.ndarray


def series(values: Mapping[str, Any], group: str, name: str) -> Series:
    """Read one number at all noise levels.

    Parameters
    ----------
    group, name
        ``"oracle"`` or ``"bayes"`` and one of the maps, or ``"map"`` and one of its numbers.

    Raises
    ------
    ValueError
        If there are no points.
    """
    times, seeds = grid(values)
    pairs = np.array(
        [
            [[values[f"{s}/{t}"][side][group][name] for side in ("simulated", "predicted")]
             for t in times]
            for s in seeds
        ]
    )  # fmt: skip
    return _series(times, pairs)


def _series(abscissae: Sequence[int], pairs: np.ndarray) -> Series:
    """Average over the seeds; ``pairs`` is [seeds, points, simulated or predicted, pair]."""
    values, errors = pairs[..., 0], pairs[..., 1]
    total = np.sqrt((errors**2).sum((0, 2))) / len(pairs)
    spread = values[..., 0].std(0, ddof=1) if len(pairs) > 1 else np.zeros(len(abscissae))
    mean = values.mean(0)
    return Series(np.array(abscissae), mean[:, 0], mean[:, 1], total, spread)


def ratio(values: Mapping[str, Any], first: str, second: str) -> Series:
    """Excess over the oracle's risk with one map over that with another, at all noise levels.

    The errors are those of two independent simulations; the maps see the same data points, so they
    are too large rather than too small.
    """
    above, below = series(values, "oracle", first), series(values, "oracle", second)
    simulated = above.simulated / below.simulated
    share = np.hypot(above.errors / above.simulated, below.errors / below.simulated)
    return Series(
        above.times,
        simulated,
        above.predicted / below.predicted,
        simulated * share,
        simulated * np.hypot(above.spread / above.simulated, below.spread / below.simulated),
    )


def parts(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Parts of the trained head's excess over the oracle, means over the seeds, ``[T]`` each."""
    times, seeds = grid(values)
    rows = [[values[f"{s}/{t}"]["predicted"]["parts"] for t in times] for s in seeds]
    return {
        name: np.mean([[point[name] for point in row] for row in rows], axis=0)
        for name in ("gap", "limit", "tokens")
    }


def limit_mass(values: Mapping[str, Any]) -> np.ndarray:
    """Attention to the same pattern in the limit of many tokens, mean over the seeds, ``[T]``."""
    times, seeds = grid(values)
    found = np.array(
        [[values[f"{s}/{t}"]["predicted"]["map"]["limit"][0] for t in times] for s in seeds]
    )
    mean: np.ndarray = found.mean(0)
    return mean


def count_series(values: Mapping[str, Any], t: int) -> dict[str, Series]:
    """Errors of the trained and the same-pattern map against n_u at the noise level ``t``."""
    _, seeds = grid(values)
    points = [values[f"{s}/counts/{t}"] for s in seeds]
    counts = [int(count) for count in points[0]["simulated"]]
    result = {}
    for name in ("trained", "same"):
        pairs = [
            [
                [
                    point["simulated"][str(c)][name],
                    point["predicted"][str(c)] if name == "trained" else [1 / c, 0.0],
                ]
                for c in counts
            ]
            for point in points
        ]
        result[name] = _series(counts, np.array(pairs))
    return result


def misfit(found: Series, floor: float = 0.0) -> float:
    """Largest deviation of a prediction, in units of what is tolerated: at most 1 if it holds.

    Tolerated is the larger of 5 % and two standard errors, and never less than ``floor``.
    """
    difference = np.abs(found.simulated - found.predicted)
    tolerated = np.maximum(TOLERANCE * np.abs(found.predicted), 2 * found.errors)
    return float((difference / np.maximum(tolerated, floor)).max())


def crossing(times: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Time from which on ``first`` stays below ``second``, interpolated between noise levels.

    Raises
    ------
    ValueError
        If ``first`` is not below at the last time, or below at all of them.
    """
    ratio = np.log(first / second)
    if ratio[-1] >= 0 or (ratio < 0).all():
        raise ValueError("first: expected to pass from above second to below it, got no crossing")
    last = int(np.flatnonzero(ratio >= 0)[-1])
    share = ratio[last] / (ratio[last] - ratio[last + 1])
    return float(times[last] + share * (times[last + 1] - times[last]))


def time_of(alpha_bar: float, schedule: NoiseSchedule) -> float:
    """Return the time at which ᾱ falls to a value, interpolated between the schedule's.

    Raises
    ------
    ValueError
        If ᾱ does not take the value on the schedule.
    """
    grid = schedule.alpha_bars.numpy()
    if not grid[-1] <= alpha_bar <= grid[0]:
        raise ValueError(f"alpha_bar: expected {grid[-1]:.2g} to {grid[0]:.4g}, got {alpha_bar}")
    return float(np.interp(-alpha_bar, -grid, np.arange(len(grid))))


def crossings(
    values: Mapping[str, Any], mixture: MultiTokenGMM, schedule: NoiseSchedule
) -> dict[str, tuple[float, float]]:
    """Times from which on another map beats same-pattern attention: simulated and predicted.

    ``risk``: the trained head's risk is smaller; ``bayes``: the trained head is nearer to the Bayes
    estimate; ``uniform``: uniform attention has the smaller risk, predicted in closed form.
    """
    result = {}
    for key, group in (("risk", "oracle"), ("bayes", "bayes")):
        trained, same = series(values, group, "trained"), series(values, group, "same")
        result[key] = (
            crossing(trained.times, trained.simulated, same.simulated),
            crossing(trained.times, trained.predicted, same.predicted),
        )
    uniform, same = series(values, "oracle", "uniform"), series(values, "oracle", "same")
    result["uniform"] = (
        crossing(uniform.times, uniform.simulated, same.simulated),
        time_of(uniform_crossing(mixture), schedule),
    )
    return result


def grid(values: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Return the noise levels and the seeds of recorded points.

    Raises
    ------
    ValueError
        If there are none.
    """
    keys = [key.split("/") for key in values if key.count("/") == 1 and "weight" not in key]
    if not keys:
        raise ValueError("values: expected points of the intervention study, got none")
    seeds = sorted({int(seed) for seed, _ in keys})
    return sorted({int(t) for _, t in keys}), seeds
