"""The tasks of the benchmark: fixed data laws with known optima, from easy to hard.

A task never changes within a version of the suite. Whatever changes one, its budget or how it is
measured makes another :data:`VERSION`, and results of different versions are not compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files

import torch
from safetensors.torch import load_file

from gmmtf.arguments import checked, shown
from gmmtf.laws.full import FullMixture
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

VERSION = "1"
"""Version of the suite."""

SCHEDULE = NoiseSchedule.linear(1000)
"""The noise schedule of all tasks: DDPM's own."""

LEVELS = tuple(range(25, 1000, 50))
"""Times at which risks are measured; all averages are over them."""

STEPS = 400
"""Training steps of every entry that is trained."""

TOKENS_PER_STEP = 2048
"""Tokens of the fresh data of one step, whatever the number of tokens of a data point."""

MixtureLaw = MultiTokenGMM | FullMixture
"""The laws of the tasks."""


@dataclass(frozen=True)
class Task:
    """A data law, and the budget on it.

    ``name``: as it is asked for; ``asks``: in one sentence, what is hard; ``make``: makes the law;
    ``tokens_per_step``: tokens of the data of one training step.
    """

    name: str
    asks: str
    make: Callable[[], MixtureLaw]
    tokens_per_step: int = TOKENS_PER_STEP

    @cached_property
    def law(self) -> MixtureLaw:
        """The data law."""
        return self.make()

    @property
    def batch_size(self) -> int:
        """Data points of one training step."""
        return self.tokens_per_step // self.law.n_tokens


def _orthogonal(
    n_patterns: int, n_active: int | None = None, *, n_tokens: int = 64, sigma: float = 0.3,
    weights: list[float] | None = None, inclusion: list[float] | None = None,
) -> MultiTokenGMM:  # fmt: skip
    """Orthogonal patterns in 32 dimensions, with tokens of about unit variance."""
    dim = 32
    return MultiTokenGMM(
        n_patterns=n_patterns, n_active=n_active, dim=dim, n_tokens=n_tokens, sigma=sigma,
        radius=math.sqrt(dim), weights=weights, inclusion=inclusion,
    )  # fmt: skip


def _wide() -> MultiTokenGMM:
    return _orthogonal(16, 3, sigma=1.0)


def _rare_tokens() -> MultiTokenGMM:
    return _orthogonal(8, weights=[0.02] + [0.14] * 7)


def _rare_data() -> MultiTokenGMM:
    return _orthogonal(8, 2, inclusion=[0.04] + [0.28] * 7)


def _unequal() -> MultiTokenGMM:
    norms = torch.linspace(0.4, 1.4, 8, dtype=torch.float64) * math.sqrt(32)
    patterns = torch.zeros(8, 32, dtype=torch.float64)
    patterns[torch.arange(8), torch.arange(8)] = norms
    return MultiTokenGMM.from_patterns(patterns, n_tokens=64, sigma=0.3, n_active=3)


def _oblique() -> MultiTokenGMM:
    # All cosines are 1/2: patterns share a direction that tells none of them from another.
    # Cholesky's factor of 16 (I + 11ᵀ), written out: a library rounds otherwise elsewhere, even its
    # square root.
    patterns = torch.zeros(8, 32, dtype=torch.float64)
    for column, k in enumerate(range(1, 9)):
        patterns[column, column] = math.sqrt(16 * (k + 1) / k)
        patterns[k:, column] = math.sqrt(16 / (k * (k + 1)))
    return MultiTokenGMM.from_patterns(patterns, n_tokens=64, sigma=0.3, n_active=3)


def _crowded() -> MultiTokenGMM:
    # The 24 vectors ±e_i in 12 of 16 dimensions.
    patterns = torch.zeros(24, 16, dtype=torch.float64)
    patterns[torch.arange(24), torch.arange(24) % 12] = 4.0
    patterns[12:] *= -1
    return MultiTokenGMM.from_patterns(patterns, n_tokens=64, sigma=0.3, n_active=3)


def _covariances() -> FullMixture:
    """Eight components in 16 dimensions, each with large variances along four axes of its own."""
    size, dim = 8, 16
    means = torch.zeros(size, dim, dtype=torch.float64)
    means[torch.arange(size), torch.arange(size)] = 3.0
    covariances = torch.full((size, dim), 0.05, dtype=torch.float64)
    for k in range(size):
        covariances[k, [(2 * k + i) % dim for i in (1, 4, 7, 10)]] = 1.5
    return FullMixture(
        torch.full((size,), 1 / size, dtype=torch.float64),
        means,
        torch.diag_embed(covariances),
        torch.arange(size),
        64,
    )


def _digits() -> FullMixture:
    """The stored mixture that was fitted to images of digits on their 16 principal axes."""
    with as_file(files("gmmtf.benchmark") / "digits.safetensors") as path:
        return FullMixture(**load_file(path), n_tokens=64)


_TASKS = (
    Task("every", "Every pattern occurs in every data point.", lambda: _orthogonal(4)),
    Task("one", "Each data point has 1 of 32 patterns.", lambda: _orthogonal(32, 1)),
    Task("few", "Each data point has 3 of 16 patterns.", lambda: _orthogonal(16, 3)),
    Task("half", "Each data point has 6 of 12 patterns.", lambda: _orthogonal(12, 6)),
    Task("rare-tokens", "One of 8 patterns has 2 % of the tokens.", _rare_tokens),
    Task("rare-data", "2 of 8 patterns, one in 4 % of data points.", _rare_data),
    Task("unequal", "3 of 8 patterns, with norms from 0.4 to 1.4 r.", _unequal),
    Task("oblique", "3 of 8 patterns, all at angles of 60 degrees.", _oblique),
    Task("crowded", "3 of 24 patterns, in 16 dimensions only.", _crowded),
    Task("covariances", "8 components vary along axes of their own.", _covariances),
    Task("digits", "A mixture fitted to handwritten digits.", _digits),
    Task(
        "many", "As “few”, with 512 tokens a data point.", lambda: _orthogonal(16, 3, n_tokens=512)
    ),
    Task("wide", "As “few”, with σ = 1.", _wide),
)

TASKS = {task.name: task for task in _TASKS}
"""All tasks by name, in the order in which they are shown."""


@checked
def task(name: str) -> Task:
    """Return the task of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {shown(name)}")
    return TASKS[name]
