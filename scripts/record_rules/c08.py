"""Chapter 8: labels from the keys of its earlier record."""

from __future__ import annotations

from typing import Any

from record_rules import Rule, estimates


def _floor(value: Any) -> Any:
    """Points of a fixed weight were the excess alone, those of the best weight an object."""
    return estimates("excess")(value if isinstance(value, dict) else {"excess": value})


RULES = (
    Rule(r"predicted/(?P<head>.*)", {"kind": "predicted", "head": str}, estimates("excess")),
    Rule(
        r"trained/(?P<head>.*)/(?P<seed>\d+)",
        {"kind": "trained", "head": str, "seed": int},
        estimates("excess", "levels.*"),
    ),
    Rule(
        r"retuned/(?P<head>.*)/(?P<t>\d+)",
        {"kind": "retuned", "head": str, "t": int},
        estimates("excess"),
    ),
    Rule(r"floor/(?P<curve>.*)/(?P<N>\d+)", {"kind": "floor", "curve": str, "N": int}, _floor),
)
