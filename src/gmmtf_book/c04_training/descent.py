"""Gradient descent from W = 0: simulated, with the full weight, and predicted (C3, F2A, F4).

A run is kept and drawn in the JSON form of :class:`gmmtf.curve.Curve`: ``step``; ``excess`` and
``score`` as [value, standard error]; ``products`` and ``complement``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gmmtf import curve
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

Curve = dict[str, Any]


def spread_steps(last: int, count: int = 16) -> list[int]:
    """Return 0, ``last``, and about ``count`` steps between, evenly spaced on a logarithmic axis.

    Raises
    ------
    ValueError
        If ``last`` or ``count`` is below 1.
    """
    for name, value in {"last": last, "count": count}.items():
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    return sorted({0, *(round(last ** (k / count)) for k in range(count + 1))})


def simulated_curve(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    at: Sequence[int],
    *,
    lr: float,
    seed: int,
    batch_size: int,
    first_steps: int = 0,
    first_batch_size: int = 1,
    eval_samples: int = 64,
    device: torch.device | str = "cpu",
) -> Curve:
    """Descend with fresh data at every step, in the exact reduced simulation (F2A, F4).

    Parameters
    ----------
    at
        Steps at which the curve is evaluated, increasing; the last one ends the run.
    lr
        Step size.
    seed
        Seed of the data, and of the held-out data on which the curve is evaluated.
    batch_size
        Data points a step.
    first_steps, first_batch_size
        The first steps, where the excess risk falls by an order of magnitude and its noise is
        largest, may have batches of their own size.
    eval_samples
        Held-out data points.

    Raises
    ------
    ValueError
        If an argument is out of range or the patterns are not orthogonal with equal norms.
    """
    records = descend(
        mixture,
        schedule,
        at[-1],
        method="simulation",
        lr=lr,
        record_at=at,
        seed=seed,
        batch_size=lambda step: first_batch_size if step < first_steps else batch_size,
        eval_samples=eval_samples,
        device=device,
    )
    return curve.Curve.from_records(records, mixture).as_json()


def predicted_curve(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, at: Sequence[int], **options: Any
) -> Curve:
    """Descend without sampling noise: the parameter-free prediction of a run (F2A).

    On the expansion in 1/N, or with ``method="integral"`` on the exact integral. ``options`` and
    errors are those of :func:`gmmtf.descent.descend`; ``at`` as above.
    """
    records = descend(mixture, schedule, at[-1], record_at=at, **options)
    return curve.Curve.from_records(records, mixture).as_json()


def outside_family(
    weights: Sequence[Tensor], mixture: MultiTokenGMM
) -> tuple[list[float], list[float]]:
    """Norm of the part of a full weight outside the invariant family, and what noise explains.

    Population gradient descent never leaves the family (theory result 2), so what is outside comes
    from the noise of the batches. If that noise were not pulled back, the part outside would be a
    random walk, whose mean squared norm is the sum of the squared norms of its increments.

    Parameters
    ----------
    weights
        W ``[d, d]`` along one run, from W = 0.

    Returns
    -------
    tuple[list[float], list[float]]
        The norms, and the square roots of the sums of squared increments up to each weight. Norms
        well above those would mean a drift out of the family.

    Raises
    ------
    ValueError
        As :meth:`gmmtf.denoisers.reduced.ReducedWeight.from_full`.
    """
    norms = [ReducedWeight.from_full(weight, mixture)[1] for weight in weights]
    squares = [0.0]
    for before, after in pairwise(weights):
        step = ReducedWeight.from_full(after - before, mixture)[1]
        squares.append(squares[-1] + step**2)
    return norms, [square**0.5 for square in squares]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean of runs that differ in their seeds alone: :meth:`gmmtf.curve.Curve.mean`."""
    return curve.Curve.mean([curve.Curve.from_json(each) for each in curves]).as_json()


def runs(values: Mapping[str, Any], prefix: str) -> list[Any]:
    """Return the points whose keys are ``prefix`` followed by a seed, in the order recorded."""
    found = [value for key, value in values.items() if key.startswith(prefix)]
    if not found:
        raise ValueError(f"values: expected points named {prefix!r} and a seed, got none")
    return found


def deviation(simulated: Curve, predicted: Curve) -> float:
    """Largest |simulated/predicted - 1| of the excess risk, over all steps (F2A)."""
    found, expected = (
        torch.tensor(run["excess"], dtype=torch.float64)[:, 0] for run in (simulated, predicted)
    )
    return float((found / expected - 1).abs().max())


def kept(run: Curve, risk: str = "excess") -> float:
    """Excess risk (or ``"score"``) at the end of a run over that at its start."""
    return float(run[risk][-1][0] / run[risk][0][0])


def descent_summary(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of F2A from the points ``predicted`` and ``simulated/<seed>``.

    Returns
    -------
    dict
        ``kept``, ``kept_score``: end over start of the excess risk and of the score-matching error,
        mean over seeds; ``deviation``: see :func:`deviation`, of the mean over seeds;
        ``deviation_one_seed``: the largest of a single run; ``complement``: largest |r²γ|.
    """
    predicted, each = values["predicted"], runs(values, "simulated/")
    mean = mean_curve(each)
    return {
        "kept": kept(mean),
        "kept_score": kept(mean, "score"),
        "deviation": deviation(mean, predicted),
        "deviation_one_seed": max(deviation(run, predicted) for run in each),
        "complement": max(abs(value) for value in mean["complement"]),
    }
