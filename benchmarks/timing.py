"""Timing two pieces of code in turn, so that a drifting machine slows both alike; and memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

Work = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of repeated measurements."""

    median: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of ``values``."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.4g} [{self.minimum:.4g}, {self.maximum:.4g}]"


def seconds(work: Work, inner: int = 1) -> float:
    """Return the seconds that one call takes, averaged over ``inner`` calls in a row."""
    start = time.perf_counter()
    for _ in range(inner):
        work()
    return (time.perf_counter() - start) / inner


def speedup(slow: Work, fast: Work, *, repeats: int = 5, inner: int = 1) -> Spread:
    """Return how many times faster ``fast`` is than ``slow``, from interleaved pairs of runs.

    ``inner`` calls of ``fast`` make one of its measurements. One run of each is not counted.
    """
    slow()
    fast()
    gc.collect()
    ratios = []
    for _ in range(repeats):
        slow_seconds = seconds(slow)
        ratios.append(slow_seconds / seconds(fast, inner))
    return Spread.of(ratios)


def in_fresh_processes(measure: Callable[[int], float], size: int, repeats: int = 5) -> Spread:
    """Return what a function of a module finds, each time in a process of its own."""
    found = []
    for _ in range(repeats):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found.append(pool.submit(measure, size).result())
    return Spread.of(found)


def peak_bytes() -> int:
    """Return the peak memory of this process (Linux); ``ru_maxrss`` begins with its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
