"""Train the image transformer under several conditions and seeds, and record what it generates.

Usage: python scripts/train_digits.py [options]             one process
       accelerate launch scripts/train_digits.py [options]  one process for each GPU or machine
       torchrun --nproc-per-node 2 scripts/train_digits.py --cpu [options]  two on the processor

Points go to the file --record as they come, and a checkpoint of every run lies in the folder
--checkpoints, so that the same command goes on where it was stopped; --minutes begins no run after
so long. With --weights the averaged weights of every finished run are written into that folder.
A condition is named as in the recorded results: "balanced", or "rare DIGIT at FRACTION", such as
"rare 2 at 0.1" or, drawn as often as with all its images, "rare 2 at 0.1 seen at 1",
with "no classes, " before it for a network that is told no digit.
--study does the runs of a recorded file again, with its settings.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import torch

from gmmtf import resolve_device
from gmmtf.images.mnist import check_digits
from gmmtf.images.sampler import check_sampler
from gmmtf.images.settings import PRECISIONS, TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.images.weights import save_weights
from gmmtf.images.workers import Accelerated
from gmmtf_book.c10_mnist_generation.plan import STUDIES, Condition, Evaluation, Plan
from gmmtf_book.c10_mnist_generation.run import Finished, record_of, run_all
from kernel_environment import build_folder, check_folder
from option_types import integer, number, positive

CONDITIONS = ["rare 2 at 0.1", "rare 1 at 0.1", "rare 3 at 0.1", "balanced"]
SEVERAL = ("conditions", "digits", "seeds")
NOISE_LEVELS = 1000
LEAST_GENERATED = 4
"""Precision and recall look at three neighbours of every image."""


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show defaults, and the description as it is written."""


def parser() -> tuple[argparse.ArgumentParser, list[argparse.Action]]:
    """Return the parser of the command line, and the options that --study replaces."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=Help)
    found.add_argument("--study", choices=STUDIES, help="in place of the settings of the runs")
    found.add_argument(
        "--record", type=Path, default=build_folder() / "digits.json", help="file of the points"
    )
    found.add_argument(
        "--checkpoints", type=Path, default=build_folder() / "digits", help="folder of the runs"
    )
    found.add_argument("--weights", type=Path, help="folder for float16 weights, if wanted")
    minutes = number(lambda x: x > 0, "a positive number")
    found.add_argument("--minutes", type=minutes, default=math.inf, help="to begin runs in")
    found.add_argument("--device", default="auto", help="of a run in one process")
    found.add_argument("--cpu", action="store_true", help="several processes on the CPU")
    found.add_argument("--compile", action="store_true", help="torch.compile; pays on GPUs")
    add = found.add_argument_group("settings of the runs").add_argument
    decay = number(lambda x: 0 <= x < 1, "a number in [0, 1)")
    training, network = TrainingSettings, TransformerSettings
    return found, [
        add("--conditions", nargs="+", default=CONDITIONS, metavar="NAME", help="see above"),
        add("--digits", nargs="+", type=integer(0), default=[*Plan.digits], help="that are drawn"),
        add("--seeds", nargs="+", type=integer(0), default=[0, 1, 2], help="of each condition"),
        add("--steps", type=integer(1), default=2500, help="of training"),
        add("--batch-size", type=integer(1), default=128, help="images a step"),
        add("--record-every", type=integer(1), default=500, help="steps between two points"),
        add("--lr", type=positive, default=training.lr, help="largest learning rate"),
        add("--warmup-steps", type=integer(0), default=training.warmup_steps, help="up to it"),
        add("--ema-decay", type=decay, default=training.ema_decay, help="of averaged weights"),
        add("--precision", choices=PRECISIONS, help="None: bfloat16 on a GPU, else float32"),
        add("--patch", type=integer(1), default=network.patch, help="pixels a side"),
        add("--width", type=integer(1), default=network.width, help="of a token"),
        add("--depth", type=integer(1), default=network.depth, help="number of blocks"),
        add("--heads", type=integer(1), default=network.heads, help="of attention"),
        add("--neighbours", action="store_true", help="mix tokens that lie beside each other"),
        add("--generated", type=integer(LEAST_GENERATED), default=Evaluation.n_generated,
            help="images drawn of each digit at a point"),
        add("--n-calls", type=integer(1), default=Evaluation.n_calls,
            help="of the network for an image"),
    ]  # fmt: skip


def command_line(words: list[str] | None = None) -> tuple[argparse.Namespace, torch.device]:
    """Read the command line and check all of it; return it with the device of a single process."""
    found, of_runs = parser()
    options = found.parse_args(words)
    if options.study is not None:
        for action in of_runs:
            if getattr(options, action.dest) != action.default:
                found.error(f"{action.option_strings[0]}: --study has its own settings of the runs")
    try:
        check(options)
        return options, resolve_device(options.device)
    except ValueError as error:
        found.error(str(error))


def check(options: argparse.Namespace) -> None:
    """Refuse what would fail later, before anything is loaded or written.

    Raises
    ------
    ValueError
        If options are wrong together, or nothing can be written where they say.
    """
    for name in SEVERAL:
        twice = [value for value, n in Counter(getattr(options, name)).items() if n > 1]
        if twice:
            raise ValueError(f"--{name}: expected each value once, got {twice[0]!r} again")
    digits = check_digits(options.digits)
    for name in options.conditions:
        condition = Condition.named(name, tuple(digits))
        if condition.rare is not None and condition.rare not in digits:
            raise ValueError(f"--conditions: expected a rare digit among {digits}, got {name!r}")
        if not 0 < condition.rare_fraction <= 1:
            raise ValueError(f"--conditions: expected a fraction in (0, 1], got {name!r}")
        if not condition.weight > 0:
            raise ValueError(f"--conditions: expected 'seen at' a number above 0, got {name!r}")
    check_sampler(Evaluation.sampler, options.n_calls, NOISE_LEVELS)
    plan_of(options, torch.device("cpu"))
    if options.record.is_dir():
        raise ValueError(f"--record: expected a file, got the folder {options.record}")
    check_folder(options.record.parent, "--record")
    check_folder(options.checkpoints, "--checkpoints")
    if options.weights is not None:
        check_folder(options.weights, "--weights")


def plan_of(options: argparse.Namespace, device: torch.device) -> Plan:
    """Return the plan that the command line asks for."""
    if options.study is not None:
        return STUDIES[options.study]
    low = "bfloat16" if device.type == "cuda" else "float32"
    return Plan(
        seeds=dict.fromkeys(options.conditions, tuple(options.seeds)),
        digits=tuple(options.digits),
        network=TransformerSettings(
            patch=options.patch,
            width=options.width,
            depth=options.depth,
            heads=options.heads,
            neighbours=options.neighbours,
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


def main() -> int:
    """Train what is not yet recorded; 2 for a refused request."""
    options, device = command_line()
    workers = Accelerated(cpu=options.cpu) if torch.distributed.is_torchelastic_launched() else None
    device = device if workers is None else workers.device
    watching = workers is None or workers.rank == 0
    plan = plan_of(options, device)
    try:
        recording = record_of(plan, options.record if watching else None, device)
    except ValueError as error:  # another study's
        print(f"--record: {error}", file=sys.stderr)
        return 2
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
