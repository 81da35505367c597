"""Recorded results: JSON with provenance, and claims checked against tolerances."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import gmmtf
from gmmtf.atomic import replacing


def provenance() -> dict[str, Any]:
    """What a result was computed with: versions, processor or GPU, threads, date."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "gmmtf": gmmtf.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.machine(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def save(path: str | os.PathLike[str], *, settings: dict[str, Any], values: Any) -> None:
    """Write a result as JSON with its settings and provenance, atomically.

    Raises
    ------
    ValueError
        If a number is not finite, which JSON cannot hold.
    """
    document = {"provenance": provenance(), "settings": settings, "values": values}
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with replacing(path) as partial:
        partial.write_text(text)


class Recording:
    """The points of a study, each computed once.

    Every new point is written to the file at once, so a study that was stopped goes on where it
    stood, and one that is complete is only read.

    Parameters
    ----------
    path
        The file, in the form of :func:`save`; None or empty to keep the points in memory only.
    settings
        What all points depend on, as JSON values.

    Raises
    ------
    ValueError
        If the file holds points with other settings.
    """

    def __init__(self, path: str | os.PathLike[str] | None, settings: dict[str, Any]) -> None:
        self.path = Path(path) if path else None
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))  # tuples become lists
        self.values: dict[str, Any] = {}
        if self.path is not None and self.path.exists():
            document = load(self.path)
            stored = document["settings"]
            differing = sorted(
                name
                for name in set(stored) | set(self.settings)
                if stored.get(name) != self.settings.get(name)
            )
            if differing:
                raise ValueError(
                    f"{self.path}: holds points with other settings ({', '.join(differing)}); "
                    "expected the same, or another file"
                )
            self.values = document["values"]

    def point(self, key: str, compute: Callable[[], Any]) -> Any:
        """Return the recorded point, or compute and record it; it must be a JSON value.

        Raises
        ------
        ValueError
            If a number is not finite.
        """
        if key not in self.values:
            self.values[key] = json.loads(json.dumps(compute(), allow_nan=False))
            if self.path is not None:
                save(self.path, settings=self.settings, values=self.values)
        return self.values[key]


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`save` wrote: a dictionary of ``provenance``, ``settings`` and ``values``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not such a result.
    """
    try:
        document = json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    needed = {"provenance", "settings", "values"}
    if not isinstance(document, dict) or not needed <= set(document):
        raise ValueError(f"{path}: expected an object with the entries {sorted(needed)}")
    return document


@dataclass(frozen=True)
class Check:
    """A claim about one number, with the range that it must lie in.

    Parameters
    ----------
    claim
        What the number is.
    value
        The number.
    at_least, at_most
        Bounds; at least one must be given.
    shown
        Whether the printed table shows the value. A value that other machines reproduce only
        roughly, such as the end of a float32 training run, is checked but not shown.
    """

    claim: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    shown: bool = True

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"{self.claim}: give at_least, at_most or both")

    @property
    def holds(self) -> bool:
        """Whether the value is a number within the bounds."""
        if math.isnan(self.value):
            return False
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= self.value <= high

    @property
    def required(self) -> str:
        """The bounds in words."""
        if self.at_least is None:
            return f"at most {self.at_most:.3g}"
        if self.at_most is None:
            return f"at least {self.at_least:.3g}"
        return f"{self.at_least:.3g} to {self.at_most:.3g}"


def verify(checks: Sequence[Check]) -> None:
    """Print a table of the claims and raise if one fails.

    Values are shown with three significant digits, which float64 computations reproduce on every
    machine.

    Raises
    ------
    AssertionError
        Naming the claims that do not hold, with their values.
    """
    rows = [("claim", "value", "required", "")]
    for check in checks:
        value = f"{check.value:.3g}" if check.shown else "-"
        rows.append((check.claim, value, check.required, "holds" if check.holds else "FAILS"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    print("\n".join(lines))  # one write, so that a notebook stores one output
    failed = [f"{c.claim}: {c.value:.6g}, required {c.required}" for c in checks if not c.holds]
    if failed:
        raise AssertionError("claims that do not hold: " + "; ".join(failed))
