"""Chapter 5: labels from the keys of its earlier record."""

from __future__ import annotations

from typing import Any

from record_rules import Rule, estimates

_CASE = r"M=(?P<M>\d+) K=(?P<K>\d+) N=(?P<N>\d+) pi_min=(?P<pi_min>\S+)"
_TYPES = {"M": int, "K": int, "N": int, "pi_min": float}


def _without_x(value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in ("found", "law")}


RULES = (
    Rule(f"{_CASE} predicted", {"kind": "predicted", **_TYPES}),
    Rule(
        rf"{_CASE} seed (?P<seed>\d+)",
        {"kind": "simulated", **_TYPES, "seed": int},
        estimates("excess.*", "rare"),
    ),
    Rule(f"{_CASE} set", {"kind": "set", **_TYPES}, estimates("")),
    Rule(
        r"phase N=(?P<N>\d+) pi_min=(?P<pi_min>\S+)", {"kind": "phase", "N": int, "pi_min": float}
    ),
    Rule(r"phase N=(?P<N>\d+) r=(?P<r>\S+)", {"kind": "best", "N": int, "r": float}),
    Rule(
        r"phase check N=(?P<N>\d+) pi_min=(?P<pi_min>\S+)",
        {"kind": "check", "N": int, "pi_min": float},
        estimates("all", "rare"),
    ),
    Rule(r"(?P<sweep>.*\S) (?P<x>\S+)", {"kind": "sweep", "sweep": str, "x": float}, _without_x),
)
