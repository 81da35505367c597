"""Run a chapter at every setting of a grid, in processes of this machine or on a Dask cluster.

One row a run goes into ``<chapter>.<preset>.sweep.json``, with the numbers that the chapter glues,
and the executed copy lies beside it. What is recorded is not run again; a run that failed is, with
``--retry-failed``. On a cluster the workers need this checkout, with ``src`` and ``scripts`` on
their PYTHONPATH, and the folder of the copies.

Examples::

    python scripts/sweep_chapter.py 04_training --preset smoke --grid seed 0 1 2 --workers 2
    python scripts/sweep_chapter.py 04_training --grid seed 0 1 --scheduler tcp://10.0.0.1:8786
"""

from __future__ import annotations

import argparse
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import chapter_runs
from copy_names import copy_name
from gmmtf import sweep
from gmmtf.sweep import has_failed
from kernel_environment import build_folder, check_folder
from option_types import integer
from run_chapter import chapter_path, check_parameters, check_size, literal


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("chapter", help="for example 04_training")
    parser.add_argument("--preset", help="a file of book/params/<chapter>/, without .yml")
    parser.add_argument(
        "--grid",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "VALUE"),
        help="the values of one parameter; repeated, all combinations are run",
    )
    parser.add_argument("--workers", type=integer(1), help="processes (as many as processors)")
    parser.add_argument("--scheduler", help="address of a Dask cluster's scheduler, to run there")
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed")
    parser.add_argument(
        "--output",
        type=Path,
        default=build_folder() / "papermill",
        metavar="DIR",
        help="folder of the record and the copies (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.workers and arguments.scheduler:
        parser.error("--workers: the cluster of --scheduler has its own")
    names = [name for name, *_ in arguments.grid]
    for name in sorted({name for name in names if names.count(name) > 1}):
        parser.error(f"--grid {name}: given more than once")
    return arguments


def main() -> int:
    """Run the grid; 2 for a refused request, 1 if runs failed."""
    arguments = command_line()
    grid = {name: [literal(text) for text in texts] for name, *texts in arguments.grid}
    preset, output = arguments.preset, arguments.output.absolute()
    try:
        notebook = chapter_path(arguments.chapter)
        chapter = notebook.stem
        for name, values in grid.items():
            for value in values:
                given = chapter_runs.parameters(chapter, preset, {name: value})
                check_parameters(notebook, given)
                if name == "size":
                    check_size(chapter, value)
        check_folder(output, "--output")
        client: AbstractContextManager[Any] = nullcontext()
        if arguments.scheduler:
            from distributed import Client

            client = Client(arguments.scheduler)
        record = output / Path(copy_name(chapter, preset, {})).with_suffix(".sweep.json")
        fixed = {"chapter": chapter, "preset": preset, "output": str(output)}
        fixed["code"] = chapter_runs.chapter_code(chapter)
        with client as connected, warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            rows = sweep(
                chapter_runs.run_copy,
                grid,
                record,
                fixed=fixed,
                n_workers=arguments.workers,
                client=connected,
                retry_failed=arguments.retry_failed,
            )
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    failed = [point for point in rows if has_failed(point)]
    for point in failed:
        print(f"{point.labels}: {point.value['error']}: {point.value['message']}", file=sys.stderr)
    print(f"{len(rows.points)} rows, {len(failed)} of them of runs that failed: {record}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
