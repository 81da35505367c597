"""The numbers of chapter 12, for its prose and its checks."""

from __future__ import annotations

import math
import re
from statistics import median
from typing import Any

import pandas as pd

from gmmtf import Estimate, MultiTokenGMM
from gmmtf.benchmark import ENTRIES, TASKS
from gmmtf.benchmark.exact import exact_risks
from gmmtf.benchmark.leaderboard import leaderboard, score, shown
from gmmtf.benchmark.tasks import STEPS
from gmmtf.record import Recording
from gmmtf_book.c12_benchmark import results, training_sets
from gmmtf_book.c12_benchmark.training_sets import FRESH, IDEAL

Numbers = dict[str, Any]


def slug(name: str) -> str:
    """Name of an entry in the names of numbers."""
    return re.sub(r"\W+", "_", name).strip("_")


def recorded() -> Numbers:
    """All numbers of the records."""
    counts = {
        "entries": len(ENTRIES),
        "tasks": len(TASKS),
        "many_points": STEPS * TASKS["many"].batch_size,
    }
    found = counts | _scores() | _tasks() | _rarity() | _lengths() | _sets()
    # Both have their data in common, so that the quotient errs less than it says.
    return found | {name: found[one] / found[other] for name, (one, other) in _RATIOS.items()}


_RATIOS = {
    "few-blind": ("few-DiT", "few-token_Bayes"),
    "one-blind": ("one-DiT", "one-token_Bayes"),
    "rare-data-blind": ("rare-data-DiT", "rare-data-token_Bayes"),
    "many-order": ("many-DiT", "many-two_layers"),
    "many-blind": ("length512-DiT", "length512-token_Bayes"),
    "every-order": ("every-head", "every-linear"),
    "pooled": ("few-deep_sets", "few-MLP"),
    "learned": ("few-kernel_average", "few-head"),
    "set1000-cost": ("set1000-DiT", "set0-DiT"),
    "set100-cost": ("set100-DiT", "set0-DiT"),
    "rare-kinds": ("rare-tokens-ratio-head", "rare-data-ratio-head"),
}
"""Numbers of which the first is compared with the second."""


def _scores() -> Numbers:
    table = leaderboard()
    found = {f"score-{slug(str(name))}": value for name, value in table["score"].items()}
    rows = results.rows()
    gaps = [gap.value / gap.standard_error for gap in rows["gap"] if gap.standard_error > 0]
    return found | {
        "lowest_gap": min(gaps),
        "runs": len(rows),
        "seed_error": float(table["error"].max()),
    }


def _tasks() -> Numbers:
    """Excess risks, and in how many tasks an entry is below the linear filter and blind Bayes."""
    excess: dict[Any, dict[Any, Estimate]] = results.excesses().T.to_dict()
    found: Numbers = {
        f"{task}-{slug(entry)}": value
        for entry, column in excess.items()
        for task, value in column.items()
    }
    linear = {name: exact_risks(name).linear_excess.value for name in TASKS}
    blind = {name: each.value for name, each in excess["token Bayes"].items()}
    coupled = [name for name in TASKS if blind[name] > 1e-9]
    for entry in ("head", "head + value", "MLP", "deep sets", "transformer", "DiT"):
        here = {name: each.value for name, each in excess[entry].items()}
        found[f"beats_linear-{slug(entry)}"] = sum(here[name] < linear[name] for name in TASKS)
        found[f"beats_blind-{slug(entry)}"] = sum(here[name] < blind[name] for name in coupled)
        shares = [here[name] / linear[name] for name in TASKS]
        found[f"left-{slug(entry)}"] = 100 * median(shares)
    return found | {"coupled": len(coupled)}


def _rarity() -> Numbers:
    return {
        f"{task}-ratio-{slug(str(name))}": ratio
        for task in ("rare-tokens", "rare-data")
        for name, ratio in results.rarity(task)["ratio"].items()
        if math.isfinite(ratio.value)  # one that is Bayes has no excess at all
    }


def _lengths() -> Numbers:
    return {
        f"length{n}-{slug(str(entry))}": value
        for entry, column in results.lengths("few").items()
        for n, value in column.items()
    }


def _sets() -> Numbers:
    """Excess on new data, and loss less Bayes' on the training data, by size of the training set.

    ``enough``: the smallest set with an excess within a quarter of that with fresh data.
    """
    record = training_sets.recorded()
    found: Numbers = {"sets-linear": training_sets.linear(record)}
    seen = training_sets.table(record, "seen").to_dict()
    for entry, column in training_sets.table(record, "excess").items():
        name = slug(str(entry))
        known: dict[Any, Estimate] = column.dropna().to_dict()
        found |= {f"set{size}-{name}": value for size, value in known.items()}
        found |= {f"seen{size}-{name}": seen[entry][size] for size in known}
        if entry == IDEAL:
            found["ideal_most"] = max(known)
            continue
        fresh = known.pop(FRESH).value
        found[f"enough-{name}"] = min(n for n, each in known.items() if each.value < 1.25 * fresh)
        found[f"cost-{name}"] = known[100].value / fresh
    return found


def tasks_table() -> pd.DataFrame:
    """What each task asks, its sizes, and its exact risks."""
    rows = {}
    for name, task in TASKS.items():
        law, exact = task.law, exact_risks(name)
        patterns = law.n_patterns if isinstance(law, MultiTokenGMM) else len(law.weights)
        rows[name] = {
            "what is hard": task.asks,
            "M": patterns,
            "d": law.dim,
            "N": law.n_tokens,
            "Bayes": f"{exact.bayes_risk.value:.4f}",
            "linear above it": f"{exact.linear_excess.value:.4f}",
        }
    return pd.DataFrame(rows).T


def entries_table() -> pd.DataFrame:
    """What each entry is."""
    return pd.DataFrame({"what it is": {name: entry.about for name, entry in ENTRIES.items()}})


def leaderboard_table() -> pd.DataFrame:
    """The leaderboard as it is read, with how many numbers each entry trains."""
    table = shown(leaderboard())
    sizes = results.rows().query("task == 'few'").groupby("entry")["n_parameters"].max()
    table.insert(2, "trained", [f"{sizes[name]:,}" for name in table.index])
    return table


def live(task: str, gated: Numbers, again: Numbers, study: Recording) -> Numbers:
    """Numbers of the live runs: an entry of one's own, the head again, and the empirical ideal."""
    before: Any = results.excesses().loc["head", task]
    excess, gap = gated["excess"].value, gated["gap"]
    ideal = training_sets.table(study, "excess")[IDEAL].map(lambda each: each.value)
    filtered = exact_risks(task).linear_excess.value
    return {
        "gated": excess,
        "again": again["excess"].value,
        "filter": filtered,
        "gated_score": score(excess, task),
        "gated_head": excess / again["excess"].value,
        "gated_filter": excess / filtered,
        "gated_gap": gap.value / gap.standard_error,
        "head_again": again["excess"].value / before.value,
        "ideal_ratio": ideal.iloc[0] / ideal.iloc[-1],
    }


def quoted(numbers: Numbers) -> Numbers:
    """The numbers as the prose has them."""
    found = {k: v.value if isinstance(v, Estimate) else v for k, v in numbers.items()}
    linear = exact_risks("few").linear_excess.value
    for name in ("DiT", "head"):
        found[f"few-{name}-percent"] = 100 * found[f"few-{name}"] / linear
    found["lowest_gap_size"] = max(0.0, -found["lowest_gap"])
    return found
