"""Chapter 11: labels from the keys of its earlier record."""

from __future__ import annotations

from typing import Any

from gmmtf.record import Label
from record_rules import Rule, estimates

_SAMPLE = estimates("distinct", "offset", "scatter", "centre")


def settings(old: dict[str, Any]) -> dict[str, Any]:
    """Give the number of a sampler's network calls its present name."""
    return {"n_calls" if name == "n_steps" else name: value for name, value in old.items()}


def _samples(prefix: str, floor: str, n_calls: int) -> tuple[Rule, ...]:
    labels: dict[str, Label | type] = {"kind": "sample", "n_calls": n_calls, "seed": int}
    heads = rf"{prefix}/(?P<head>bayes|zero|plain|corrected)/(?P<seed>\d+)"
    return (
        Rule(heads, {**labels, "head": str}, _SAMPLE),
        Rule(rf"{floor}/(?P<seed>\d+)", {**labels, "head": "real"}, _SAMPLE),
    )


RULES = (
    Rule("head", {"kind": "trained"}),
    Rule(r"risk/(?P<head>\w+)/(?P<t>\d+)", {"kind": "risk", "head": str, "t": int}, estimates("")),
    *_samples("noise", "floor", 100),
    *_samples("ancestral", "ancestral/floor", 1000),
    Rule(
        r"finish/(?P<head>\w+)/(?P<t>\d+)/(?P<seed>\d+)",
        {"kind": "finish", "head": str, "t": int, "seed": int},
        _SAMPLE,
    ),
)
