"""Recorded results: points with labels, each with its own provenance, in one JSON file.

A file holds the settings that all its points share and a list of points. A point has labels (what
was computed: a kind, a seed, a size), a value, and says what it was computed with. Points are only
added, unless they are dropped on purpose; several processes, also on several machines with one file
system, may add to one file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock

from gmmtf.arguments import checked
from gmmtf.atomic import replacing
from gmmtf.estimate import Estimate
from gmmtf.jsonvalues import decode, encode, lines, write
from gmmtf.provenance import code_digest, provenance

CONVERTER = "scripts/convert_records.py"

Label = str | int | float | bool | None
LabelKey = frozenset[tuple[str, bool, Label]]


@dataclass(frozen=True)
class Point:
    """A recorded value, what it is, and what it was computed with."""

    labels: dict[str, Label]
    value: Any
    provenance: dict[str, Any]

    @cached_property
    def key(self) -> LabelKey:
        """The labels as :func:`label_key` compares them."""
        return label_key(self.labels)

    @cached_property
    def text(self) -> str:
        """The lines of the point in a file, as it was when they were first asked for."""
        labels = {name: encode(label) for name, label in self.labels.items()}
        entries = {"labels": labels, "value": encode(self.value), "provenance": self.provenance}
        return lines(entries, 2)

    @checked
    def has(self, labels: Mapping[str, Label]) -> bool:
        """Whether the point has all these labels, and perhaps others.

        ``1`` and ``1.0`` are one number, ``True`` is another label.
        """
        return label_key(labels) <= self.key

    @checked
    def has_exactly(self, labels: Mapping[str, Label]) -> bool:
        """Whether the point has these labels and no others."""
        return label_key(labels) == self.key


def label_key(labels: Mapping[str, Label]) -> LabelKey:
    """Return what is equal for equal labels: ``1`` and ``1.0`` are one number, ``True`` another."""
    return frozenset((name, isinstance(label, bool), label) for name, label in labels.items())


class Recording:
    """The points of a study, each computed once.

    Every new point is written to the file at once, so a study that was stopped goes on where it
    stood, and one that is complete is only read. A new point changes no other.

    Parameters
    ----------
    path
        The file; None or empty to keep the points in memory only.
    settings
        What all points depend on, as JSON values. None to read the file only, whatever its
        settings: then nothing can be added, since nobody said what would be computed.
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
        settings; the message names the settings that differ. If ``code`` is no module.
    """

    @checked
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
        self._known_text: str | None = None  # of the file, where its points are all in `points`
        self.read_only = settings is None
        if code is not None:
            code_digest(code)  # noted now, as the code is when the process begins
        if settings is None:
            if self.path is None:
                raise ValueError("settings: expected the settings of a record that has no file")
            self.settings, self.points = _parsed(self.path, _read(self.path))
            return
        # Through text and back, so that tuples compare equal to the lists that a file holds.
        try:
            self.settings = decode(json.loads(json.dumps(encode(dict(settings)))))
        except (ValueError, TypeError) as error:
            raise type(error)(f"settings: {error}") from error
        self._take_over()

    @checked
    def point(self, compute: Callable[[], Any], /, **labels: Label) -> Any:
        """Return the recorded value with exactly these labels, or compute and record it.

        Raises
        ------
        ValueError
            If a number of the value is NaN, or a missing point is to be added to a record that was
            opened to be read.
        TypeError
            If the value has no form in JSON, see :func:`gmmtf.jsonvalues.encode`, or a label is not
            a text, a number or None.
        """
        wanted = _labels(labels)
        found = self._known(wanted)
        if found is None and not self.read_only:
            self._take_over()  # another process may have it by now
            found = self._known(wanted)
        if found is not None:
            return found.value
        self._refuse_if_read_only(wanted)
        start = time.perf_counter()
        value = compute()
        return self.add(value, time.perf_counter() - start, **labels)

    @checked
    def add(self, value: Any, seconds: float, /, **labels: Label) -> Any:
        """Record a value that was computed in ``seconds``; errors as :meth:`point`.

        Where another process has recorded these labels meanwhile, its value stays and is returned.
        """
        made = provenance(seconds, code=self.code, device=self.device)
        return self.take(Point(labels, value, made)).value

    @checked
    def take(self, point: Point, *, instead_of: Point | None = None) -> Point:
        """Record a point with the provenance that it has; return the one that is recorded.

        A point that is recorded with the same labels stays, unless it is ``instead_of``.
        """
        new = Point(_labels(point.labels), decode(encode(point.value)), dict(point.provenance))
        self._refuse_if_read_only(new.labels)
        with self._changing():
            known = self._known(new.labels)
            if known is not None and known == instead_of:
                self.points.remove(known)
                known = None
            if known is None:
                self.points.append(new)
        return known or new

    @checked
    def drop(self, **labels: Label) -> int:
        """Remove the points that have these labels, to record them anew; return how many.

        Raises
        ------
        ValueError
            If no labels are given, or the record was opened to be read.
        """
        wanted = _labels(labels)
        if not wanted:
            raise ValueError("labels: expected at least one; to drop all points, delete the file")
        self._refuse_if_read_only(wanted)
        with self._changing():
            kept = [point for point in self.points if not point.has(wanted)]
            dropped = len(self.points) - len(kept)
            self.points = kept
        return dropped

    @checked
    def select(self, **labels: Label) -> list[Point]:
        """Return the points that have these labels, in the order recorded."""
        wanted = label_key(_labels(labels))
        return [point for point in self.points if wanted <= point.key]

    @checked
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

    @checked
    def frame(self, **labels: Label) -> pd.DataFrame:
        """Return the points that have these labels as a table, for ``groupby``.

        A column for each label, and for the value: one for each entry where the values are objects,
        else ``value``.

        Raises
        ------
        ValueError
            If an entry of a value has the name of a label.
        """
        return pd.DataFrame([_row(point) for point in self.select(**labels)])

    def text(self) -> str:
        """Return the text of the file."""
        settings, points = encode(self.settings), [point.text for point in self.points]
        if len(points) < 3:  # all may fit on one line
            return write({"settings": settings, "points": [json.loads(each) for each in points]})
        body = ",\n  ".join(points)
        return f'{{\n "settings": {lines(settings, 1)},\n "points": [\n  {body}\n ]\n}}\n'

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def _known(self, labels: Mapping[str, Label]) -> Point | None:
        key = label_key(labels)
        return next((point for point in self.points if point.key == key), None)

    def _refuse_if_read_only(self, labels: Mapping[str, Label]) -> None:
        if self.read_only:
            raise ValueError(
                f"{self.path}: point {dict(labels)} would change a record that was opened to be "
                "read; give the settings to record"
            )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of the file from reading what others wrote to writing it again."""
        if self.path is None:
            yield
            return
        path = self.path.resolve()  # all links to a file share its lock
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            self._take_over()
            self._known_text = None  # until what changes now is written
            yield
            text = self.text()
            with replacing(path, left_after=0) as partial:  # the lock keeps all others out
                partial.write_text(text, encoding="utf-8")
            self._known_text = text

    def _take_over(self) -> None:
        """Read what the file holds by now; points of this object that it lacks are kept."""
        if self.path is None or not self.path.exists():
            return
        text = _read(self.path)
        if text == self._known_text:
            return
        settings, points = _parsed(self.path, text)
        differing = [
            f"{name}: {_shown(settings, name)} there, {_shown(self.settings, name)} here"
            for name in sorted(set(settings) | set(self.settings))
            if settings.get(name, ...) != self.settings.get(name, ...)
        ]
        if differing:
            raise ValueError(
                f"{self.path}: holds points with other settings ({'; '.join(differing)}); "
                "expected the same, or another file"
            )
        for point in points:
            _ = point.text  # now: what becomes of a value that is given away is not recorded
        known = {point.key for point in points}
        self.points = points + [p for p in self.points if p.key not in known]
        self._known_text = text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error


def _parsed(path: Path, text: str) -> tuple[dict[str, Any], list[Point]]:
    try:
        document = json.loads(text)
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
            Point(
                _labels({name: decode(label) for name, label in p["labels"].items()}),
                decode(p["value"]),
                dict(p["provenance"]),
            )
            for p in document["points"]
        ]
        settings = dict(decode(document["settings"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected settings, and points with labels, value and provenance ({error})"
        ) from error
    return settings, points


def _labels(labels: Mapping[str, Any]) -> dict[str, Label]:
    """Labels as plain numbers and texts."""
    plain = {name: decode(encode(label)) for name, label in labels.items()}
    for name, label in plain.items():
        if isinstance(label, (list, dict, Estimate)):
            raise TypeError(f"label {name!r}: expected a text, a number or None, got {label!r}")
    return plain


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "nothing"


def _row(point: Point) -> dict[str, Any]:
    value = point.value if isinstance(point.value, dict) else {"value": point.value}
    both = sorted(set(point.labels) & set(value))
    if both:
        raise ValueError(f"point {point.labels}: its value has entries named like labels, {both}")
    return {**point.labels, **value}
