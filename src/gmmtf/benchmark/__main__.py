"""Run the benchmark on entries, also one's own, and show the leaderboard."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from gmmtf.benchmark import ENTRIES, TASKS, VERSION
from gmmtf.benchmark.entries import entry
from gmmtf.benchmark.leaderboard import MEANING, as_html, leaderboard, shown
from gmmtf.benchmark.running import run_all
from gmmtf.record import Recording
from gmmtf.sweep import has_failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gmmtf.benchmark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list tasks and entries")
    run = commands.add_parser(
        "run",
        help="train and measure entries; goes on where it was stopped, and does failed runs again",
    )
    run.add_argument("entry", nargs="+", help="module:function of your own, or an entry's name")
    run.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    run.add_argument("--output", type=Path, default=Path("benchmark.json"))
    run.add_argument("--workers", type=int, help="processes (default: one for each processor)")
    show = commands.add_parser("show", help="show the leaderboard, with results of your own")
    show.add_argument("result", nargs="*", type=Path, help="files that `run` wrote")
    show.add_argument("--html", type=Path, help="write it as a page, too")
    return parser


def _report_failures(record: Recording) -> None:
    for point in record:
        if has_failed(point):
            run = "{entry}, {task}, seed {seed}".format_map(point.labels)
            print(
                f"failed: {run}: {point.value['error']}: {point.value['message']}", file=sys.stderr
            )


def main(words: list[str] | None = None) -> None:
    """Do what the command line asks for."""
    arguments = _parser().parse_args(words)
    if arguments.command == "list":
        print(f"version {VERSION}")
        for title, listed in (
            ("tasks", {name: task.asks for name, task in TASKS.items()}),
            ("entries", {name: each.about for name, each in ENTRIES.items()}),
        ):
            print(f"\n{title}")
            for name, about in listed.items():
                print(f"  {name:20}{about}")
        return
    results = arguments.result if arguments.command == "show" else [arguments.output]
    if arguments.command == "run":
        for name in arguments.entry:
            entry(name)  # refuses what cannot be imported before any work
        with warnings.catch_warnings():
            # What failed is said below, in the words of the command.
            warnings.filterwarnings("ignore", r"\d+ of \d+ runs failed", RuntimeWarning)
            record = run_all(
                arguments.entry,
                arguments.output,
                tasks=arguments.tasks,
                seeds=arguments.seeds,
                n_workers=arguments.workers,
                retry_failed=True,
            )
        print(f"written to {arguments.output}\n")
        _report_failures(record)
        if set(arguments.entry) & set(ENTRIES):
            return  # they are in the leaderboard already
    table = leaderboard(*results)
    print(f"{MEANING}\n\n{shown(table).to_string()}")
    if arguments.command == "show" and arguments.html:
        as_html(table, arguments.html)
        print(f"\nwritten to {arguments.html}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        sys.exit(str(error))
