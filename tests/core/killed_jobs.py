"""What the processes of `test_killed` do until they are killed."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.record import Recording
from gmmtf.training import train

MIXTURE = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=5, radius=3.0, sigma=0.4)
IMAGES = TrainingSettings(steps=2, batch_size=4, lr=1e-2, warmup_steps=1, record_every=2)
TRANSFORMER = TransformerSettings(image_size=8, patch=4, width=8, depth=1, heads=1, n_classes=2)

Run = tuple[nn.Module, Iterator[tuple[float, ...]]]


def network(path: Path | None, n_records: int) -> Run:
    """A network, and its training as a curve; it draws from PyTorch's own generator as well."""
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 4))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self.layers(x_t)

    net = Net()
    settings: dict[str, Any] = {"optimizer": "adam", "lr": 0.01, "batch_size": 4, "seed": 2}
    settings |= {"record_every": 2, "eval_samples": 4, "checkpoint_path": path}
    records = train(net, MIXTURE, NoiseSchedule.linear(40), 2 * n_records, **settings)
    return net, ((r.step, r.loss.value, r.excess_risk.value) for r in records)


def images(path: Path | None, n_records: int) -> Run:
    """The image transformer with its average, and their training as a curve."""
    torch.manual_seed(3)
    x_0 = torch.randn(12, 4, 16, generator=torch.Generator().manual_seed(4))
    model = DiT(TRANSFORMER, NoiseSchedule.linear(1000))
    settings = replace(IMAGES, steps=2 * n_records)
    training = Training(model, x_0, torch.arange(12) % 2, settings, path)
    both = nn.ModuleList([model, training.averaged])
    return both, ((r.step, r.loss) for r in training.records())


TRAINED: dict[str, Callable[[Path | None, int], Run]] = {"network": network, "images": images}


def value(number: int, i: int) -> list[float]:
    """Return point ``i`` of a process, large enough to be written in pieces."""
    return [number + i / (k + 1) for k in range(400)]


def record(path: Path, number: int, count: int, tell: Callable[..., None]) -> None:
    """Record a process's own points, and some that another process may record first."""
    recording = Recording(path, {"count": count}, code="gmmtf.estimate")
    for i in range(count):

        def compute(i: int = i) -> list[float]:
            tell("computes", number, i)
            return value(number, i)

        recording.point(compute, process=number, i=i)
        tell("recorded", number, i)
        recording.point(lambda i=i: value(-1, i), process="any", i=i)
        tell("recorded", "any", i)


def die_before_operation(folder: Path, k: int) -> None:
    """Kill this process before its operation number ``k``, from 0, on files in ``folder``."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        on_files = event == "open" or event.startswith(("os.", "shutil.", "tempfile."))
        # A lock is known by the number of its file.
        if event == "fcntl.flock" or (on_files and str(folder) in repr(arguments)):
            if seen == k:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(hook)


def die_at_byte(n: int) -> None:
    """Let this process die when it has written ``n`` bytes of a file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))


def work(
    job: str, path: Path, log: Path, count: int, number: int, operation: int | None, byte: int
) -> None:
    """Do a job, noting in ``log`` what is done; die at an operation, or at a byte of a file."""
    torch.set_num_threads(1)
    notes = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(*what: Any) -> None:
        os.write(notes, f"{what}\n".encode())
        if byte:  # from now on, so that the file is there
            die_at_byte(byte)

    if operation is not None:
        die_before_operation(path.parent, operation)
    if job == "record":
        record(path, number, count, tell)
        return
    for numbers in TRAINED[job](path, count)[1]:
        tell(*numbers)
