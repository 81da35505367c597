"""Run the benchmarks, all of them or those named on the command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks import cases, growth, head, images, laws, sweeps
from benchmarks.timing import Spread
from gmmtf.record import Recording

OUTPUT = Path(os.environ.get("GMMTF_BUILD", "")) / "_build" / "bench.json"
THEORY = cases.CASES | head.CASES | laws.CASES | growth.CASES | sweeps.CASES
RECORDED = {"benchmarks.json": THEORY, "image_benchmarks.json": images.CASES}
CASES = {name: case for group in RECORDED.values() for name, case in group.items()}


def record(name: str, title: str, spread: Spread, taken: float) -> None:
    """Put a result in the place of the recorded one, with its own provenance."""
    file = next(file for file, group in RECORDED.items() if name in group)
    device = images.DEVICE if name in images.CASES else "cpu"
    code = CASES[name].__module__
    recording = Recording(Path("data") / "results" / file, {}, code=code, device=device)
    recording.drop(benchmark=name)
    recording.add({"title": title} | asdict(spread), taken, benchmark=name)


def main() -> None:
    """Run, print a table, and write the figures as one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *CASES], help="default: all")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"put them into {' and '.join(RECORDED)} too, which the book shows",
    )
    arguments = parser.parse_args()
    names = arguments.case or list(CASES)
    torch.set_num_threads(2)
    figures: dict[str, float] = {}
    for name in names:
        start = time.perf_counter()
        title, spread = CASES[name]()
        taken = time.perf_counter() - start
        print(f"{title}: {spread}", flush=True)
        figures[f"{name}_median"] = spread.median
        figures[f"{name}_minimum"] = spread.minimum
        figures[f"{name}_maximum"] = spread.maximum
        if arguments.record:
            record(name, title, spread, taken)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    OUTPUT.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")
    print(f"written to {OUTPUT}")


if __name__ == "__main__":
    main()
