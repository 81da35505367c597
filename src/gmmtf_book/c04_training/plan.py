"""What chapter 4 runs: the three laws, and the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gmmtf import MultiTokenGMM, NoiseSchedule, natural_step_size
from gmmtf_book.study import LawPlan, spread_steps

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Plan(LawPlan):
    """Sizes and settings.

    ``n_active``: patterns of a data point. ``every_patterns``: of the law in which every data point
    holds every pattern. ``bayes_points``: data points of a Bayes risk. ``steps``, ``batch_size``,
    ``relative_step_size`` (in units of KMd/r⁶), ``precision``, ``eval_samples``: of gradient
    descent on the full W. ``n_reduced``: runs of the reduced simulation beside it,
    ``reduced_...``; their first steps have batches of their own size. ``n_points``: query tokens of
    the net of predictions. ``rare_...``: the law with unequal patterns. ``rate_...``: batches with
    which its growth rates are measured. ``n_evaluate``, ``n_exercise``: data points of other
    measurements. ``best``: whether the best weight of each law is searched for.
    """

    unrecorded = frozenset(
        {"eval_samples", "n_reduced", "rare_seeds", "n_evaluate", "n_exercise", "best"}
    )  # fmt: skip
    n_patterns: int = 16
    n_active: int = 3
    every_patterns: int = 8
    bayes_points: int = 2048
    steps: int = 100
    relative_step_size: float = 1.0
    batch_size: int = 32
    precision: str = "float64"
    reduced_batch_size: int = 32
    first_steps: int = 4
    first_batch_size: int = 128
    n_points: int = 8192
    reduced_eval_samples: int = 64
    rare_weights: tuple[float, ...] = (0.01, 0.09, 0.2, 0.7)
    rare_n_tokens: int = 256
    rare_steps: int = 60
    rare_relative_step_size: float = 4.0
    rare_batch_size: int = 16
    rate_batches: int = 20
    rate_batch_size: int = 32
    seed: int = 0
    eval_samples: int = 32
    n_reduced: int = 0
    rare_seeds: int = 1
    n_evaluate: int = 768
    n_exercise: int = 128
    best: bool = False

    @property
    def mixture(self) -> MultiTokenGMM:
        """The law of the main example, with few active patterns."""
        return replace(super().mixture, n_active=self.n_active)

    @property
    def laws(self) -> dict[str, MultiTokenGMM]:
        """The laws by the name that points have: few of the patterns, every one, unequal ones."""
        return {"few": self.mixture, "every": self.every, "unequal": self.unequal}

    @property
    def unequal(self) -> MultiTokenGMM:
        """The law with unequal patterns."""
        weights = self.rare_weights
        return replace(
            self.mixture, n_patterns=len(weights), n_active=None, n_tokens=self.rare_n_tokens,
            weights=weights,
        )  # fmt: skip

    @property
    def every(self) -> MultiTokenGMM:
        """The law in which every data point holds every pattern."""
        return replace(self.mixture, n_patterns=self.every_patterns, n_active=None)

    @property
    def ends(self) -> tuple[int, int]:
        """The rarest and the commonest of the unequal patterns."""
        weights = list(self.rare_weights)
        return weights.index(min(weights)), weights.index(max(weights))

    def step_size(self, law: MultiTokenGMM) -> float:
        """Step size for a law with equal patterns."""
        return self.relative_step_size * natural_step_size(law)

    @property
    def at(self) -> list[int]:
        """Steps at which runs with equal patterns are recorded."""
        return spread_steps(self.steps, 20)

    def batches(self, size: int, law: MultiTokenGMM) -> Callable[[int], int]:
        """Data points of each step of a simulation: ``size``, but for the noisy first steps.

        There a pattern is in as many data points whatever share of the patterns one holds.
        """
        first = self.first_batch_size * law.n_patterns // law.k
        return lambda step: first if step < self.first_steps else size


PLANS = {
    "live": Plan(),
    "smoke": Plan(
        dim=16, n_tokens=48, n_patterns=6, n_active=2, every_patterns=4, bayes_points=256, steps=60,
        batch_size=16, relative_step_size=2.0, rare_n_tokens=64, rare_steps=30, rate_batches=8,
        n_evaluate=128, n_exercise=32, n_points=256,
    ),
    "paper": Plan(
        dim=256, n_tokens=512, n_patterns=32, n_active=4, every_patterns=4, bayes_points=512,
        radius=16.0, steps=100, batch_size=16, relative_step_size=4.0, n_reduced=3,
        first_batch_size=256, reduced_batch_size=16, precision="float32", rare_n_tokens=512,
        rare_steps=100, rare_seeds=3, rate_batches=80, rate_batch_size=16, n_evaluate=128,
        n_exercise=16, n_points=16384, best=True,
    ),
}  # fmt: skip
"""``live``: a minute; ``smoke``: seconds; ``paper``: about half an hour of one CPU core."""
