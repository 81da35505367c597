"""What chapter 11 runs: the data law, the training, and what is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from gmmtf import NoiseSchedule
from gmmtf_book.study import LawPlan

SCHEDULE = NoiseSchedule.linear(1000)

HEADS = ("zero", "plain", "corrected")
"""The head at W = 0, the trained head, and the trained head with the tilt correction."""


@dataclass(frozen=True)
class Plan(LawPlan):
    """Sizes and settings.

    ``training_steps``, ``n_points``: of the descent that gives the weight; ``risk_times``,
    ``n_risk_samples``: where and on how many data points risks are measured; ``n_calls``,
    ``batch``: network calls of the samplers, and data points a seed; ``ancestral_batch``: data
    points a seed with a call at each of the T times, or 0; ``handovers``: times at which the Bayes
    denoiser hands over to a head. Not recorded: ``sweep_calls``, ``sweep_dims``, ``sweep_batch``
    of the exact denoiser with 32 tokens; ``path_steps``, ``n_paths`` of the check of the
    divergence; ``n_active``: active patterns in the section on active sets.
    """

    n_patterns: int = 4
    radius: float = 12.0
    weights: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)
    training_steps: int = 600
    n_points: int = 512
    risk_times: tuple[int, ...] = (1, 4, 16, 50, 100, 200, 300, 400, 500, 600, 700, 850, 999)
    n_risk_samples: int = 24
    n_calls: int = 80
    batch: int = 12
    ancestral_batch: int = 0
    seeds: tuple[int, ...] = (0,)
    handovers: tuple[int, ...] = (50, 100, 200, 300, 400, 500)
    sweep_calls: tuple[int, ...] = (10, 20, 50, 100, 200)
    sweep_dims: tuple[int, ...] = (16, 64, 256)
    sweep_batch: int = 24
    path_steps: tuple[int, ...] = (50, 100)
    n_paths: int = 600
    n_active: int = 2

    unrecorded = frozenset({
        "risk_times", "seeds", "handovers", "sweep_calls", "sweep_dims", "sweep_batch",
        "path_steps", "n_paths", "n_active",
    })  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_calls == SCHEDULE.n_steps:
            raise ValueError(f"n_calls: expected less than T = {SCHEDULE.n_steps}")

    @property
    def early(self) -> list[int]:
        """Handovers at which attention is still selective."""
        return [t for t in self.handovers if t <= 300]


PLANS = {
    "live": Plan(),
    "smoke": Plan(
        dim=32, n_tokens=64, training_steps=100, n_points=128, n_risk_samples=16, n_calls=40,
        batch=6, handovers=(100, 200), sweep_calls=(10, 40), sweep_dims=(16,), path_steps=(30,),
        n_paths=200,
    ),
    "paper": Plan(
        dim=256, n_tokens=512, n_patterns=8, radius=16.0,
        weights=(0.05, 0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2), n_points=1024, n_risk_samples=64,
        n_calls=100, batch=4, ancestral_batch=2, seeds=(0, 1, 2), n_active=4,
    ),
}  # fmt: skip
"""``live``: half a minute of two cores; ``smoke``: seconds; ``paper``: ten minutes of a core."""
