"""Sweeps on a real Dask cluster of this machine, whose workers and clients come to an end."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from core import swept
from gmmtf import sweep
from gmmtf.record import Recording

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def context():
    with swept.preloaded() as made:
        yield made


@pytest.fixture(scope="module")
def cluster(context):
    settings = {"scheduler.allowed-failures": 1, "worker.multiprocessing-method": "forkserver"}
    with (
        dask.config.set({f"distributed.{name}": value for name, value in settings.items()}),
        LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0") as made,
    ):
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster) as made:
        yield made


def call(address: str, n: int, path: Path, fixed: dict[str, object]) -> None:
    sweep(swept.began, {"x": range(n)}, path, fixed=fixed, client=Client(address))


def rows(path: Path) -> list[int]:
    return [point.labels["x"] for point in Recording(path)] if path.exists() else []


def when(path: Path, n: int, action) -> threading.Thread:
    """Do something once the record has ``n`` rows."""

    def watch() -> None:
        while len(rows(path)) < n:
            time.sleep(0.02)
        action()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_nothing_is_lost_or_done_twice_when_worker_and_client_end(context, client, tmp_path):
    n, seconds = 200, 0.02
    path, folder = tmp_path / "sweep.json", tmp_path / "began"
    folder.mkdir()
    fixed = {"folder": str(folder), "seconds": seconds}
    caller = context.Process(target=call, args=(client.scheduler.address, n, path, fixed))
    caller.start()
    when(path, 40, caller.kill).join()
    caller.join()
    assert caller.exitcode == -signal.SIGKILL
    first = rows(path)
    assert 40 <= len(first) < 100

    def kill_worker() -> None:
        os.kill(Recording(path).points[-1].value["process"], signal.SIGKILL)

    actions = [when(path, 80, kill_worker), when(path, 120, client.restart)]
    record = sweep(swept.began, {"x": range(n)}, path, fixed=fixed, client=client)
    for action in actions:
        action.join()
    assert sorted(rows(path)) == sorted(p.labels["x"] for p in record) == list(range(n))
    assert len(set(record.frame()["process"])) >= 4  # processes
    begun = {x: (folder / str(x)).read_text().split() for x in range(n)}
    for point in record:
        assert str(point.value["process"]) in begun[point.labels["x"]]
    again = [x for x in range(n) if len(begun[x]) > 1]
    assert not set(again) & set(first)


def test_a_run_that_kills_every_worker_has_failed_and_the_others_have_not(client):
    with pytest.warns(RuntimeWarning, match=r"^1 of 6 runs failed"):
        record = sweep(swept.fatal, {"x": range(6)}, None, client=client)
    assert sorted(p.labels["x"] for p in record) == list(range(6))
    assert record.value(x=3)["error"] == "KilledWorker"
    assert "those workers died" in record.value(x=3)["message"]
    assert os.getpid() not in record.frame()["value"].tolist()


def test_a_run_that_the_cluster_blames_is_done_again_alone(client, monkeypatch):
    """Dask counts the deaths of workers for all runs that they were given."""
    submit, sent = client.submit, itertools.count()

    def send(*given, **options):
        return submit(swept.blamed, pure=False) if next(sent) < 3 else submit(*given, **options)

    monkeypatch.setattr(client, "submit", send)
    record = sweep(swept.square, {"x": [1, 2, 3]}, None, client=client)
    assert sorted(record.frame()["square"]) == [1, 4, 9]


def losing(client, monkeypatch, n: int) -> None:
    """Make the cluster lose the first ``n`` runs that it is sent."""
    submit, sent = client.submit, itertools.count()

    def send(*given, **options):
        if next(sent) >= n:
            return submit(*given, **options)
        future = submit(time.sleep, 60, pure=False)
        future.cancel()
        return future

    monkeypatch.setattr(client, "submit", send)


def test_runs_that_the_cluster_lost_are_sent_again(client, monkeypatch):
    losing(client, monkeypatch, 2)
    record = sweep(swept.square, {"x": [1, 2]}, None, client=client)
    assert sorted(record.frame()["square"]) == [1, 4]


def test_a_cluster_that_loses_all_runs_twice_stops_the_sweep(client, monkeypatch):
    losing(client, monkeypatch, 4)
    with pytest.raises(RuntimeError, match=r"^client: the cluster lost all of 2 runs twice"):
        sweep(swept.square, {"x": [1, 2]}, None, client=client)


@pytest.mark.parametrize("wrong", [3, "tcp://127.0.0.1:8786"])
def test_what_is_no_client_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^client: expected a dask.distributed.Client"):
        sweep(swept.square, {"x": [1]}, None, client=wrong)


def test_workers_are_those_of_the_cluster(client):
    with pytest.raises(ValueError, match=r"^n_workers: expected None beside a client"):
        sweep(swept.square, {"x": [1]}, None, n_workers=2, client=client)
