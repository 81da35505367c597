"""Train the image transformer under several conditions and seeds, and record what it generates.

Usage: python scripts/train_digits.py [options]             one process
       accelerate launch scripts/train_digits.py [options]  one process for each GPU or machine
       torchrun --nproc-per-node 2 scripts/train_digits.py --cpu [options]  two on the processor

Points go to the file --record as they come, and a checkpoint of every run lies in the folder
--checkpoints, so that the same command goes on where it was stopped; --minutes begins no run after
so long. With --weights the averaged weights of every finished run are written into that folder.
Conditions are named as in the recorded results: balanced, "rare 2 at 0.1",
"no classes, rare 2 at 0.1". --study does the runs of a recorded file again, with its settings.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import torch

from gmmtf import resolve_device
from gmmtf.images.settings import PRECISIONS, TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.images.weights import save_weights
from gmmtf.images.workers import Accelerated
from gmmtf_book.c10_mnist_generation.plan import STUDIES, Evaluation, Plan
from gmmtf_book.c10_mnist_generation.run import Finished, record_of, run_all

CONDITIONS = ["rare 2 at 0.1", "rare 1 at 0.1", "rare 3 at 0.1", "balanced"]


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--study", choices=STUDIES, help="in place of the options of a run")
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS)
    parser.add_argument("--digits", nargs="+", type=int, default=list(Plan.digits))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--record", type=Path, default=Path("_build/digits.json"))
    parser.add_argument("--checkpoints", type=Path, default=Path("_build/digits"))
    parser.add_argument("--weights", type=Path, help="folder for float16 weights")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--device", default="auto", help="of a run in one process")
    parser.add_argument("--cpu", action="store_true", help="several processes on the CPU")
    for name, default in (("steps", 2500), ("batch-size", 128), ("record-every", 500)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=TrainingSettings.lr)
    parser.add_argument("--warmup-steps", type=int, default=TrainingSettings.warmup_steps)
    parser.add_argument("--ema-decay", type=float, default=TrainingSettings.ema_decay)
    parser.add_argument("--precision", choices=PRECISIONS, help="default: bfloat16 on a GPU")
    parser.add_argument("--compile", action="store_true", help="torch.compile; pays on GPUs")
    for name in ("patch", "width", "depth", "heads"):
        default = getattr(TransformerSettings, name)
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--generated", type=int, default=Evaluation.n_generated)
    parser.add_argument("--n-calls", type=int, default=Evaluation.n_calls)
    return parser.parse_args()


def plan_of(options: argparse.Namespace, device: torch.device) -> Plan:
    """Return the plan that the command line asks for."""
    low = "bfloat16" if device.type == "cuda" else "float32"
    return Plan(
        seeds=dict.fromkeys(options.conditions, tuple(options.seeds)),
        digits=tuple(options.digits),
        network=TransformerSettings(
            patch=options.patch, width=options.width, depth=options.depth, heads=options.heads
        ),
        training=TrainingSettings(
            steps=options.steps,
            batch_size=options.batch_size,
            lr=options.lr,
            warmup_steps=options.warmup_steps,
            ema_decay=options.ema_decay,
            record_every=options.record_every,
            precision=options.precision or low,
        ),
        evaluation=Evaluation(n_generated=options.generated, n_calls=options.n_calls),
    )


def write_weights(folder: Path, finished: Finished) -> None:
    """Write the averaged weights of a run, with what is to be known of it."""
    name, training = finished.condition.name, finished.training
    about = {"condition": name, "step": training.step, "training": asdict(training.settings)}
    path = folder / f"{finished.condition.file_name}-{finished.seed}.safetensors"
    save_weights(path, training.averaged, finished.condition.digits, about)


def main() -> None:
    """Train what is not yet recorded."""
    options = command_line()
    workers = Accelerated(cpu=options.cpu) if torch.distributed.is_torchelastic_launched() else None
    device = resolve_device(options.device) if workers is None else workers.device
    watching = workers is None or workers.rank == 0
    plan = plan_of(options, device) if options.study is None else STUDIES[options.study]
    recording = record_of(plan, options.record if watching else None, device)
    started = time.monotonic()
    for finished in run_all(
        plan, recording, options.checkpoints,
        device=device, workers=workers, compile_network=options.compile, minutes=options.minutes,
    ):  # fmt: skip
        if watching:
            if options.weights is not None:
                write_weights(options.weights, finished)
            minutes = (time.monotonic() - started) / 60
            print(f"{finished.condition.name}, seed {finished.seed}: {minutes:.1f} min", flush=True)
    if workers is not None:
        workers.finish()


if __name__ == "__main__":
    main()
