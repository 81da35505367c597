"""Train the image transformer under several conditions and seeds, and record what it generates.

Usage: python scripts/train_digits.py [options]             one process
       accelerate launch scripts/train_digits.py [options]  one process for each GPU or machine
       torchrun --nproc-per-node 2 scripts/train_digits.py --cpu [options]  two on the processor

Points go to the file --record as they come, and a checkpoint of every run lies beside it in the
folder --checkpoints, so that the same command goes on where it was stopped; --minutes stops it in
good order after about so long. With --weights the averaged weights of the first seed of the first
condition are written as float16 safetensors.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gmmtf import resolve_device
from gmmtf.images.experiment import Training
from gmmtf.images.settings import PRECISIONS, TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.images.workers import Accelerated
from gmmtf.results import Recording
from gmmtf.studies.generation import Condition, EvaluationSettings, run

CONDITIONS = {
    "rare-2": Condition(rare=2),
    "rare-1": Condition(rare=1),
    "rare-3": Condition(rare=3),
    "balanced": Condition(rare=None),
}


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--record", type=Path, default=Path("_build/digits.json"))
    parser.add_argument("--checkpoints", type=Path, default=Path("_build/digits"))
    parser.add_argument("--weights", type=Path, help="where to write float16 weights")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--device", default="auto", help="of a run in one process")
    parser.add_argument("--cpu", action="store_true", help="several processes on the CPU")
    for name, default in (("steps", 2500), ("batch-size", 128), ("record-every", 500)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=TrainingSettings.lr)
    parser.add_argument("--warmup-steps", type=int, default=TrainingSettings.warmup_steps)
    parser.add_argument("--ema-decay", type=float, default=TrainingSettings.ema_decay)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    for name in ("patch", "width", "depth", "heads"):
        default = getattr(TransformerSettings, name)
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--generated", type=int, default=EvaluationSettings.n_generated)
    return parser.parse_args()


def training_settings(options: argparse.Namespace, seed: int) -> TrainingSettings:
    """Return the settings of one run."""
    return TrainingSettings(
        steps=options.steps,
        batch_size=options.batch_size,
        lr=options.lr,
        warmup_steps=options.warmup_steps,
        ema_decay=options.ema_decay,
        record_every=options.record_every,
        seed=seed,
        precision=options.precision,
    )


def write_weights(path: Path, finished: Training) -> None:
    """Write the averaged weights as float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = finished.averaged.state_dict()
    save_file({name: w.half().cpu().contiguous() for name, w in weights.items()}, path)


def main() -> None:
    """Train what is not yet recorded."""
    options = command_line()
    network = TransformerSettings(
        patch=options.patch, width=options.width, depth=options.depth, heads=options.heads
    )
    evaluation = EvaluationSettings(n_generated=options.generated)
    settings: dict[str, Any] = {
        "network": asdict(network),
        "training": {k: v for k, v in asdict(training_settings(options, 0)).items() if k != "seed"},
        "evaluation": asdict(evaluation),
    }
    workers = Accelerated(cpu=options.cpu) if torch.distributed.is_torchelastic_launched() else None
    device = resolve_device(options.device) if workers is None else workers.device
    watching = workers is None or workers.rank == 0
    recording = Recording(options.record if watching else None, settings)
    started = time.monotonic()
    for seed in options.seeds:
        for name in options.conditions:
            run_settings = training_settings(options, seed)
            if time.monotonic() - started > 60 * options.minutes:
                return
            if f"{CONDITIONS[name].name}/{seed}/{run_settings.steps}" in recording.values:
                continue
            finished = run(
                CONDITIONS[name], network, run_settings, evaluation, recording,
                checkpoint_path=options.checkpoints / f"{name}-{seed}.safetensors",
                device=device, workers=workers,
            )  # fmt: skip
            first = (name, seed) == (options.conditions[0], options.seeds[0])
            if options.weights is not None and watching and first:
                write_weights(options.weights, finished)
            if watching:
                print(
                    f"{name}, seed {seed}: {(time.monotonic() - started) / 60:.1f} min", flush=True
                )
    if workers is not None:
        workers.finish()


if __name__ == "__main__":
    main()
