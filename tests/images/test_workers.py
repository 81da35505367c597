"""Several processes train as one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from gmmtf import NoiseSchedule
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.workers import Accelerated, Alone
from gmmtf.record import Recording
from kernel_environment import ROOT

OPTIONS = {
    "conditions": "rare 2 at 0.1",
    "seeds": 0,
    "steps": 6,
    "batch-size": 8,
    "record-every": 3,
}
OPTIONS |= {"warmup-steps": 2, "width": 16, "depth": 1, "generated": 5, "n-calls": 2}
SETTINGS = TrainingSettings(steps=2, batch_size=4, lr=1e-2, warmup_steps=1, record_every=1)
NETWORK = TransformerSettings(image_size=8, patch=4, width=8, depth=1, heads=1, n_classes=2)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def losses(path) -> list[float]:
    return [point.value["loss"] for point in Recording(path).select(kind="trained")]


def test_two_processes_give_the_loss_curve_of_one(tmp_path):
    launch = ["-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", "2"]
    launch += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    for name, how, extra in (("one", [], ["--device", "cpu"]), ("two", launch, ["--cpu"])):
        files = ["--record", tmp_path / f"{name}.json", "--checkpoints", tmp_path / name]
        script = str(ROOT / "scripts" / "train_digits.py")
        given = [str(word) for key, value in OPTIONS.items() for word in (f"--{key}", value)]
        command = [sys.executable, *how, script, *given, *map(str, files), *extra]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=400
        )
        assert done.returncode == 0, done.stderr[-4000:]
        assert done.stdout.count("rare 2 at 0.1, seed 0") == 1  # one process reports
    one, two = losses(tmp_path / "one.json"), losses(tmp_path / "two.json")
    assert len(one) == 2
    assert two == pytest.approx(one, rel=1e-5)


class Half(Alone):
    """The second of two processes, without the first."""

    rank = 1
    count = 2


def model() -> DiT:
    torch.manual_seed(0)
    return DiT(NETWORK, NoiseSchedule.linear(1000))


def test_shares_of_a_batch_are_disjoint_and_complete():
    x_0 = torch.arange(10.0)[:, None, None].expand(10, 4, 16)
    whole = Training(model(), x_0, torch.arange(10) % 2, SETTINGS)._batch()
    second = Training(model(), x_0, torch.arange(10) % 2, SETTINGS, workers=Half())._batch()
    for full, share in zip(whole, second, strict=True):
        torch.testing.assert_close(share, full[1::2])


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="batch_size: expected a multiple of the 2 processes"):
        Training(
            model(), torch.zeros(3, 4, 16), None, replace(SETTINGS, batch_size=5), workers=Half()
        )


def test_only_the_first_process_writes(tmp_path):
    path = tmp_path / "run.safetensors"
    run = Training(model(), torch.zeros(3, 4, 16), torch.tensor([0, 1, 0]), SETTINGS, path,
                   workers=Half())  # fmt: skip
    assert [record.step for record in run.records()] == [1, 2]
    assert not path.exists()


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match="need accelerate"):
        Accelerated()


def test_bfloat16_trains_to_nearly_the_same_losses():
    x_0 = torch.randn(10, 4, 16, generator=torch.Generator().manual_seed(0))
    found = {}
    for precision in ("float32", "bfloat16"):
        settings = replace(SETTINGS, steps=6, precision=precision)
        run = Training(model(), x_0, torch.arange(10) % 2, settings)
        found[precision] = [record.loss for record in run.records()]
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.02)
    assert found["bfloat16"] != found["float32"]
    with pytest.raises(ValueError, match="precision: expected one of"):
        replace(SETTINGS, precision="float16")
