"""What chapter 13 runs: the slice of the landscape, other starts, and the convergence theorem."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gmmtf import MultiTokenGMM, NoiseSchedule, natural_step_size
from gmmtf_book.study import LawPlan

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Plan(LawPlan):
    """Sizes and settings; every data point holds every pattern.

    ``slice_steps``: steps of the descents on the slice of the landscape. ``starts_steps``: steps
    after which descents from other starts are compared; 0 leaves them out, with the curvature.
    ``relative_step_size``: theirs, in units of KMd/r⁶. ``eval_samples``: data points of the
    simulation of their ends. ``grid_patterns``, ``grid_active``, ``grid_dims``: patterns, how many
    of them a data point holds, and dimensions, of the laws on which the convergence theorem is
    checked.
    """

    unrecorded = frozenset({"slice_steps", "grid_dims"})
    n_tokens: int = 64
    n_patterns: int = 4
    relative_step_size: float = 4.0
    starts_steps: int = 0
    eval_samples: int = 64
    grid_patterns: int = 32
    grid_active: int = 4
    grid_dims: tuple[int, ...] = ()
    slice_steps: int = 60
    seed: int = 0

    def with_patterns(self, n_patterns: int) -> MultiTokenGMM:
        """The law with another number of patterns."""
        return replace(self.mixture, n_patterns=n_patterns)

    @property
    def grid(self) -> MultiTokenGMM:
        """The law with few active patterns, of which the convergence theorem is checked."""
        return replace(self.mixture, n_patterns=self.grid_patterns, n_active=self.grid_active)

    @property
    def step_size(self) -> float:
        """Step size of the descents from other starts."""
        return self.relative_step_size * natural_step_size(self.mixture)


PLANS = {
    "live": Plan(),
    "smoke": Plan(dim=16, n_tokens=24, slice_steps=10, grid_patterns=6, grid_active=2),
    "paper": Plan(
        dim=256, n_tokens=512, radius=16.0, starts_steps=120,
        grid_dims=tuple(4**k for k in range(3, 11)),
    ),
}  # fmt: skip
"""``live``: half a minute; ``smoke``: seconds; ``paper``: about an hour of one CPU core."""
