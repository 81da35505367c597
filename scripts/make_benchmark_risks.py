"""Compute the exact risks of the benchmark's tasks, and store them with the library."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from gmmtf.benchmark import exact
from gmmtf.benchmark.tasks import TASKS, VERSION
from gmmtf.jsonvalues import encode, write

PATH = Path(exact.__file__).parent / "risks.json"

if __name__ == "__main__":
    tasks = {}
    for name, task in TASKS.items():
        found = exact.derive(task)
        tasks[name] = asdict(found)
        print(f"{name:12} Bayes {found.bayes_risk}, linear above it {found.linear_excess}")
    PATH.write_text(write(encode({"version": VERSION, "tasks": tasks})), encoding="utf-8")
    print(f"written to {PATH}")
