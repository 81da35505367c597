"""Recorded results: points with labels, each with its own provenance, in one JSON file.

A file holds the settings that all its points share and a list of points. A point has labels (what
was computed: a kind, a seed, a size), a value, and says what it was computed with. Points are only
ever added; several processes, also on several machines with one file system, may add to one file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock

from gmmtf.atomic import replacing
from gmmtf.jsonvalues import decode, encode, write
from gmmtf.provenance import provenance

CONVERTER = "scripts/convert_records.py"

Label = str | int | float | bool | None


@dataclass(frozen=True)
class Point:
    """A recorded value, what it is, and what it was computed with."""

    labels: dict[str, Label]
    value: Any
    provenance: dict[str, Any]

    def has(self, labels: Mapping[str, Label]) -> bool:
        """Whether the point has all these labels, and perhaps others."""
        return all(k in self.labels and self.labels[k] == v for k, v in labels.items())


class Recording:
    """The points of a study, each computed once.

    Every new point is written to the file at once, so a study that was stopped goes on where it
    stood, and one that is complete is only read. A new point changes no other.

    Parameters
    ----------
    path
        The file; None or empty to keep the points in memory only.
    settings
        What all points depend on, as JSON values. None to take those of the file.
    code
        Name of the module that computes the points, for their provenance.
    device
        Where they are computed, for their provenance.

    Raises
    ------
    FileNotFoundError
        If ``settings`` is None and there is no file.
    ValueError
        If the file is no record, has the form of an earlier version, or holds points with other
        settings; the message names the settings that differ.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        settings: Mapping[str, Any] | None = None,
        *,
        code: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.path = Path(path).expanduser() if path else None
        self.code = code
        self.device = device
        self.points: list[Point] = []
        if settings is None:
            if self.path is None:
                raise ValueError("settings: expected the settings of a record that has no file")
            self.settings, self.points = _read(self.path)
            return
        # Through text and back, so that tuples compare equal to the lists that a file holds.
        self.settings = decode(json.loads(json.dumps(encode(dict(settings)))))
        self._take_over()

    def point(self, compute: Callable[[], Any], **labels: Label) -> Any:
        """Return the recorded value with exactly these labels, or compute and record it.

        Raises
        ------
        ValueError
            If a number of the value is NaN.
        TypeError
            If the value has no form in JSON, see :func:`gmmtf.jsonvalues.encode`.
        """
        wanted = encode(labels)
        for point in self.points:
            if point.labels == wanted:
                return point.value
        start = time.perf_counter()
        value = compute()
        return self.add(value, time.perf_counter() - start, **labels)

    def add(self, value: Any, seconds: float, **labels: Label) -> Any:
        """Record a value that was computed in ``seconds``; errors as :meth:`point`.

        Where another process has recorded these labels meanwhile, its value stays and is returned.
        """
        made = provenance(seconds, code=self.code, device=self.device)
        new = Point(encode(labels), decode(encode(value)), made)
        if self.path is None:
            self.points.append(new)
            return new.value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            self._take_over()
            present = [point for point in self.points if point.labels == new.labels]
            if present:
                return present[0].value
            self.points.append(new)
            with replacing(self.path) as partial:
                partial.write_text(self.text(), encoding="utf-8")
        return new.value

    def select(self, **labels: Label) -> list[Point]:
        """Return the points that have these labels, in the order recorded."""
        return [point for point in self.points if point.has(labels)]

    def value(self, **labels: Label) -> Any:
        """Return the value of the one point that has these labels.

        Raises
        ------
        KeyError
            If there is none, or more than one.
        """
        found = self.select(**labels)
        if len(found) != 1:
            raise KeyError(
                f"{self.path or 'record'}: expected one point {labels}, got {len(found)}"
            )
        return found[0].value

    def frame(self, **labels: Label) -> pd.DataFrame:
        """Return the points that have these labels as a table, for ``groupby``.

        A column for each label, and for the value: one for each entry where the values are objects,
        else ``value``.
        """
        return pd.DataFrame([{**p.labels, **_columns(p.value)} for p in self.select(**labels)])

    def text(self) -> str:
        """Return the text of the file."""
        points = [
            {"labels": p.labels, "value": encode(p.value), "provenance": p.provenance}
            for p in self.points
        ]
        return write({"settings": encode(self.settings), "points": points})

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def _take_over(self) -> None:
        """Read what the file holds by now; points of this object that it lacks are kept."""
        if self.path is None or not self.path.exists():
            return
        settings, points = _read(self.path)
        differing = sorted(
            name
            for name in set(settings) | set(self.settings)
            if settings.get(name) != self.settings.get(name)
        )
        if differing:
            lines = [
                f"{name}: {settings.get(name)!r} there, {self.settings.get(name)!r} here"
                for name in differing
            ]
            raise ValueError(
                f"{self.path}: holds points with other settings ({'; '.join(lines)}); "
                "expected the same, or another file"
            )
        known = [point.labels for point in points]
        self.points = points + [point for point in self.points if point.labels not in known]


def _read(path: Path) -> tuple[dict[str, Any], list[Point]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if isinstance(document, dict) and set(document) == {"provenance", "settings", "values"}:
        raise ValueError(
            f"{path}: a record in the form of an earlier version; `python {CONVERTER} {path}` "
            "converts it"
        )
    if not isinstance(document, dict) or set(document) != {"settings", "points"}:
        raise ValueError(f"{path}: expected an object with the entries 'settings' and 'points'")
    try:
        points = [
            Point(p["labels"], decode(p["value"]), p["provenance"]) for p in document["points"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected points with labels, value and provenance") from error
    return decode(document["settings"]), points


def _columns(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}
