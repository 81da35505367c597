"""Run a chapter with other parameters, into a copy: the book's own notebooks are not changed.

Parameters come from a preset, ``book/params/<chapter>/<preset>.yml``, and from ``-p name value``.
Names that the chapter's parameters cell does not hold, and values of another type, are refused
before anything is executed.

Examples::

    python scripts/run_chapter.py 04_training --preset smoke
    python scripts/run_chapter.py 04_training -p seed 1 --output my_run
"""

from __future__ import annotations

import argparse
import ast
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

from kernel_environment import BOOK, ROOT, prepare

DEFAULT_OUTPUT = ROOT / "_build" / "papermill"


def chapters() -> list[str]:
    """Return the names of all chapters, in the order of the book."""
    return sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))


def chapter_path(name: str) -> Path:
    """Return the notebook of a chapter given as ``04_training`` or as a path.

    Raises
    ------
    ValueError
        If there is no such chapter.
    """
    stem = Path(name).stem
    if stem not in chapters():
        raise ValueError(f"chapter: got {name!r}, expected one of {', '.join(chapters())}")
    return BOOK / f"{stem}.ipynb"


def preset_path(chapter: str, preset: str) -> Path:
    """Return where the preset of a chapter is kept."""
    return BOOK / "params" / chapter / f"{preset}.yml"


def load_preset(chapter: str, preset: str) -> dict[str, Any]:
    """Read the parameters of a preset.

    Raises
    ------
    ValueError
        If the chapter has no such preset or the file is not a mapping.
    """
    path = preset_path(chapter, preset)
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yml"))
        raise ValueError(
            f"preset: {chapter} has no {preset!r}, it has: {', '.join(known) or 'none'}"
        )
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected lines of 'name: value'")
    return values


def literal(text: str) -> Any:
    """Read a command-line value as a Python literal, or leave it a string."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the chapter does not have, or that have another type than its own.

    Raises
    ------
    ValueError
        With one line for each parameter that is refused.
    """
    known = papermill.inspect_notebook(str(notebook))
    problems = []
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            problems.append(f"unknown parameter {name!r}{hint}")
            continue
        default = literal(known[name]["default"])
        if isinstance(value, str) and not isinstance(default, str | None):
            problems.append(
                f"parameter {name!r}: got the text {value!r}, expected a value like {default!r}"
                " (in YAML write 1.0e-3, not 1e-3)"
            )
        elif isinstance(default, str) and not isinstance(value, str):
            problems.append(f"parameter {name!r}: got {value!r}, expected a text like {default!r}")
        elif isinstance(default, bool) != isinstance(value, bool) and default is not None:
            problems.append(f"parameter {name!r}: got {value!r}, expected a value like {default!r}")
    if problems:
        parameters = ", ".join(known) or "none"
        raise ValueError(
            f"{notebook.stem}: " + "\n  ".join(problems) + f"\n  its parameters: {parameters}"
        )


def run(notebook: Path, output: Path, parameters: Mapping[str, Any]) -> None:
    """Execute a chapter in the book's folder and write the executed copy to ``output``."""
    check_parameters(notebook, parameters)
    prepare()
    output.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        str(notebook),
        str(output),
        parameters=dict(parameters),
        kernel_name="python3",
        cwd=str(BOOK),
        progress_bar=sys.stderr.isatty(),
    )


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "chapter", help="for example 04_training, or 'all': every chapter that has the preset"
    )
    parser.add_argument("--preset", help="a file of book/params/<chapter>/, without .yml")
    parser.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set one parameter; may be repeated and wins over the preset",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=DEFAULT_OUTPUT,
        metavar="DIR",
        help="folder for the executed copy (default: _build/papermill)",
    )
    arguments = parser.parse_args()
    if arguments.chapter == "all" and not arguments.preset:
        parser.error("'all' needs --preset")
    return arguments


def main() -> int:
    """Run what the command line asks for; 2 for a refused request, 1 for a chapter that failed."""
    arguments = command_line()
    overrides = {name: literal(value) for name, value in arguments.parameters}
    try:
        if arguments.chapter == "all":
            names = [c for c in chapters() if preset_path(c, arguments.preset).is_file()]
        else:
            names = [chapter_path(arguments.chapter).stem]
        plan = []
        for name in names:
            preset = load_preset(name, arguments.preset) if arguments.preset else {}
            plan.append((BOOK / f"{name}.ipynb", preset | overrides))
        for notebook, parameters in plan:
            check_parameters(notebook, parameters)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not plan:
        print(f"no chapter has a preset {arguments.preset!r}", file=sys.stderr)
        return 2
    for notebook, parameters in plan:
        output = arguments.output / f"{notebook.stem}.{arguments.preset or 'custom'}.ipynb"
        print(f"{notebook.stem}: running with {dict(parameters) or 'its defaults'}", flush=True)
        try:
            run(notebook, output, parameters)
        except PapermillExecutionError as error:
            print(f"{error}\n{notebook.stem} failed; the copy is {output}", file=sys.stderr)
            return 1
        print(f"{notebook.stem}: {output}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
