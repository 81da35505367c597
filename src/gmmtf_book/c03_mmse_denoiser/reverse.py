"""The reverse process with the exact denoiser."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from torch import Tensor
from torch.nn.functional import one_hot

from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


def stretched(n_steps: int) -> NoiseSchedule:
    """The linear schedule with fewer or more steps and correspondingly larger or smaller β."""
    stretch = 1000 / n_steps
    start, end = min(0.5, 1e-4 * stretch), min(0.5, 0.02 * stretch)
    return NoiseSchedule.linear(n_steps, beta_start=start, beta_end=end)


class Path:
    """What is kept of a sampler's states: one data point, and every token's nearest pattern."""

    def __init__(self, law: MultiTokenGMM, n_steps: int) -> None:
        self.law, self.n_steps = law, n_steps
        self.fractions: list[float] = []
        self.states: list[Tensor] = []
        self.nearest: list[Tensor] = []

    def record(self, t: int, x: Tensor) -> None:
        """Keep of a state what the figure and the prose need."""
        self.fractions.append((t + 1) / self.n_steps)
        self.states.append(x[0].clone())
        self.nearest.append(nearest(self.law, x))


def nearest(law: MultiTokenGMM, x: Tensor) -> Tensor:
    """The pattern nearest to each token."""
    return (x @ law.means.T).argmax(-1)


def frequencies(law: MultiTokenGMM, generated: Mapping[str, Tensor]) -> pd.DataFrame:
    """How often each pattern is the nearest: a row for each sampler and pattern."""
    rows = []
    for sampler, x in generated.items():
        hits = one_hot(nearest(law, x), law.n_patterns).double().mean(1)
        for u, probability in enumerate(law.probabilities.tolist()):
            rows.append((sampler, u, probability, Estimate.from_samples(hits[:, u])))
    return pd.DataFrame(rows, columns=["sampler", "pattern", "probability", "frequency"])


def share_within(law: MultiTokenGMM, x: Tensor, n_active: int) -> float:
    """Share of the data points that hold at most ``n_active`` patterns."""
    present = one_hot(nearest(law, x), law.n_patterns).amax(1).sum(1)
    return float((present <= n_active).double().mean())


def generated_variance(schedule: NoiseSchedule, sigma: float) -> float:
    """Variance of generated tokens orthogonal to the patterns, by the recursion."""
    abars, v = schedule.alpha_bars.tolist(), 1.0
    for t in range(schedule.n_steps - 1, 0, -1):
        abar, before, beta = abars[t], abars[t - 1], float(schedule.betas[t])
        h = _shrinkage(abar, sigma)
        k = (math.sqrt(before) * beta * h + math.sqrt(1 - beta) * (1 - before)) / (1 - abar)
        v = k**2 * v + beta * (1 - before) / (1 - abar)
    return _shrinkage(abars[0], sigma) ** 2 * v


def _shrinkage(abar: float, sigma: float) -> float:
    """The factor h from x_t to the estimate of x_0, orthogonal to the patterns."""
    return (1 - (1 - abar) / (abar * sigma**2 + 1 - abar)) / math.sqrt(abar)
