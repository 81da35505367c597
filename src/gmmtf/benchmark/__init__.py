"""A benchmark of denoisers against the exact optimum: fixed tasks, one budget, one score."""

from gmmtf.benchmark.entries import ENTRIES, Entry
from gmmtf.benchmark.running import run
from gmmtf.benchmark.tasks import SCHEDULE, TASKS, VERSION, Task

__all__ = ["ENTRIES", "SCHEDULE", "TASKS", "VERSION", "Entry", "Task", "run"]
