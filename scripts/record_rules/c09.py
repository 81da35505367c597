"""Chapter 9: labels from the keys of its earlier record."""

from __future__ import annotations

from record_rules import Rule, estimates

_CURVE = estimates("loss.*", "gain.*")

RULES = (
    Rule("constants", {"kind": "constants"}),
    Rule("direction", {"kind": "direction"}),
    Rule("predicted", {"kind": "predicted", "length": 1}),
    Rule("predicted long", {"kind": "predicted", "length": 10}),
    Rule("levels", {"kind": "levels"}, estimates("test.*.*.*", "train.*.*.*")),
    Rule(r"rare/(?P<digit>\d)/(?P<seed>\d+)", {"kind": "rare", "digit": int, "seed": int}, _CURVE),
    Rule(r"mean/(?P<seed>\d+)", {"kind": "mean", "seed": int}, estimates("*.*")),
    Rule(r"(?P<law>\w+)/(?P<seed>\d+)", {"kind": "curve", "law": str, "seed": int}, _CURVE),
)
