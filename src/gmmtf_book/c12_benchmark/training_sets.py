"""From how many data points on: entries trained on sets of 100 to a million of them."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gmmtf import Estimate, MultiTokenGMM, measure, optimal_denoiser
from gmmtf.benchmark import ENTRIES
from gmmtf.benchmark.running import trained
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE, Task
from gmmtf.denoisers import Denoiser
from gmmtf.laws.noisy import draw_noisy
from gmmtf.laws.training_set import TrainingSet
from gmmtf.randomness import derived_seed
from gmmtf.record import Recording
from gmmtf_book import RESULTS
from gmmtf_book.c12_benchmark.plan import Plan
from gmmtf_book.c12_benchmark.results import over_seeds

IDEAL = "empirical ideal"

FRESH = 0
"""Stands for data points that are drawn anew at each step, in place of the size of a set."""


def law(plan: Plan) -> MultiTokenGMM:
    """The law of the study: small, so that a network can learn its training data by heart."""
    dim = plan.set_dim
    return MultiTokenGMM(
        n_patterns=8, n_active=2, dim=dim, n_tokens=plan.set_tokens, radius=dim**0.5, sigma=0.3
    )


def one(plan: Plan, entry: str, size: int, seed: int) -> dict[str, Any]:
    """Train an entry on a set of this size and measure it.

    ``excess``: over Bayes on new data; ``seen``: the loss less that of Bayes on the data that it
    was trained on, negative where it knows them by heart.
    """
    truth = law(plan)
    data = truth if size == FRESH else TrainingSet(truth, size, derived_seed(seed, 5))
    if entry == IDEAL:
        assert isinstance(data, TrainingSet)  # there is none of fresh data
        denoise = optimal_denoiser(data, SCHEDULE)
    else:
        task = Task("set", "", lambda: truth, plan.set_tokens_per_step)
        denoise = trained(ENTRIES[entry], task, seed, steps=plan.set_steps, data=data)
    generator = torch.Generator().manual_seed(derived_seed(seed, 2))
    found = measure(
        {"entry": denoise}, truth, SCHEDULE, t=list(LEVELS), n_samples=plan.set_measured,
        generator=generator,
    )  # fmt: skip
    return {
        "excess": found.evaluation("entry").excess_risk,
        "linear": found.evaluation("linear").excess_risk,
        "seen": _gap(plan, denoise, truth, data, seed),
    }


@torch.no_grad()
def _gap(plan: Plan, denoise: Denoiser, truth: MultiTokenGMM, data: Any, seed: int) -> Estimate:
    """Loss less that of Bayes, on the data of training with new noise."""
    generator = torch.Generator().manual_seed(derived_seed(seed, 6))
    bayes = optimal_denoiser(truth, SCHEDULE)
    gaps = []
    for t in LEVELS:
        times = torch.full((plan.set_measured,), t)
        noisy = draw_noisy(data, SCHEDULE, times, generator)
        losses = [
            (f(noisy.x_t, times) - noisy.noise).double().square().mean((1, 2))
            for f in (denoise, bayes)
        ]
        gaps.append(Estimate.paired(*losses))
    return Estimate.mean(gaps)


def run(plan: Plan, path: str | Path, device: torch.device | str = "cpu") -> Recording:
    """Compute the points that the file at ``path`` does not hold yet."""
    record = Recording(path, plan.settings(), code=__name__, device=device)
    for seed, size, entry in product(plan.set_seeds, plan.set_sizes, plan.set_entries):
        if entry != IDEAL or 0 < size <= plan.set_ideal:
            compute = partial(one, plan, entry, size, seed)
            record.point(compute, entry=entry, size=size, seed=seed)
    return record


def recorded() -> Recording:
    """The recorded study."""
    return Recording(RESULTS / "12_benchmark.json")


def linear(record: Recording) -> float:
    """Excess risk of the best linear filter on the law of the study."""
    return float(np.mean([float(each) for each in record.frame()["linear"]]))


def table(record: Recording, column: str) -> pd.DataFrame:
    """Excess (or ``seen``) over seeds: a row a size, in their order, a column an entry."""
    groups = record.frame().groupby(["size", "entry"], sort=False)[column]
    found = groups.agg(over_seeds).unstack("entry")
    sizes = sorted(found.index, key=lambda size: size or float("inf"))
    return found.loc[sizes]
