"""What chapter 7 runs: data laws, sweeps and their sizes, and the setting behind each point."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gmmtf import MultiTokenGMM, NoiseSchedule, ReducedWeight
from gmmtf_book.study import LawPlan

SCHEDULE = NoiseSchedule.linear(1000)
on_patterns = ReducedWeight.on_patterns

SWEEPS = {"tokens": "N", "time": "t", "strength": "strength", "short": "strength"}
"""Kinds of points, and the label that varies: N, t, and βr² with long and with short patterns."""

Setting = tuple[ReducedWeight, MultiTokenGMM, int | None]


@dataclass(frozen=True)
class Plan(LawPlan):
    """Sizes of a run.

    The main mixture has ``n_patterns`` patterns of norm ``radius``; the short one differs in having
    ``short_patterns`` of norm ``short_radius``. ``strength`` is βr² of the weight βP in the sweeps
    of N, at the time ``time``, and of t; the other two sweeps vary it and average over the
    schedule. ``n_simulated``: data points for each seed and such average, half of it at a fixed
    time; ``n_points``: query tokens in each of 8 nets for the integral, of which the expansion has
    32 times as many. Gradient descent takes ``curve_length`` steps, is drawn every ``curve_every``
    and simulated at the ``curve_steps``; ``line_steps``, ``huge_steps``: steps of the descents at
    the recorded and at a huge size; ``curve_points``, ``gradient_points``: query tokens of
    descents, and of the gradient at W = 0. ``grid_points``, ``grid_every``: query tokens of the
    grid of settings, and the stride with which they are taken; ``search_batches``: hundreds of
    random settings. ``line_points``: of drawn lines.
    """

    short_patterns: int = 4
    short_radius: float = 3.0
    strength: float = 8.0
    time: int = 300
    token_counts: tuple[int, ...] = (64, 128, 256)
    times: tuple[int, ...] = (100, 200, 300, 400, 600, 900)
    strengths: tuple[float, ...] = (1, 2, 4, 8, 12)
    short_strengths: tuple[float, ...] = (1, 2, 3, 6, 9)
    curve_steps: tuple[int, ...] = (0, 4, 10, 30, 100)
    seeds: tuple[int, ...] = (0,)
    n_simulated: int = 128
    n_points: int = 16
    curve_length: int = 100
    curve_every: int = 2
    line_steps: int = 300
    huge_steps: int = 150
    line_points: int = 12
    curve_points: int = 1024
    gradient_points: int = 1024
    grid_points: int = 8
    grid_every: int = 17
    search_batches: int = 0
    many_counts: tuple[int, ...] = (*(10**n for n in range(3, 10)), 10**12)
    floor_dims: tuple[int, ...] = (64, 256, 1024, 4096, 16384)

    unrecorded = frozenset({
        "curve_length", "curve_every", "line_steps", "huge_steps", "line_points", "curve_points",
        "gradient_points", "grid_points", "grid_every", "search_batches", "many_counts",
        "floor_dims",
    })  # fmt: skip

    main = LawPlan.mixture  # the mixture with long patterns

    @property
    def short(self) -> MultiTokenGMM:
        """The mixture with short patterns, where large weights amplify noise."""
        return replace(self.main, n_patterns=self.short_patterns, radius=self.short_radius)

    def values(self, kind: str) -> tuple[float, ...]:
        """Return the values of a sweep."""
        values = (self.token_counts, self.times, self.strengths, self.short_strengths)
        return dict(zip(SWEEPS, values, strict=True))[kind]

    def setting(self, kind: str, value: float) -> Setting:
        """Return the weight, the mixture and the time (None: the whole schedule) of a point."""
        if kind in ("strength", "short"):
            mixture = self.short if kind == "short" else self.main
            return on_patterns(mixture, float(value)), mixture, None
        n, t = (self.n_tokens, int(value)) if kind == "time" else (int(value), self.time)
        mixture = replace(self.main, n_tokens=n)
        return on_patterns(mixture, self.strength), mixture, t


PLANS = {
    "live": Plan(),
    "smoke": Plan(
        token_counts=(64, 128), times=(100, 300, 900), strengths=(2, 8), short_strengths=(1, 6),
        curve_length=10, curve_steps=(0, 10), line_steps=10, huge_steps=15, n_simulated=64,
        n_points=4, grid_points=4, grid_every=49, many_counts=(10**3, 10**6, 10**12),
        floor_dims=(64, 1024, 16384), line_points=3, gradient_points=256, curve_points=512,
    ),
    "paper": Plan(
        dim=256, n_tokens=512, radius=16.0, short_radius=4.0, strength=12.0,
        token_counts=(512, 724, 1024, 2048), strengths=(2, 4, 8, 12, 16, 24),
        short_strengths=(1, 2, 4, 6, 8, 12), curve_steps=(0, 5, 10, 30, 100, 300),
        curve_length=300, curve_every=5, huge_steps=400, seeds=(0, 1, 2), n_points=128,
        grid_points=32, grid_every=1, search_batches=25,
        many_counts=tuple(10**n for n in range(3, 13)),
    ),
}  # fmt: skip
"""``live``: half a minute of one core; ``smoke``: seconds; ``paper``: ten minutes of one core."""
