"""Settings on which simulation, reduced simulation and the effective picture are compared."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Setting:
    """A mixture, a time, and an attention weight of the kind that training gives."""

    dim: int
    n_tokens: int
    n_patterns: int
    n_active: int | None
    skewed: bool
    radius: float
    sigma: float
    t: int
    product: float  # query-key product of a pattern with itself, β r²
    kappa: float

    @property
    def mixture(self) -> MultiTokenGMM:
        weights = None
        if self.skewed:
            weights = torch.arange(1.0, self.n_patterns + 1, dtype=torch.float64)
            weights = weights / weights.sum()
        return MultiTokenGMM(
            n_patterns=self.n_patterns,
            dim=self.dim,
            n_tokens=self.n_tokens,
            radius=self.radius,
            sigma=self.sigma,
            weights=weights,
            n_active=self.n_active,
        )

    @property
    def weight(self) -> ReducedWeight:
        size = self.n_patterns
        shape = torch.eye(size, dtype=torch.float64) - 0.5 / size
        # A part that is not symmetric, so that rows and columns of G are told apart.
        shape = shape + 0.05 * torch.triu(torch.ones_like(shape), 1)
        return ReducedWeight(self.product / self.radius**2 * shape, torch.tensor(self.kappa))


def settings() -> list[Setting]:
    """Return 72 settings that vary everything, each combination of the main axes once."""
    axes = itertools.product((0.3, 0.6), (50, 250, 450, 700), (4.0, 8.0, 12.0), (3.0, 8.0, 12.0))
    dims = itertools.cycle((16, 48, 33))
    tokens = itertools.cycle((24, 96, 48, 160, 12))
    patterns = itertools.cycle(((4, None), (3, 2), (6, None), (2, None), (5, 3)))
    skews = itertools.cycle((False, True, False, False, True, True, False))
    kappas = itertools.cycle((0.0, 0.1, -0.1, 0.3))
    made = []
    for sigma, t, radius, product in axes:
        size, active = next(patterns)
        made.append(
            Setting(
                next(dims),
                next(tokens),
                size,
                active,
                next(skews),
                radius,
                sigma,
                t,
                product,
                next(kappas) * math.sqrt(8 / radius**2),
            )
        )
    return made
