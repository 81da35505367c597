"""Sweeps: a function at each setting of a grid, one row a run, on one machine or a cluster."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from contextlib import closing
from importlib import import_module
from itertools import product
from operator import attrgetter
from typing import Annotated, Any

import torch
from joblib import cpu_count
from tqdm import tqdm

from gmmtf.arguments import ArgumentError, checked, count, fitted, shown
from gmmtf.jsonvalues import encode
from gmmtf.provenance import code_digest
from gmmtf.record import Label, Point, Recording, label_key
from gmmtf.workers import FAILURE, Outcome, Settings, Task, in_processes, on_cluster

Grid = Mapping[str, Iterable[Label]] | Iterable[Mapping[str, Label]]

RESERVED = ("value", *FAILURE)
"""Columns of the table that hold what a run gave, so that no setting may have their names."""


@checked
def sweep(
    function: Callable[..., Any],
    grid: Annotated[Grid, "checked below"],
    path: str | os.PathLike[str] | None,
    *,
    fixed: Mapping[str, Any] | None = None,
    n_workers: int | None = None,
    client: Any = None,
    retry_failed: bool = False,
    device: torch.device | str = "cpu",
) -> Recording:
    """Call a function at every setting of a grid, and record one row a run.

    A row is written when its run ends. A sweep that was stopped goes on where it stood, and runs
    that are recorded are not done again, also when the grid has grown. A run that raises, or whose
    process dies, has a row with the entries ``error`` (the type), ``message`` and ``traceback``;
    it stops no other, and is done again only with ``retry_failed``.

    ``sweep(...).frame()`` is the table of all rows: a column for each setting, one for each entry
    of what the function returned (or ``value``), and, where runs failed, the three above.

    Parameters
    ----------
    function
        What is run, as ``function(**settings, **fixed)``; it returns a number, or an object of
        numbers and texts, see :func:`gmmtf.jsonvalues.encode`. Other processes import it by its
        name, so it stands at the top level of a module: not of a notebook, nor of the script that
        runs.
    grid
        The values of each setting, for all combinations, or a list of settings, such as
        scikit-learn's ``ParameterGrid``. Values are numbers, texts, truth values or None.
    path
        The record, see :class:`gmmtf.record.Recording`; None to keep the rows in memory only.
    fixed
        Arguments that are the same in all runs, as JSON values.
    n_workers
        Processes on this machine, of one thread each; as many as it has processors by default.
    client
        A ``dask.distributed.Client``, to run on its cluster instead.
    retry_failed
        Whether to do those runs of the grid again that failed.
    device
        Where the function computes, for the provenance.

    Returns
    -------
    Recording
        All rows of the record, with those of earlier grids.

    Warns
    -----
    RuntimeWarning
        If runs of the grid failed.

    Raises
    ------
    ValueError
        Before anything is run: if the grid is empty, holds a setting twice, or values that are no
        labels; if the function cannot be imported, or does not take the arguments; if the record
        holds rows of another function, of other code (of the function's module, or of what it
        imports of its project) or of other fixed arguments, which the message names.
    RuntimeError
        If the workers cannot start, cannot import the function, or have other code.

    Notes
    -----
    On a cluster only this process writes the record, so that the workers need no common file
    system. It takes any client: ``Client(LocalCluster(threads_per_worker=1))``, one that knows a
    scheduler's address, or Slurm through dask-jobqueue::

        from dask_jobqueue import SLURMCluster
        from distributed import Client

        cluster = SLURMCluster(cores=1, memory="4GB", walltime="02:00:00")
        cluster.scale(jobs=20)
        table = sweep(train_one, {"lr": [0.1, 1.0], "seed": range(10)}, "sweep.json",
                      client=Client(cluster)).frame()

    The workers import the project from where it is installed. A run whose worker is killed is done
    again by another one, at most ``distributed.scheduler.allowed-failures`` times.
    """
    given = dict(fixed or {})
    runs = _runs(grid)
    task = _task(function, given, device)
    _check_arguments(function, runs.values(), given)
    settings = {"function": f"{task.module}.{task.name}", "function's code": task.digest}
    settings |= {f"fixed {name}": value for name, value in given.items()}
    record = Recording(path, settings, code=task.module, device=device)
    known = {label_key(point.labels): point for point in record}
    todo = [
        run
        for key, run in runs.items()
        if key not in known or (retry_failed and has_failed(known[key]))
    ]
    outcomes = _outcomes(task, todo, n_workers, client)
    done = len(runs) - len(todo)
    with (
        closing(outcomes),
        tqdm(total=len(runs), initial=done, desc="sweep", unit="run", leave=False) as bar,
    ):
        for outcome in outcomes:
            point = Point(outcome.settings, outcome.value, outcome.provenance)
            record.take(point, instead_of=known.get(label_key(point.labels)))
            bar.update()
    failed = sum(has_failed(point) and label_key(point.labels) in runs for point in record)
    if failed:
        warnings.warn(
            f"{failed} of {len(runs)} runs failed, see the column 'error' of the record's frame; "
            "retry_failed=True does them again",
            RuntimeWarning,
            stacklevel=3,  # past the check of the arguments
        )
    return record


@checked
def has_failed(point: Point) -> bool:
    """Whether a row of a sweep is that of a run that failed."""
    return isinstance(point.value, dict) and point.value.keys() == set(FAILURE)


def _runs(grid: Any) -> dict[Hashable, Settings]:
    """The settings of all runs, by what tells them apart."""
    if isinstance(grid, Mapping):
        axes = {name: _several(f"grid: {name!r}", values) for name, values in grid.items()}
        listed = [dict(zip(axes, each, strict=True)) for each in product(*axes.values())]
    else:
        listed = _several("grid", grid)
    runs: dict[Hashable, Settings] = {}
    for each in listed:
        if not isinstance(each, Mapping) or not each:
            raise ArgumentError(f"grid: expected settings with names, got {shown(each)}")
        run = {_name(name): fitted(f"grid: {name!r}", each[name], Label) for name in each}
        if runs.setdefault(label_key(run), run) is not run:
            raise ValueError(f"grid: expected each setting once, got {run} again")
    return runs


def _several(name: str, values: Any) -> list[Any]:
    try:
        found = [] if isinstance(values, (str, bytes)) else list(values)
    except TypeError:  # one number
        found = []
    if not found:
        raise ArgumentError(f"{name}: expected at least one value in a list, got {shown(values)}")
    return found


def _name(name: Any) -> str:
    if not isinstance(name, str) or name in RESERVED:
        raise ArgumentError(
            f"grid: expected names of settings, other than {', '.join(RESERVED)}, got {name!r}"
        )
    return name


def _task(function: Callable[..., Any], fixed: Settings, device: torch.device | str) -> Task:
    module, name = (getattr(function, kind, "") for kind in ("__module__", "__qualname__"))
    try:
        found = None if module == "__main__" else attrgetter(name)(import_module(module))
    except (ImportError, AttributeError, ValueError):
        found = None
    if found is not function:
        raise ValueError(
            "function: expected one that other processes can import by its name, got "
            f"{name or shown(function)} of {module or 'no module'}; write it at the top level of a "
            "module, such as a .py file beside the notebook or script, and import it from there; "
            "arguments that are the same in all runs are `fixed`"
        )
    return Task(module, name, code_digest(module), fixed, str(device))


def _check_arguments(
    function: Callable[..., Any], runs: Iterable[Settings], fixed: Settings
) -> None:
    try:
        encode(fixed)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"fixed: {error}") from error
    signature = inspect.signature(function)
    for run in runs:
        both = sorted(run.keys() & fixed.keys())
        if both:
            raise ValueError(f"fixed: expected other arguments than the grid's, got {both}")
        try:
            signature.bind(**run, **fixed)
        except TypeError as error:
            raise ValueError(
                f"grid: {function.__qualname__}{signature} cannot be called with {run}"
                f"{f' and fixed {fixed}' if fixed else ''}: {error}"
            ) from error


def _outcomes(
    task: Task, runs: list[Settings], n_workers: int | None, client: Any
) -> Generator[Outcome]:
    if client is None:
        width = cpu_count() if n_workers is None else count("n_workers", n_workers, least=1)
        return in_processes(task, runs, width)
    if n_workers is not None:
        raise ValueError("n_workers: expected None beside a client, whose cluster has its workers")
    if not hasattr(client, "scheduler_info") or client.asynchronous:
        raise ArgumentError(
            f"client: expected a dask.distributed.Client (not asynchronous), got {shown(client)}"
        )
    return on_cluster(task, runs, client)
