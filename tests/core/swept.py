"""Functions that the tests of sweeps run, in this process and in others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gmmtf import Estimate
from kernel_environment import ROOT


def square(x: float, seed: int = 0, offset: float = 0.0) -> dict[str, Any]:
    return {"square": x * x + offset, "estimate": Estimate(float(seed), 0.5)}


def inverse(x: int, folder: str = "") -> float:
    """Return 1/x; a file in the folder counts the calls."""
    if folder:
        with Path(folder, str(x)).open("a") as calls:
            calls.write("1")
    return 1 / x


def from_file(x: int, folder: str) -> str:
    """Return what the file of ``x`` holds, if it is there."""
    return Path(folder, f"{x}.txt").read_text()


def odd(kind: str) -> Any:
    """Give what no row can hold, or no error text."""
    if kind == "exit":
        sys.exit("left")
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "textless":
        raise Textless
    if kind == "surrogate":
        raise OSError("\udcff.txt")
    return {"nan": [float("nan")], "object": {"a": object()}, "label": {"kind": 1}}[kind]


class Textless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def began(x: int, folder: str, seconds: float = 0.0) -> dict[str, Any]:
    """Leave a line for each time that the run begins; say what the process is like."""
    with Path(folder, str(x)).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    given = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "TQDM_DISABLE")}
    return {"process": os.getpid(), "threads": torch.get_num_threads(), **given}


def fatal(x: int) -> int:
    """End the process at 3, while the other one has begun a run."""
    time.sleep(0.1 if x == 3 else 0.4)
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@contextmanager
def preloaded() -> Iterator[ForkServerContext]:
    """Start processes by forking one that has imported what they need, in milliseconds."""
    made = multiprocessing.get_context("forkserver")
    # A process has one server; `test_killed` needs the first two.
    made.set_forkserver_preload(["core.killed_jobs", "torch._dynamo", "core.swept", "distributed"])
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT / name) for name in ("src", "scripts", "tests")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        forkserver.ensure_running()
        yield made


def blamed():
    """Fail as Dask says of a run whose workers died."""
    from distributed import KilledWorker

    raise KilledWorker("run", SimpleNamespace(address="tcp://gone"), 1)
