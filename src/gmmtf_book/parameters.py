"""Which parameters a chapter has, and which values they take.

A chapter has the names that its cell tagged ``parameters`` sets. It takes values of the types that
stand there: an integer for an integer, any finite number for a float, a list of such elements for
a list. For a list that is empty there, any finite numbers.
"""

from __future__ import annotations

import ast
import difflib
import reprlib
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

INJECTED = "# Parameters"
"""First line of the cell into which papermill writes the parameters that it is given."""

ALL_HAVE = {"seed", "device"}
"""Parameters that every chapter has."""

_NAMES = {
    bool: ("True or False", "truth values"),
    int: ("an integer", "integers"),
    float: ("a finite number", "finite numbers"),
    str: ("a text", "texts"),
    list: ("a list", "lists"),
}


def literals(source: str) -> dict[str, Any]:
    """Return the names that a cell sets to literals, with their values."""
    found = {}
    for name, node in _assigned(source).items():
        try:
            found[name] = ast.literal_eval(node)
        except (ValueError, TypeError):
            continue  # not a literal
    return found


def complaints(defaults: Mapping[str, Any], given: Mapping[Any, Any]) -> list[str]:
    """Return a line for each given parameter that the chapter does not have or does not take."""
    found = []
    for name, value in given.items():
        if name not in defaults:
            close = difflib.get_close_matches(str(name), defaults, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            found.append(f"unknown parameter {name!r}{hint}")
        elif not _fits(defaults[name], value):
            text = "the text " if isinstance(value, str) else ""
            found.append(
                f"parameter {name!r}: got {text}{reprlib.repr(value)}, expected "
                f"{_expected(defaults[name])} like {reprlib.repr(defaults[name])}{_hint(value)}"
            )
    return found


def check(defaults: Mapping[str, Any], given: Mapping[Any, Any], where: str) -> None:
    """Refuse parameters that a chapter does not have or does not take.

    Raises
    ------
    ValueError
        With ``where``, a line for each parameter that is refused, and the names of those there are.
    """
    lines = complaints(defaults, given)
    if lines:
        lines.append(f"its parameters: {', '.join(defaults) or 'none'}")
        raise ValueError(f"{where}: " + "\n  ".join(lines))


def check_injected(cells: Sequence[str], values: Mapping[str, Any]) -> None:
    """Refuse wrong parameters in a chapter that papermill runs without ``run_chapter.py``.

    papermill writes the values into a cell of their own behind the cell of parameters, whatever
    they are.

    Parameters
    ----------
    cells
        The cells that were run so far, as text, as a kernel keeps them.
    values
        What the names of the notebook stand for.

    Raises
    ------
    ValueError
        As :func:`check`.
    """
    for cell, injected in pairwise(cells):
        defaults = literals(cell)
        if defaults.keys() >= ALL_HAVE and injected.partition("\n")[0] == INJECTED:
            given = {name: values[name] for name in _assigned(injected)}
            check(defaults, given, "parameters")


def _assigned(source: str) -> dict[str, ast.expr]:
    try:
        body = ast.parse(source).body
    except SyntaxError:  # not Python alone
        return {}
    found: dict[str, ast.expr] = {}
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets, node = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, node = [statement.target], statement.value
        else:
            continue
        found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


def _fits(default: Any, value: Any) -> bool:
    if isinstance(default, list):
        element = _element(default)
        return isinstance(value, list | tuple) and all(_fits(element, each) for each in value)
    if isinstance(default, bool) or isinstance(value, bool):  # a truth value is also an int
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(value, type(default))


def _element(default: list[Any]) -> Any:
    """An element that says what type all have; among numbers a float, if there is one."""
    return next((each for each in default if isinstance(each, float)), [*default, 0.0][0])


def _expected(default: Any) -> str:
    if isinstance(default, list):
        return f"a list of {_names(_element(default))[1]}"
    return _names(default)[0]


def _names(value: Any) -> tuple[str, str]:
    return _NAMES.get(type(value), ("a value", "values"))


def _hint(value: Any) -> str:
    try:
        float(value if isinstance(value, str) else "text")
    except ValueError:
        return ""
    return " (YAML takes 1e-3 for a text; write 1.0e-3)"
