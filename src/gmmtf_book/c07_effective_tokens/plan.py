"""Sizes of a run of the effective picture, and the setting behind each of its points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(1000)

SWEEPS = ("tokens", "time", "strength", "short")
"""Names of the sweeps: of N, of t, and of the strength with long and with short patterns."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    The main mixture has ``n_patterns`` patterns of norm ``radius``; the short one differs in having
    ``short_patterns`` of norm ``short_radius``. ``strength`` is βr² of the weight βP in the sweeps
    of N, at the time ``time``, and of t; the other two sweeps vary it and average over the
    schedule. ``n_simulated``: data points for each seed and such average, half of it at a fixed
    time; ``n_points``: query tokens in each of 8 nets for the integral, of which the expansion has
    32 times as many.
    """

    dim: int
    n_tokens: int
    n_patterns: int
    radius: float
    sigma: float
    short_patterns: int
    short_radius: float
    strength: float
    time: int
    token_counts: tuple[int, ...]
    times: tuple[int, ...]
    strengths: tuple[float, ...]
    short_strengths: tuple[float, ...]
    curve_steps: tuple[int, ...]
    seeds: tuple[int, ...]
    n_simulated: int
    n_points: int

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Plan:
        """Make the plan from the settings of a recording, where tuples have become lists."""
        plain: dict[str, Any] = {}
        for name, value in settings.items():
            plain[name] = tuple(value) if isinstance(value, list) else value
        return cls(**plain)

    @property
    def main(self) -> MultiTokenGMM:
        """The mixture with long patterns."""
        return MultiTokenGMM(
            n_patterns=self.n_patterns,
            dim=self.dim,
            n_tokens=self.n_tokens,
            radius=self.radius,
            sigma=self.sigma,
        )

    @property
    def short(self) -> MultiTokenGMM:
        """The mixture with short patterns, where large weights amplify noise."""
        return replace(self.main, n_patterns=self.short_patterns, radius=self.short_radius)

    @property
    def keys(self) -> list[str]:
        """Keys of the points of the four sweeps."""
        values = (self.token_counts, self.times, self.strengths, self.short_strengths)
        named = zip(SWEEPS, values, strict=True)
        return [f"{name}/{value:g}" for name, sweep in named for value in sweep]

    def setting(self, key: str) -> tuple[ReducedWeight, MultiTokenGMM, int | None]:
        """Return the weight, the mixture and the time (None: the whole schedule) of a point."""
        sweep, value = key.split("/")
        if sweep == "tokens":
            mixture = replace(self.main, n_tokens=int(value))
            return on_patterns(mixture, self.strength), mixture, self.time
        if sweep == "time":
            return on_patterns(self.main, self.strength), self.main, int(value)
        mixture = self.short if sweep == "short" else self.main
        return on_patterns(mixture, float(value)), mixture, None


def on_patterns(mixture: MultiTokenGMM, strength: float) -> ReducedWeight:
    """Return the weight βP with βr² = ``strength``, P the projection on the patterns' span."""
    radius = mixture.require_equal_orthogonal("the weight")
    identity = torch.eye(mixture.n_patterns, dtype=torch.float64)
    return ReducedWeight(strength / radius**2 * identity, torch.zeros((), dtype=torch.float64))
