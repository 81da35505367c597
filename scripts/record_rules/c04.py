"""Chapter 4: labels from the keys of its earlier record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gmmtf.estimate import Estimate
from gmmtf.record import Label
from record_rules import Rule, estimates

_CURVE = ("excess.*", "score.*")


def _matrix(value: dict[str, Any]) -> list[list[Estimate]]:
    """Rates and their errors, both ``[M][M]``, as one matrix of estimates."""
    rows = zip(value["rate"], value["error"], strict=True)
    return [[Estimate(*pair) for pair in zip(*row, strict=True)] for row in rows]


def _strengths(value: dict[str, Any]) -> list[tuple[Mapping[str, Label], Any]]:
    pairs = zip(value["strength"], value["excess"], strict=True)
    return [({"strength": float(strength)}, found) for strength, found in pairs]


RULES = (
    Rule("predicted", {"kind": "predicted", "law": "equal"}, estimates(*_CURVE)),
    Rule("products", {"kind": "predicted", "law": "unequal"}, estimates(*_CURVE)),
    Rule(
        r"simulated/(?P<seed>\d+)",
        {"kind": "simulated", "law": "equal", "seed": int},
        estimates(*_CURVE),
    ),
    Rule(
        r"products/(?P<seed>\d+)",
        {"kind": "simulated", "law": "unequal", "seed": int},
        estimates(*_CURVE),
    ),
    Rule("full", {"kind": "full", "law": "equal"}, estimates(*_CURVE)),
    Rule("best", {"kind": "best"}, estimates("excess")),
    Rule("rates", {"kind": "predicted rates"}),
    Rule(r"rates/(?P<seed>\d+)", {"kind": "rates", "seed": int}, _matrix),
    Rule(r"start/(?P<start>.+)", {"kind": "start", "start": str}, estimates(*_CURVE, "check")),
    Rule(r"curvature/(?P<place>\w+)", {"kind": "curvature", "place": str}),
    Rule("line", {"kind": "line"}, estimates("excess.*"), _strengths),
)
