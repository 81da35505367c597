"""Run the benchmarks, all of them or those named on the command line."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import torch

from benchmarks import cases, images
from gmmtf.results import save

OUTPUT = Path("_build") / "bench.json"
RECORDED = {"benchmarks.json": cases.CASES, "image_benchmarks.json": images.CASES}
CASES = {name: case for group in RECORDED.values() for name, case in group.items()}


def main() -> None:
    """Run, print a table, and write the figures as one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *CASES], help="default: all")
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"write those of {', '.join(RECORDED)} too, which the book shows, that are complete",
    )
    arguments = parser.parse_args()
    names = arguments.case or list(CASES)
    torch.set_num_threads(2)
    figures: dict[str, float] = {}
    for name in names:
        title, spread = CASES[name]()
        print(f"{title}: {spread}", flush=True)
        figures[f"{name}_median"] = spread.median
        figures[f"{name}_minimum"] = spread.minimum
        figures[f"{name}_maximum"] = spread.maximum
    OUTPUT.parent.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    OUTPUT.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")
    print(f"written to {OUTPUT}")
    if arguments.record:
        for file, group in RECORDED.items():
            if set(group) <= set(names):
                values = {k: v for k, v in figures.items() if k.rpartition("_")[0] in group}
                save(Path("data") / "results" / file, settings={}, values=values)
                print(f"recorded in {file}")


if __name__ == "__main__":
    main()
