"""How large a run is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gmmtf import NoiseSchedule
from gmmtf_book.study import LawPlan

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Plan(LawPlan):
    """How heads are trained, and which points are computed from them.

    ``steps``, ``train_batch``, ``relative_step_size``: of the training, the last in units of the
    natural step size; ``times``: noise levels of the interventions; ``counts`` and ``count_times``:
    n_u and the noise levels of the error against 1/n_u; ``n_samples``: data points of a simulated
    point, ``batch_size`` at a time; ``n_points``: queries in each of a prediction's eight nets.
    """

    unrecorded: ClassVar[frozenset[str]] = frozenset({"times", "count_times"})

    steps: int = 60
    train_batch: int = 16
    relative_step_size: float = 4.0
    times: Sequence[int] = (20, 100, 200, 300, 400, 500, 600, 700, 850)
    count_times: Sequence[int] = (100, 400, 850)
    counts: Sequence[int] = (2, 4, 8, 16, 32, 64)
    n_samples: int = 64
    batch_size: int = 16
    n_points: int = 32


PLANS = {
    "live": Plan(),
    "paper": Plan(
        dim=256, n_tokens=512, radius=16.0, steps=100, train_batch=8, relative_step_size=8.0,
        times=(20, 100, 200, 300, 400, 450, 500, 550, 600, 650, 700, 800, 999),
        count_times=(100, 450, 800), counts=(2, 4, 16, 64, 128, 256),
        n_samples=32, batch_size=8, n_points=128,
    ),
    "smoke": Plan(
        steps=20, train_batch=8, times=(20, 100, 400, 600, 850), count_times=(100, 850),
        counts=(2, 8, 32), n_samples=16, batch_size=8, n_points=8,
    ),
}  # fmt: skip
"""The plans of the presets."""
