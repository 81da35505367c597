"""Sweeps in real processes of this machine, which may end before their runs do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from joblib.externals.loky import ProcessPoolExecutor

from core import swept
from gmmtf import sweep, workers
from gmmtf.record import Recording
from kernel_environment import ROOT

SCRIPT = """
import sys
from core import swept
from gmmtf import sweep

path, folder, seconds = sys.argv[1:]
fixed = {"folder": folder, "seconds": float(seconds)}
sweep(swept.began, {"x": range(6)}, path, fixed=fixed, n_workers=2)
"""
"""What a person writes, with no guard around it."""


def test_a_run_that_kills_its_process_has_failed_and_the_others_have_not(tmp_path, monkeypatch):
    path = tmp_path / "sweep.json"
    with swept.preloaded() as context:
        monkeypatch.setattr(
            workers, "ProcessPoolExecutor", lambda n, **_: ProcessPoolExecutor(n, context=context)
        )
        with pytest.warns(RuntimeWarning, match=r"^1 of 6 runs failed"):
            sweep(swept.fatal, {"x": range(6)}, path, n_workers=2)
    record = Recording(path)
    assert sorted(p.labels["x"] for p in record) == list(range(6))
    dead = record.value(x=3)
    assert dead["error"] == "TerminatedWorkerError"
    assert "SIGKILL" in dead["message"]
    processes = record.frame()["value"].dropna()
    assert len(set(processes)) >= 3
    assert os.getpid() not in set(processes)


def alive(process: str) -> bool:
    state = Path("/proc", process, "stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's list of processes")
def test_a_script_that_is_killed_leaves_no_process_and_goes_on_where_it_stood(
    tmp_path, monkeypatch
):
    path, folder = tmp_path / "sweep.json", tmp_path / "began"
    folder.mkdir()
    paths = [str(ROOT / name) for name in ("src", "scripts", "tests")]
    surroundings = {
        **os.environ,
        "OMP_NUM_THREADS": "2",
        "TQDM_DISABLE": "0",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    caller = subprocess.Popen([sys.executable, "-c", SCRIPT, path, folder, "1.0"], env=surroundings)
    deadline = time.monotonic() + 120
    processes: set[str] = set()
    while (not path.exists() or len(processes) < 2) and time.monotonic() < deadline:
        time.sleep(0.05)
        processes = {line for file in folder.iterdir() for line in file.read_text().split()}
    caller.kill()
    assert caller.wait() == -signal.SIGKILL
    first = [point.labels["x"] for point in Recording(path)]
    processes = {line for file in folder.iterdir() for line in file.read_text().split()}
    assert 1 <= len(first) < 6
    assert len(processes) == 2
    ended = time.monotonic() + 20
    while any(map(alive, processes)) and time.monotonic() < ended:
        time.sleep(0.05)
    left = [process for process in processes if alive(process)]
    for process in left:
        os.kill(int(process), signal.SIGKILL)
    assert not left
    for point in Recording(path):
        expected = {"threads": 1, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
        assert point.value == {"process": point.value["process"], **expected}
    # The rest in this process, which is faster.
    monkeypatch.setattr(
        import_module("gmmtf.sweep"),
        "in_processes",
        lambda task, runs, _: (task.run(run) for run in runs),
    )
    fixed = {"folder": str(folder), "seconds": 1.0}
    record = sweep(swept.began, {"x": range(6)}, path, fixed=fixed)
    assert sorted(p.labels["x"] for p in record) == list(range(6))
    for x in first:
        assert len((folder / str(x)).read_text().split()) == 1


def test_processes_that_cannot_start_stop_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_prepare", os._exit)
    with pytest.raises(RuntimeError, match=r"^worker: expected a process that starts"):
        sweep(swept.square, {"x": [1]}, tmp_path / "sweep.json", n_workers=1)
    assert not (tmp_path / "sweep.json").exists()
