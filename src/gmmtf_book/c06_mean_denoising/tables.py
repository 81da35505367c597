"""The recorded points as tables: means over the seeds, simulated beside predicted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from gmmtf import Estimate
from gmmtf.record import Recording

TOLERANCE = 0.05
"""A prediction is right if it is off by less than this share, or by two standard errors."""


def maps(record: Recording) -> Any:
    """A pandas table of all numbers but those of the counts, by group, name and noise level."""
    points = record.select(kind="maps")
    return _pooled(
        (point.labels["side"], group, name, point.labels["t"], Estimate(0) + value)
        for point in points
        for group, entries in point.value.items()
        for name, value in entries.items()
    )


def counts(record: Recording) -> Any:
    """A pandas table of the errors of the attention output by noise level, map and n_u."""
    points = record.select(kind="counts")
    perfect = [{"same": [1 / n for n in point.value["count"]]} for point in points]
    return _pooled(
        (point.labels["side"], point.labels["t"], name, count, Estimate(0) + value)
        for point, law in zip(points, perfect, strict=True)
        for name in ("trained", "same")
        for count, value in zip(point.value["count"], (law | point.value)[name], strict=True)
    )


def _pooled(rows: Iterable[tuple[object, ...]]) -> Any:
    """Average over the seeds; Estimates in the columns ``simulated`` and ``predicted``."""
    frame: Any = pd.DataFrame(rows, columns=["side", 0, 1, 2, "value"])
    if frame.empty:
        raise ValueError("record: expected points of the intervention study, got none")
    return frame.groupby(["side", 0, 1, 2]).value.agg(Estimate.mean).unstack("side")


def misfit(table: Any, floor: float = 0.0) -> float:
    """Largest deviation of a prediction, in units of what is tolerated: at most 1 if it holds.

    Tolerated is the larger of 5 % and two standard errors, and never less than ``floor``.
    """
    found = table.dropna()
    difference, size = found.simulated - found.predicted, found.predicted.astype(float).abs()
    noise = difference.map(lambda each: each.standard_error)
    tolerated = np.maximum(TOLERANCE * size, 2 * noise).clip(lower=floor)
    return float((difference.astype(float).abs() / tolerated).max())


def crossing(first: Any, second: Any) -> float:
    """Time from which on ``first`` stays below ``second``, interpolated between noise levels.

    Raises ``ValueError`` if it is not below at the last time, or below at all of them.
    """
    times, ratio = first.index.to_numpy(), np.log((first / second).to_numpy())
    if ratio[-1] >= 0 or (ratio < 0).all():
        raise ValueError("first: expected to pass from above second to below it, got no crossing")
    last = int(np.flatnonzero(ratio >= 0)[-1])
    share = ratio[last] / (ratio[last] - ratio[last + 1])
    return float(times[last] + share * (times[last + 1] - times[last]))
