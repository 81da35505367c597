"""Whenever a process is killed: nothing is lost, nothing done twice, and the rest as if it had not.

Processes that train and record are killed before their operations on files, in the midst of a file,
and at random moments. ``GMMTF_KILLS`` is the number of random moments for each job; from 30 on
every operation is tried, else every fifth.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import random
import signal
import time
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from core import killed_jobs
from gmmtf import checkpoint
from gmmtf.record import Recording
from kernel_environment import ROOT

KILLS = int(os.environ.get("GMMTF_KILLS", "3"))
STRIDE = 1 if KILLS >= 30 else 5
TRAINED = sorted(killed_jobs.TRAINED)


@pytest.fixture(scope="module")
def context():
    """Start processes by forking one that has imported the library, in milliseconds."""
    made = multiprocessing.get_context("forkserver")
    # Optimizers import the second, which takes seconds.
    made.set_forkserver_preload(["core.killed_jobs", "torch._dynamo"])
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT / name) for name in ("src", "scripts", "tests")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield made


class Runs:
    """Processes that do one job on one file, one after another or side by side."""

    def __init__(self, context, folder: Path, job: str, n: int) -> None:
        self.context, self.job, self.n = context, job, n
        self.path, self.log = folder / "there" / "file", folder / "log"
        folder.mkdir(exist_ok=True)

    def start(self, *, number: int = 0, operation: int | None = None, byte: int = 0) -> BaseProcess:
        given = (self.job, self.path, self.log, self.n, number, operation, byte)
        process = self.context.Process(target=killed_jobs.work, args=given)
        process.start()
        return process

    def told(self) -> list[tuple]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [ast.literal_eval(line) for line in lines]

    def check_nothing_lost(self) -> None:
        """What a process said it had done is in the file, and nothing foreign is beside it."""
        if self.path.exists() or self.told():
            check = self.check_record if self.job == "record" else self.check_curve
            check()
        if self.path.parent.exists():
            names = {path.name for path in self.path.parent.iterdir()} - {"file", "file.lock"}
            assert all(name.startswith("file.") and name.endswith(".partial") for name in names)

    def check_curve(self) -> None:
        saved = [record["step"] for record in checkpoint.load(self.path)[1]["records"]]
        assert saved == sorted(set(saved))
        assert {step for step, *_ in self.told()} <= set(saved)

    def check_record(self) -> None:
        told = self.told()  # before the file, to which another process may be adding
        points = Recording(self.path).points if self.path.exists() else []
        found = {(p.labels["process"], p.labels["i"]): p.value for p in points}
        assert len(found) == len(points)
        recorded = set()
        for what, *labels in told:
            if what == "recorded":
                recorded.add(tuple(labels))
            else:
                assert tuple(labels) not in recorded, "computed again"
        assert recorded <= set(found)
        for (number, i), value in found.items():
            assert value == killed_jobs.value(-1 if number == "any" else number, i)

    def check_as_if_never_killed(self, uninterrupted: Path) -> None:
        """Train on to the end here, and compare all that the run is."""
        whole, curve = killed_jobs.TRAINED[self.job](uninterrupted, self.n)
        expected = list(curve)
        resumed, curve = killed_jobs.TRAINED[self.job](self.path, self.n)
        assert list(curve) == expected
        assert len(expected) >= self.n
        assert same(resumed.state_dict(), whole.state_dict())
        tensors, state = checkpoint.load(self.path)
        expected_tensors, expected_state = checkpoint.load(uninterrupted)
        assert state == expected_state
        assert same(tensors, expected_tensors)

    def check_complete(self, n_processes: int) -> None:
        labels = [(p.labels["process"], p.labels["i"]) for p in Recording(self.path)]
        numbers = [*range(n_processes), "any"]
        assert sorted(labels, key=str) == sorted(
            ((number, i) for number in numbers for i in range(self.n)), key=str
        )
        self.check_nothing_lost()
        # The next point removes what killed processes left.
        Recording(self.path, {"count": self.n}).point(lambda: 0, process="last", i=0)
        assert {path.name for path in self.path.parent.iterdir()} <= {"file", "file.lock"}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def end(process: BaseProcess) -> int:
    """Wait for a process; one that waits for a dead one's lock fails here."""
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize("job", TRAINED)
def test_training_killed_before_an_operation_on_files(context, tmp_path, job):
    for k in count(0, STRIDE):
        runs = Runs(context, tmp_path / str(k), job, 2)
        code = end(runs.start(operation=k))
        runs.check_nothing_lost()
        runs.check_as_if_never_killed(tmp_path / "whole")
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert k > 15


@pytest.mark.parametrize("share", [0.01, 0.5, 0.8])
@pytest.mark.parametrize("job", TRAINED)
def test_training_killed_within_a_file(context, tmp_path, job, share):
    runs = Runs(context, tmp_path, job, 2)
    list(killed_jobs.TRAINED[job](tmp_path / "whole", 2)[1])
    size = int(share * (tmp_path / "whole").stat().st_size)
    assert end(runs.start(byte=size)) == -signal.SIGXFSZ
    assert len(runs.told()) == 1
    runs.check_nothing_lost()
    runs.check_as_if_never_killed(tmp_path / "whole")


def test_recording_killed_before_an_operation_on_files(context, tmp_path):
    for k in count(0, STRIDE):
        runs = Runs(context, tmp_path / str(k), "record", 2)
        dying, living = runs.start(number=0, operation=k), runs.start(number=1)
        code = end(dying)
        assert end(living) == 0
        runs.check_nothing_lost()
        assert end(runs.start(number=0)) == 0
        if code == 0:
            break
        runs.check_complete(2)
        assert code == -signal.SIGKILL
    assert k > 30


@pytest.mark.parametrize("size", [1_000, 10_000, 20_000])
def test_recording_killed_within_a_file(context, tmp_path, size):
    runs = Runs(context, tmp_path, "record", 2)
    assert end(runs.start(byte=size)) == -signal.SIGXFSZ
    runs.check_nothing_lost()
    assert end(runs.start()) == 0
    runs.check_complete(1)


@pytest.mark.parametrize("job", [*TRAINED, "record"])
def test_killed_at_random_moments(context, tmp_path, job):
    draw, kills, n_processes = random.Random(5), 0, 2 if job == "record" else 1
    for warm in (False, True):  # the first process waits for the one it is forked from
        start = time.monotonic()
        assert end(Runs(context, tmp_path / f"timed {warm}", job, 12).start()) == 0
    duration = time.monotonic() - start
    for attempt in count():
        runs = Runs(context, tmp_path / str(attempt), job, 12)
        alive = {number: runs.start(number=number) for number in range(n_processes)}
        while alive:
            time.sleep(draw.uniform(0, 0.7 * duration))
            number = draw.choice(sorted(alive))
            alive[number].kill()
            code = end(alive[number])
            if code == 0:
                del alive[number]
                continue
            assert code == -signal.SIGKILL
            kills += 1
            runs.check_nothing_lost()
            alive[number] = runs.start(number=number)
        if job == "record":
            runs.check_complete(n_processes)
        else:
            runs.check_as_if_never_killed(tmp_path / "whole")
        if kills >= KILLS:
            break
