"""Runs of a function in other processes: some of this machine, or those of a Dask cluster.

A run that raises is no error here: it ends with what it raised in place of its value, and so does
one that ends the process that it runs in. Whatever keeps all runs from being done, such as a worker
with other code, is an error.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import Any

import torch
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor
from tqdm import tqdm

from gmmtf.jsonvalues import encode
from gmmtf.provenance import code_digest, provenance

FAILURE = ("error", "message", "traceback")
"""Entries of what a failed run has in place of its value."""

LIBRARIES = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
ENVIRONMENT = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES} | {"TQDM_DISABLE": "1"}
"""Of local processes: one thread each, and no progress bars but the sweep's own."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its settings, its value in the form of JSON, what it was computed with."""

    settings: Settings
    value: Any
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A function of a module with the arguments that are the same in all runs.

    It travels as names, so that a worker computes with the code that it can import, and says so if
    that is not the code of ``digest``.
    """

    module: str
    name: str
    digest: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def run(self, settings: Settings) -> Outcome:
        """Call the function; what it raises is the outcome.

        Raises
        ------
        RuntimeError
            If this process does not have the function, or has other code.
        """
        function = self.load()
        start = time.perf_counter()
        try:
            value = encode(function(**settings, **self.fixed))
            both = sorted(settings.keys() & value.keys()) if isinstance(value, dict) else []
            if both:
                raise ValueError(f"value: expected entries with other names than settings: {both}")
        except (Exception, SystemExit) as error:
            value = failure(error)
        return self.outcome(settings, value, start)

    def load(self) -> Any:
        """Import the function; errors as :meth:`run`."""
        try:
            function = attrgetter(self.name)(import_module(self.module))
            found = code_digest(self.module)
        except (ImportError, AttributeError, ValueError) as error:
            raise RuntimeError(
                f"worker: expected to import {self.name} from {self.module}, got {error!r}; the "
                "project must be installed for the workers, or be on their PYTHONPATH"
            ) from error
        if found != self.digest:
            raise RuntimeError(
                f"worker: has other code of {self.module}, or of what that imports of its project, "
                f"than the process that sweeps ({found}, {self.digest}); start both anew"
            )
        return function

    def outcome(self, settings: Settings, value: Any, start: float) -> Outcome:
        """Return the outcome of a run that began at ``start``, of ``time.perf_counter``."""
        seconds = time.perf_counter() - start
        return Outcome(settings, value, provenance(seconds, code=self.module, device=self.device))


def failure(error: BaseException) -> dict[str, str]:
    """Return what stands for the value of a run that raised ``error``."""
    told = traceback.TracebackException.from_exception(error)  # also of errors that have no text
    texts = type(error).__qualname__, str(told), "".join(told.format())
    plain = (text.encode(errors="backslashreplace").decode() for text in texts)
    return dict(zip(FAILURE, plain, strict=True))


def in_processes(task: Task, runs: Iterable[Settings], n_workers: int) -> Generator[Outcome]:
    """Yield the outcomes of runs in processes of this machine, one thread each, as they end.

    When a process dies, the runs that were under way are done again, one at a time: the one that
    ends its process once more has failed.

    Raises
    ------
    RuntimeError
        If the processes cannot start, or cannot import the function.
    """
    waiting, suspects = deque(runs), deque[Settings]()
    while waiting or suspects:
        queue, width = (suspects, 1) if suspects else (waiting, min(n_workers, len(waiting)))
        under_way: dict[Future[Outcome], tuple[Settings, float]] = {}
        with _processes(task, width) as pool:
            broken: BaseException | None = None
            while under_way or (queue and not broken):
                while queue and not broken and len(under_way) < width:
                    try:
                        future = pool.submit(task.run, queue[0])
                    except BrokenProcessPool as error:  # a process died between two runs
                        broken = error
                    else:
                        under_way[future] = queue.popleft(), time.perf_counter()
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    settings, start = under_way.pop(future)
                    died = future.exception()
                    if not isinstance(died, BrokenProcessPool):
                        yield future.result()
                        continue
                    broken = died
                    if queue is suspects:
                        yield task.outcome(settings, failure(died), start)
                    else:
                        suspects.append(settings)


@contextmanager
def _processes(task: Task, width: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that are known to start; the end of this one, or of the block, ends them."""
    pool = ProcessPoolExecutor(
        width, env=ENVIRONMENT, initializer=_prepare, initargs=(os.getpid(),)
    )
    try:
        try:
            pool.submit(task.load).result()
        except BrokenProcessPool as error:
            raise RuntimeError(f"worker: expected a process that starts, got {error}") from error
        yield pool
    finally:
        pool.shutdown(kill_workers=True)


def _prepare(parent: int) -> None:
    torch.set_num_threads(1)
    # The lock that tqdm would make is a semaphore of the system, and would be reported as leaked
    # when this process is killed at the end.
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def on_cluster(task: Task, runs: Iterable[Settings], client: Any) -> Generator[Outcome]:
    """Yield the outcomes of runs on the workers of a Dask cluster, as they end.

    Dask does a run again whose worker died, and gives up when several died; since it counts their
    deaths for all runs that they were given, such a run is then done alone before it has failed.
    Runs that the cluster lost, since it was restarted, are sent to it again.

    Raises
    ------
    RuntimeError
        If a worker cannot import the function, or the cluster loses all runs twice.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    waiting, suspects, is_stalled = list(runs), deque[Settings](), False
    while waiting or suspects:
        is_alone = not waiting
        sent, waiting = waiting or [suspects.popleft()], []
        start = time.perf_counter()
        futures = {client.submit(task.run, settings, pure=False): settings for settings in sent}
        try:
            for future in as_completed(list(futures)):
                settings = futures.pop(future)
                try:
                    outcome = future.result()
                except CancelledError:
                    waiting.append(settings)
                    continue
                except KilledWorker as error:
                    if not is_alone:
                        suspects.append(settings)
                        continue
                    outcome = task.outcome(settings, failure(error), start)
                yield outcome
        finally:
            client.cancel(list(futures))
        if is_stalled and len(waiting) == len(sent):
            raise RuntimeError(f"client: the cluster lost all of {len(sent)} runs twice")
        is_stalled = len(waiting) == len(sent)
