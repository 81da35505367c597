"""The points of chapter 4: recorded with labels, read by the names that the summaries use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from gmmtf.estimate import Estimate
from gmmtf.record import Label, Recording
from gmmtf_book import RESULTS

_NAMED: dict[str, dict[str, Label]] = {
    "predicted": {"kind": "predicted", "law": "equal"},
    "products": {"kind": "predicted", "law": "unequal"},
    "full": {"kind": "full", "law": "equal"},
    "best": {"kind": "best"},
    "rates": {"kind": "predicted rates"},
}
_NUMBERED: dict[str, tuple[dict[str, Label], str, type]] = {
    "simulated": ({"kind": "simulated", "law": "equal"}, "seed", int),
    "products": ({"kind": "simulated", "law": "unequal"}, "seed", int),
    "rates": ({"kind": "rates"}, "seed", int),
    "start": ({"kind": "start"}, "start", str),
    "curvature": ({"kind": "curvature"}, "place", str),
    "line": ({"kind": "line"}, "strength", float),
}


def labels_of(name: str) -> dict[str, Label]:
    """Return the labels of a point such as ``predicted``, ``simulated/0`` or ``start/zero``."""
    found = re.fullmatch(r"(\w+)/(.+)", name)
    if found is None:
        return _NAMED[name]
    labels, last, kind = _NUMBERED[found[1]]
    return labels | {last: kind(found[2])}


def name_of(labels: Mapping[str, Label]) -> str:
    """Return the name of the point with these labels: the inverse of :func:`labels_of`."""
    for name, known in _NAMED.items():
        if labels == known:
            return name
    for name, (known, last, _) in _NUMBERED.items():
        if last in labels and labels == known | {last: labels[last]}:
            return f"{name}/{labels[last]}"
    raise KeyError(f"labels: no point of this chapter has {dict(labels)}")


class Points:
    """Points of a run by name, in a record with labels; read only without settings."""

    def __init__(
        self, path: str | os.PathLike[str] | None, settings: Mapping[str, Any] | None = None
    ) -> None:
        self.recording = Recording(path or None, settings, code=__name__)

    def point(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return the recorded point, or compute and record it."""
        return _pairs(self.recording.point(lambda: _estimates(compute()), **labels_of(name)))

    @property
    def values(self) -> dict[str, Any]:
        """All points by name, an estimate as [value, standard error]."""
        return {name_of(point.labels): _pairs(point.value) for point in self.recording}

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that all points share."""
        return self.recording.settings


def paper() -> Points:
    """Return the recorded run at paper scale."""
    return Points(RESULTS / "04_training.json")


def _estimates(value: Any) -> Any:
    """Write [value, standard error] of risks and rates as estimates."""
    if not isinstance(value, dict):
        return value if isinstance(value[0], list) else Estimate(*value)
    if set(value) == {"rate", "error"}:
        rows = zip(value["rate"], value["error"], strict=True)
        return [[Estimate(*pair) for pair in zip(*row, strict=True)] for row in rows]
    return {name: _estimate(v) if name in _RISKS else v for name, v in value.items()}


_RISKS = ("excess", "score", "check")


def _estimate(value: Any) -> Any:
    if isinstance(value[0], list):
        return [Estimate(*pair) for pair in value]
    return Estimate(*value)


def _pairs(value: Any) -> Any:
    """Write estimates as pairs, and a matrix of them as rates and errors."""
    if isinstance(value, Estimate):
        return [value.value, value.standard_error]
    if isinstance(value, dict):
        return {name: _pairs(v) for name, v in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], list):
        if isinstance(value[0][0], Estimate):
            return {
                "rate": [[e.value for e in row] for row in value],
                "error": [[e.standard_error for e in row] for row in value],
            }
        return value
    return [_pairs(v) for v in value] if isinstance(value, list) else value
