"""Chapter 6: trained weights, interventions, and errors against the number of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gmmtf.estimate import Estimate
from gmmtf.record import Label
from record_rules import Rule, estimates


def _by_side(value: Any) -> list[tuple[Mapping[str, Label], Any]]:
    """What was simulated and what was predicted are two points."""
    return [({"side": side}, value[side]) for side in ("simulated", "predicted")]


def _counts(value: Any) -> list[tuple[Mapping[str, Label], Any]]:
    """Columns, of which the prediction has one."""
    points = []
    for labels, entries in _by_side(value):
        rows = [e if isinstance(e, dict) else {"trained": e} for e in entries.values()]
        columns = {name: [Estimate(*row[name]) for row in rows] for name in rows[0]}
        points.append((labels, {"count": [int(count) for count in entries], **columns}))
    return points


SEED = r"(?P<seed>\d+)"
RULES = (
    Rule(rf"{SEED}/weight", {"kind": "weight", "seed": int}),
    Rule(
        rf"{SEED}/(?P<t>\d+)",
        {"kind": "maps", "seed": int, "t": int},
        estimates(*(f"{side}.{group}.*" for side in ("simulated", "predicted")
                    for group in ("oracle", "bayes", "map"))),
        _by_side,
    ),
    Rule(
        rf"{SEED}/counts/(?P<t>\d+)",
        {"kind": "counts", "seed": int, "t": int},
        split=_counts,
    ),
)  # fmt: skip
