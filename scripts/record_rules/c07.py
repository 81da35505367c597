"""Chapter 7: labels from the keys of its earlier record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gmmtf.record import Label
from record_rules import Rule, estimates

_POINT = estimates("seeds.*", "simulated", "expansion", "integral")
_AXES = ("radius", "sigma", "N", "K", "t", "strength")

Points = list[tuple[Mapping[str, Label], Any]]


def _grid(settings: Any) -> Points:
    """One point a setting."""
    return [
        (
            dict(zip(_AXES, setting["setting"], strict=True)),
            {name: setting[name] for name in ("validity", "holds", "error")},
        )
        for setting in settings
    ]


def _by_count(curves: Any) -> Points:
    """One point a number of tokens."""
    names = ("fixed", "best", "best_strength")
    return [
        ({"N": n}, {name: curves[name][k] for name in names})
        for k, n in enumerate(curves["counts"])
    ]


def _by_dim(curves: Any) -> Points:
    """One point a dimension; the exponents follow from them."""
    rows = zip(curves["dims"], curves["floor"], curves["best_strength"], strict=True)
    return [({"d": d}, {"best": best, "best_strength": s}) for d, best, s in rows]


RULES = (
    Rule(r"tokens/(?P<N>\d+)", {"kind": "tokens", "N": int}, _POINT),
    Rule(r"time/(?P<t>\d+)", {"kind": "time", "t": int}, _POINT),
    Rule(
        r"(?P<kind>strength|short)/(?P<strength>[\d.]+)", {"kind": str, "strength": float}, _POINT
    ),
    Rule(r"curve/(?P<step>\d+)", {"kind": "curve", "step": int}, _POINT),
    Rule("grid", {"kind": "grid"}, split=_grid),
    Rule("floor", {"kind": "floor"}, estimates("fixed.*", "best.*"), _by_count),
    Rule("floor_by_dim", {"kind": "floor_by_dim"}, estimates("floor.*"), _by_dim),
)
