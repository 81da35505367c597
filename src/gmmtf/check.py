"""Claims about numbers, checked against bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gmmtf.arguments import ArgumentError, checked, count, fitted, shown


@dataclass(frozen=True)
class Bound:
    """The range that a number must lie in for a claim to hold.

    Parameters
    ----------
    number
        Name of the number.
    claim
        What the number is, in words.
    at_least, at_most
        The range; at least one of the two must be given.
    run
        ``"live"`` if the number is computed where it is checked, ``"recorded"`` if it follows from
        points that were recorded before.
    shown
        Whether the printed table shows the value. A value that other machines reproduce only
        roughly, such as the end of a float32 training run, is checked but not shown.
    digits
        Significant digits that are shown: as many as every machine reproduces.
    """

    number: str
    claim: str
    at_least: float | None = None
    at_most: float | None = None
    run: Literal["live", "recorded"] = "live"
    shown: bool = True
    digits: int = 3

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"{self.claim}: give at_least, at_most or both")
        for name in ("number", "claim"):
            fitted(name, getattr(self, name), str)
        for name in ("at_least", "at_most"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _number(name, getattr(self, name)))
        object.__setattr__(self, "digits", count("digits", self.digits, 1))

    def holds(self, value: float) -> bool:
        """Whether the value is a number within the range."""
        value = _number("value", value)
        if math.isnan(value):
            return False
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= value <= high

    @property
    def required(self) -> str:
        """The range in words."""
        if self.at_least is None:
            return f"at most {self.at_most:.3g}"
        if self.at_most is None:
            return f"at least {self.at_least:.3g}"
        return f"{self.at_least:.3g} to {self.at_most:.3g}"

    def written(self, value: float) -> str:
        """The value as the table shows it."""
        return f"{_number('value', value):.{self.digits}g}" if self.shown else "-"


def _number(name: str, value: float) -> float:
    """The value as Python's number; also one that is not a number, which no bound holds for."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{name}: expected a number, got {shown(value)}") from error


@checked
def verify(bounds: Sequence[Bound], numbers: Mapping[str, Any]) -> None:
    """Print a table of the claims and raise if one fails.

    Parameters
    ----------
    bounds
        The claims.
    numbers
        The numbers by name; those that no bound names are ignored.

    Raises
    ------
    KeyError
        If a number is missing.
    AssertionError
        Naming the claims that do not hold, with their values.
    """
    missing = [bound.number for bound in bounds if bound.number not in numbers]
    if missing:
        raise KeyError(f"numbers: expected {missing}, which the bounds name")
    found = [
        (bound, _number(f"numbers[{bound.number!r}]", numbers[bound.number])) for bound in bounds
    ]
    rows = [("claim", "value", "required", "run", "verdict")]
    for bound, value in found:
        verdict = "holds" if bound.holds(value) else "FAILS"
        rows.append((bound.claim, bound.written(value), bound.required, bound.run, verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]).rstrip())
    print("\n".join(lines))  # one write, so that a notebook stores one output
    failed = [f"{b.claim}: {v:.6g}, required {b.required}" for b, v in found if not b.holds(v)]
    if failed:
        raise AssertionError("claims that do not hold: " + "; ".join(failed))
