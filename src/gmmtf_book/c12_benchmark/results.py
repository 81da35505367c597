"""The recorded results of the benchmark, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pandas as pd
import torch

from gmmtf import Estimate
from gmmtf.benchmark.exact import exact_risks
from gmmtf.benchmark.running import LENGTHS
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE, TASKS
from gmmtf.parametrisation import edm_sigmas
from gmmtf.record import Recording
from gmmtf_book import RESULTS


@cache
def rows() -> pd.DataFrame:
    """All runs: a row for each entry, task and seed."""
    return Recording(RESULTS / "benchmark.json").frame()


def over_seeds(values: Iterable[Any]) -> Estimate:
    """Mean over seeds, with the standard error that their scatter implies; one seed shows none."""
    numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
    return Estimate.from_samples(numbers) if len(numbers) > 1 else Estimate(float(numbers))


def excesses() -> pd.DataFrame:
    """Excess risk of each entry (rows) on each task (columns), over seeds."""
    groups = rows().groupby(["entry", "task"], sort=False)["excess"]
    return groups.agg(over_seeds).unstack("task")[list(TASKS)]


def shares() -> pd.DataFrame:
    """Excess risks over those of the linear filter: a row a task, a column an entry."""
    linear = pd.Series({name: exact_risks(name).linear_excess.value for name in TASKS})
    return excesses().map(lambda each: each.value).T.div(linear, axis=0)


def levels(task: str) -> pd.DataFrame:
    """Excess risk at each noise level (rows, σ), a column an entry, over seeds."""
    return _lists(task, "levels", _sigmas())


def lengths(task: str) -> pd.DataFrame:
    """Excess risk at other numbers of tokens than that of training (rows), over seeds."""
    return _lists(task, "lengths", pd.Index(LENGTHS, name="N"))


def _lists(task: str, column: str, index: pd.Index[Any]) -> pd.DataFrame:
    """A column of lists, one entry of the list a row."""
    chosen = rows().query("task == @task").dropna(subset=[column])
    found = {
        entry: [over_seeds(each) for each in zip(*group[column], strict=True)]
        for entry, group in chosen.groupby("entry", sort=False)
    }
    return pd.DataFrame(found, index=index)


def rarity(task: str) -> pd.DataFrame:
    """Excess on the tokens of the rare pattern, on all others, and their ratio, over seeds."""
    chosen = rows().query("task == @task")
    chosen = chosen.assign(ratio=chosen["rare"] / chosen["common"])
    return chosen.groupby("entry", sort=False)[["rare", "common", "ratio"]].agg(over_seeds)


def bayes(task: str) -> pd.Series[Any]:
    """Bayes risk at each noise level."""
    return pd.Series([each.value for each in exact_risks(task).bayes], index=_sigmas())


def _sigmas() -> pd.Index[Any]:
    sigmas: list[float] = edm_sigmas(SCHEDULE)[list(LEVELS)].tolist()
    return pd.Index(sigmas, name="sigma")
