"""Seed faults in the library, one at a time, and see whether a test notices: ``make mutants``.

``scripts/mutants/*.toml`` lists the faults: by file the tests that should see them, and for each
fault the exact old text, which must occur once, and the new text. A fault that changes no result
says why: ``equivalent``. mutmut and cosmic-ray make thousands of arbitrary changes and run the
whole suite for each, hours for 1,700 numerical tests; a list holds the changes that would matter.

``--record`` writes what was found into ``data/mutants.csv``, which the book shows: a row for each
file of which all faults were tried.

The tests run in a copy of the checkout. Each run is forked from one process that
has imported PyTorch and the like, which saves most of a short run's time.
"""

from __future__ import annotations

import argparse
import compileall
import csv
import importlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from option_types import integer

ROOT = Path(__file__).resolve().parents[1]
LISTS = ROOT / "scripts" / "mutants"
TABLE = ROOT / "data" / "mutants.csv"
COLUMNS = ("file", "faults", "killed", "equivalent", "survived")
TIMEOUT = 300.0
"""Seconds after which a run counts as killed: a fault may make a loop endless."""
PRELOADED = (
    *("torch", "torch._dynamo", "torchmetrics.image.fid", "safetensors", "filelock", "tqdm"),
    *("scipy.stats", "sklearn.mixture", "pandas", "hypothesis", "pytest"),
    *("matplotlib.pyplot", "seaborn", "nbformat"),
)


@dataclass(frozen=True)
class Fault:
    """A fault: ``old`` becomes ``new`` in ``file``; ``tests`` should fail.

    Without ``old`` it is the check that the tests pass as they are.
    """

    file: str
    tests: tuple[str, ...]
    old: str = ""
    new: str = ""
    equivalent: str = ""

    def __str__(self) -> str:
        """One line: where, and what became what."""
        if not self.old:
            return f"{' '.join(self.tests)}: no fault"
        shown = [re.sub(r"\s+", " ", text).strip() for text in (self.old, self.new)]
        return f"{self.file}: {shown[0]} -> {shown[1] or '(nothing)'}"

    @property
    def fits(self) -> bool:
        """Whether the old text occurs once in the file as it is."""
        path = ROOT / self.file
        return path.is_file() and path.read_text(encoding="utf-8").count(self.old) == 1


def read_faults(folder: Path = LISTS) -> list[Fault]:
    """Read all lists."""
    return [
        Fault(file=file, **{**stored, "tests": tuple(stored.get("tests", entry["tests"]))})
        for path in sorted(folder.glob("*.toml"))
        for file, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
        for stored in entry["faults"]
    ]


def copy_checkout(to: Path) -> None:
    """Copy the files that git tracks or would add, as they are, and compile the library."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    compileall.compile_dir(to / "src", quiet=1)


def run_tests(copy: Path, tests: Iterable[str], output: Path) -> None:
    """Run tests in a copy of the checkout; what a forked process does."""
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(copy)
    paths = [str(copy / name) for name in ("src", "scripts", "tests", ".")]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.path[:0] = paths
    sys.dont_write_bytecode = True  # of files with a fault
    import pytest

    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
    sys.stdout.flush()
    os._exit(int(code))


def verdict(exitcode: int | None, output: str) -> str:
    """Say what a run showed: which test failed, or ``survived``."""
    if exitcode is None:
        return "killed by the time limit"
    if exitcode == 0:
        return "survived"
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return f"killed by {named[1]}" if named else f"survived: no test ran, exit status {exitcode}"


class Slot:
    """A copy of the checkout, in which one fault at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.copy = folder / "checkout"
        self.output = folder / "output"
        self.process: BaseProcess | None = None
        copy_checkout(self.copy)

    def start(self, fault: Fault) -> None:
        """Seed a fault and start its tests."""
        self.fault, self.began = fault, time.monotonic()
        self.path = self.copy / fault.file
        self.text = self.path.read_text(encoding="utf-8")
        self.times = self.path.stat().st_atime_ns, self.path.stat().st_mtime_ns
        if fault.old:
            self.path.write_text(self.text.replace(fault.old, fault.new), encoding="utf-8")
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=run_tests, args=(self.copy, fault.tests, self.output))
        self.process.start()

    def finished(self) -> str | None:
        """Return the verdict once the tests have run, with the fault taken back."""
        assert self.process is not None
        late = time.monotonic() - self.began > TIMEOUT
        if self.process.is_alive() and not late:
            return None
        if late:
            self.process.kill()
        self.process.join()
        code = None if late else self.process.exitcode
        self.process = None
        self.path.write_text(self.text, encoding="utf-8")
        os.utime(self.path, ns=self.times)  # as its bytecode says
        return verdict(code, self.output.read_text(encoding="utf-8", errors="replace"))


def run(faults: list[Fault], jobs: int) -> dict[Fault, str]:
    """Try all faults, ``jobs`` at a time, and print each verdict when it is known."""
    for name in PRELOADED:
        importlib.import_module(name)
    waiting, found = list(reversed(faults)), dict[Fault, str]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        slots = [Slot(Path(folder) / str(job)) for job in range(jobs)]
        while waiting or any(slot.process for slot in slots):
            for slot in slots:
                if slot.process and (seen := slot.finished()):
                    found[slot.fault] = seen
                    print(f"{slot.fault}\n    {seen}", flush=True)
                if slot.process is None and waiting:
                    slot.start(waiting.pop())
            time.sleep(0.05)
    return found


def tabulate(faults: Iterable[Fault], found: dict[Fault, str]) -> dict[str, dict[str, int]]:
    """Return the counts of :data:`COLUMNS` for each file."""
    rows: dict[str, dict[str, int]] = {}
    for fault in faults:
        row = rows.setdefault(fault.file, dict.fromkeys(COLUMNS[1:], 0))
        killed = found.get(fault, "survived").startswith("killed")
        kind = "equivalent" if fault.equivalent else "killed" if killed else "survived"
        row["faults"] += 1
        row[kind] += 1
    return rows


def read_table() -> dict[str, dict[str, int]]:
    """Return the recorded counts of each file."""
    if not TABLE.is_file():
        return {}
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return {row.pop("file").strip("`"): {k: int(v) for k, v in row.items()}
                for row in csv.DictReader(stream)}  # fmt: skip


def record(rows: dict[str, dict[str, int]]) -> None:
    """Replace the rows of these files, and drop those of files without faults."""
    listed = {fault.file for fault in read_faults()}
    merged = {file: row for file, row in (read_table() | rows).items() if file in listed}
    with TABLE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        # Set as code, since a name such as __main__ would be read as bold.
        writer.writerows({"file": f"`{file}`", **row} for file, row in sorted(merged.items()))


def main() -> int:
    """Run the faults of the lists; 1 if one that is not explained survives."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", default="", help="only faults of files whose path has this in it")
    parser.add_argument("--jobs", type=integer(1), default=1, help="faults at a time")
    parser.add_argument("--record", action="store_true", help="keep the counts for the book")
    options = parser.parse_args()
    # pytest's plugins are of no use here and take a second to load.
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    faults = [f for f in read_faults() if options.file in f.file]
    if not faults:
        parser.error(f"--file: expected part of a path in the lists, got {options.file!r}")
    unfit = [f for f in faults if not f.fits]
    seeded = [f for f in faults if f.fits and not f.equivalent]
    clean = [Fault(f.file, f.tests) for f in {f.tests: f for f in seeded}.values()]
    found = run(clean + seeded, options.jobs)
    if options.record:
        record(tabulate(faults, found))
    broken = [f for f in clean if found[f] != "survived"]
    survivors = [f for f in seeded if found[f].startswith("survived")]
    equivalent = sum(bool(f.equivalent) for f in faults)
    print(
        f"\n{len(faults)} faults: {len(seeded) - len(survivors)} killed, {equivalent} equivalent, "
        f"{len(survivors)} survived, {len(unfit)} do not fit their file"
    )
    for title, which in (
        ("fails without a fault", broken),
        ("survived", survivors),
        ("the old text does not occur once", unfit),
    ):
        for fault in which:
            print(f"{title}: {fault}")
    return 1 if broken or survivors or unfit else 0


if __name__ == "__main__":
    raise SystemExit(main())
