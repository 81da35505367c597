"""Run a chapter with other parameters, into a copy: the book's own notebooks are not changed.

Parameters come from a preset, ``book/params/<chapter>/<preset>.yml``, and from ``-p name value``.
Names that the chapter's parameters cell does not hold, and values of another type, are refused
before anything is executed. The copy has the preset and the ``-p`` in its name. It appears when the
whole chapter has run; a chapter that fails leaves ``….failed.ipynb`` and an earlier copy as it was.

Examples::

    python scripts/run_chapter.py 04_training --preset smoke
    python scripts/run_chapter.py 04_training -p seed 1 --output my_run
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import papermill
import yaml

from copy_names import NO_PRESET, copy_name, failed_copy
from gmmtf_book import parameters, room
from kernel_environment import BOOK, build_folder, check_folder, prepare

PRESET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")


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
    known = sorted(p.stem for p in path.parent.glob("*.yml"))
    if preset not in known:
        raise ValueError(
            f"preset: {chapter} has no {preset!r}, it has: {', '.join(known) or 'none'}"
        )
    if preset == NO_PRESET or not PRESET.fullmatch(preset):
        raise ValueError(
            f"{path}: expected a name of letters, digits, '-' and '_', other than {NO_PRESET!r}"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        found = "nothing" if values is None else f"a {type(values).__name__}"
        raise ValueError(f"{path}: expected lines of 'name: value', got {found}")
    return values


def literal(text: str) -> Any:
    """Read a command-line value as a Python literal, or leave it a string."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return text


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the chapter does not have, or that have another type than its own.

    Raises
    ------
    ValueError
        With one line for each parameter that is refused.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    sources = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    defaults = parameters.literals("\n".join(sources))
    parameters.check(defaults, given, notebook.stem)


def check_size(chapter: str, size: str) -> None:
    """Refuse a size for which the chapter has no plan; this loads the chapter's room.

    Raises
    ------
    ValueError
        With the sizes that there are.
    """
    sizes = list(room(chapter).PLANS)
    if size not in sizes:
        raise ValueError(f"{chapter}: parameter 'size': got {size!r}, expected one of {sizes}")


def run(notebook: Path, output: Path, given: Mapping[str, Any]) -> None:
    """Execute a chapter in the book's folder and write the executed copy to ``output``.

    If it fails, ``output`` stays as it was, and what ran is kept in :func:`failed_copy`.
    """
    check_parameters(notebook, given)
    prepare()
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{notebook.stem}.", dir=output.parent) as folder:
        partial = Path(folder) / "running.ipynb"
        try:
            papermill.execute_notebook(
                str(notebook),
                str(partial),
                parameters=dict(given),
                kernel_name="python3",
                cwd=str(BOOK),
                progress_bar=sys.stderr.isatty(),
            )
        except BaseException:
            if partial.exists():
                os.replace(partial, failed_copy(output))
            raise
        os.replace(partial, output)
    failed_copy(output).unlink(missing_ok=True)


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
        default=build_folder() / "papermill",
        metavar="DIR",
        help="folder for the executed copy (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.chapter == "all" and not arguments.preset:
        parser.error("'all' needs --preset")
    names = [name for name, _ in arguments.parameters]
    for name in sorted({name for name in names if names.count(name) > 1}):
        parser.error(f"-p {name}: given more than once")
    return arguments


def planned(arguments: argparse.Namespace) -> list[tuple[Path, Path, dict[str, Any]]]:
    """Return notebooks to run, the copies to make, and parameters.

    Raises
    ------
    ValueError
        Before anything is run or written, if a name or a value is wrong.
    """
    overrides = {name: literal(value) for name, value in arguments.parameters}
    preset = arguments.preset
    if arguments.chapter == "all":
        names = [c for c in chapters() if preset_path(c, preset).is_file()]
        if not names:
            raise ValueError(f"preset: no chapter has {preset!r}")
    else:
        names = [chapter_path(arguments.chapter).stem]
    found = []
    for name in names:
        notebook = BOOK / f"{name}.ipynb"
        given = (load_preset(name, preset) if preset is not None else {}) | overrides
        check_parameters(notebook, given)
        if "size" in overrides:
            check_size(name, overrides["size"])
        found.append((notebook, arguments.output / copy_name(name, preset, overrides), given))
    return found


def main() -> int:
    """Run what the command line asks for; 2 for a refused request, 1 for a chapter that failed."""
    arguments = command_line()
    try:
        plan = planned(arguments)
        check_folder(arguments.output, "--output")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for notebook, output, given in plan:
        print(f"{notebook.stem}: running with {given or 'its defaults'}", flush=True)
        try:
            run(notebook, output, given)
        except Exception as error:  # of a cell, of the kernel, or of the disk
            kept = failed_copy(output)
            where = f"; what ran is in {kept}" if kept.exists() else ""
            print(f"{error}\n{notebook.stem} failed{where}", file=sys.stderr)
            return 1
        print(f"{notebook.stem}: {output}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
