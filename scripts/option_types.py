"""Types of command-line options: argparse names the option, these say what it takes."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable


def integer(least: int) -> Callable[[str], int]:
    """Return the type of an integer of at least ``least``."""

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least:
            raise ArgumentTypeError(f"expected an integer of at least {least}, got {text!r}")
        return found

    return read


def number(accepts: Callable[[float], bool], expected: str) -> Callable[[str], float]:
    """Return the type of a number that ``accepts`` says yes to; it need not know of NaN."""

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if math.isnan(found) or not accepts(found):
            raise ArgumentTypeError(f"expected {expected}, got {text!r}")
        return found

    return read


def positive(text: str) -> float:
    """Read a finite positive number."""
    return number(lambda x: 0 < x < math.inf, "a finite positive number")(text)
