"""What chapter 8 runs: the data law, the training, and what is compared."""

from __future__ import annotations

from dataclasses import dataclass

from gmmtf import NoiseSchedule
from gmmtf_book.study import LawPlan

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Plan(LawPlan):
    """Sizes and settings.

    ``steps``, ``batch_size``: of Adam; three times as many steps for one layer with a value matrix.
    ``eval_samples``: data points on which every trained head is evaluated. ``n_points``: query
    tokens in each of 8 nets for predictions by the exact integral. ``level_times``: noise levels at
    which heads are compared one by one. ``floor_counts``: numbers of tokens of the floor's curves;
    ``floor_simulated``, ``floor_samples``: those that are simulated, and with how many data points.
    ``exercise_counts``: of the second exercise.
    """

    n_patterns: int = 4
    steps: int = 90
    batch_size: int = 12
    eval_samples: int = 192
    n_points: int = 96
    level_times: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    floor_counts: tuple[int, ...] = ()
    floor_simulated: tuple[int, ...] = (100, 1000)
    floor_samples: int = 48
    exercise_counts: tuple[int, ...] = (128, 512, 1024, 2048)

    unrecorded = frozenset({
        "seeds", "floor_counts", "floor_simulated", "floor_samples", "exercise_counts",
    })  # fmt: skip


PLANS = {
    "live": Plan(),
    "smoke": Plan(
        dim=32, n_tokens=40, steps=30, eval_samples=96, n_points=16, floor_simulated=(100,),
        floor_samples=16, exercise_counts=(128,),
    ),
    "paper": Plan(
        dim=256, n_tokens=512, n_patterns=8, radius=16.0, batch_size=4, eval_samples=96,
        seeds=(0, 1, 2), n_points=256,
        level_times=(50, 150, 250, 350, 450, 550, 650, 750, 850, 950),
        floor_counts=(100, 1000, 10**4, 10**6, 10**8, 10**10, 10**12),
    ),
}  # fmt: skip
"""``live``: half a minute of two cores; ``smoke``: seconds; ``paper``: a quarter of an hour."""
