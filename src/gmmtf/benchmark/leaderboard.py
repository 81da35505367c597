"""Scores: how near to Bayes each entry comes, on every task and over all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd

from gmmtf.arguments import checked
from gmmtf.benchmark.exact import exact_risks
from gmmtf.benchmark.tasks import TASKS, VERSION
from gmmtf.estimate import Estimate
from gmmtf.record import Recording

COLUMNS = ("entry", "task", "seed", "excess", "gap", "error")


@checked
def score(excess: float, task_name: str) -> float:
    """Score of an excess risk on a task: 100 is Bayes, 50 the best linear filter, 0 the worst.

    100 L/(L + e), with e the excess risk and L that of the linear filter.
    """
    linear = exact_risks(task_name).linear_excess.value
    return 100 * linear / (linear + max(excess, 0.0))


@checked
def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a result of the benchmark: a row for each entry, task and seed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no result of this version of the suite.
    """
    recording = Recording(path)
    found = recording.settings.get("fixed version")
    if recording.settings.get("function") != "gmmtf.benchmark.running.run" or found != VERSION:
        raise ValueError(
            f"{path}: expected a result of version {VERSION} of the benchmark, got "
            f"{'version ' + repr(found) if found else 'another record'}; run the entry again"
        )
    return recording.frame().reindex(columns=list(COLUMNS))


@checked
def shipped() -> pd.DataFrame:
    """Results of the entries of the suite, as :func:`read` gives them."""
    with as_file(files("gmmtf.benchmark") / "results.csv") as path:
        rows = pd.read_csv(path)
    for name in ("excess", "gap"):
        pairs = zip(rows[name], rows.pop(f"{name}_error"), strict=True)
        rows[name] = pd.Series([Estimate(*pair) for pair in pairs], dtype=object)
    return rows.reindex(columns=list(COLUMNS))


@checked
def leaderboard(*paths: str | os.PathLike[str], own: bool = True) -> pd.DataFrame:
    """Table of scores, the best entry first.

    Parameters
    ----------
    *paths
        Results of other entries, see :func:`read`.
    own
        Whether the entries of the suite are in it.

    Returns
    -------
    DataFrame
        A row for each entry: ``score``, the mean over all tasks, its standard error over the seeds
        ``error``, and the mean score on each task. An entry that failed on a task, or was not run
        on it, has no score there, and none over all.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is no result of this version, if two have the same entry, or there is none at all.

    Warns
    -----
    UserWarning
        If an entry has a smaller loss than Bayes, by more than three standard errors.
    """
    frames = [shipped()] if own else []
    frames += [read(path) for path in paths]
    if not frames:
        raise ValueError("paths: expected at least one file, or own=True")
    names = [name for frame in frames for name in frame["entry"].unique()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"paths: expected each entry in one file, got {twice} in two")
    rows = pd.concat(frames, ignore_index=True)
    for _, row in impossible(rows).iterrows():
        warnings.warn(
            f"{row['entry']} on {row['task']}, seed {row['seed']}: a smaller loss than Bayes, by "
            f"{-row['gap'].value:.2g}, which no denoiser of the noisy tokens has; it saw more",
            stacklevel=3,
        )
    rows["score"] = [
        score(excess.value, name) if isinstance(excess, Estimate) else float("nan")
        for excess, name in zip(rows["excess"], rows["task"], strict=True)
    ]
    # No pivot table: it would ask each entry for the seeds of all others.
    by_task = rows.groupby(["entry", "task"])["score"].agg(_mean).unstack("task")
    by_seed = rows.groupby(["entry", "seed", "task"])["score"].agg(_mean).unstack("task")
    over_all = by_seed.reindex(columns=list(TASKS)).mean(axis=1, skipna=False).groupby("entry")
    whole = pd.DataFrame({"score": over_all.agg(_mean), "error": over_all.sem()})
    whole = whole.join(by_task.reindex(columns=list(TASKS)))
    return whole.sort_values("score", ascending=False, na_position="last")


@checked
def impossible(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`read` whose loss is below Bayes' by more than three standard errors."""

    def below(gap: object) -> bool:
        return isinstance(gap, Estimate) and gap.value < -3 * gap.standard_error

    return rows[rows["gap"].map(below).astype(bool)]


def _mean(values: pd.Series[float]) -> float:
    return float(values.mean(skipna=False))


@checked
def as_html(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a leaderboard as a page of its own."""
    title = f"gmmtf benchmark, version {VERSION}"
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>body{{font-family:sans-serif}}div{{overflow-x:auto}}"
        "td,th{padding:.2em .6em;text-align:right}</style>"
        f"<h1>{title}</h1><p>{MEANING}</p><div>{shown(table).to_html(border=0)}</div></html>\n"
    )
    Path(path).write_text(page, encoding="utf-8")


MEANING = (
    "Mean score over all tasks, its standard error over the seeds, and the score on each task: "
    "100 is the exact optimum, 50 the best linear filter."
)


@checked
def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with numbers as people read them."""
    digits = table.map(lambda value: "–" if pd.isna(value) else f"{value:.1f}")
    digits["error"] = ["–" if pd.isna(value) else f"{value:.2f}" for value in table["error"]]
    return digits.rename_axis(index=None, columns=None)


def compact(rows: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """Return records as the plain numbers that are shipped with the library."""
    frame = pd.concat([read(path) for path in rows], ignore_index=True).drop(columns="error")
    for name in ("excess", "gap"):
        frame[f"{name}_error"] = [each.standard_error for each in frame[name]]
        frame[name] = [each.value for each in frame[name]]
    return frame.sort_values(["entry", "task", "seed"], ignore_index=True)
