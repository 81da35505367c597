"""Chapter 10: labels from the keys of its earlier records."""

from __future__ import annotations

from typing import Any

from record_rules import Rule

RUN = r"(?P<condition>[^/]+)/(?P<seed>\d+)/"

RULES = (
    Rule(
        r"samplers/(?P<sampler>[^/]+)/(?P<n_calls>\d+)",
        {"kind": "sampler", "sampler": str, "n_calls": int},
    ),
    Rule(r"guidance/(?P<weight>[\d.]+)", {"kind": "guidance", "weight": float}),
    Rule(RUN + "floor", {"kind": "floor", "condition": str, "seed": int}),
    Rule(RUN + r"(?P<step>\d+)", {"kind": "trained", "condition": str, "seed": int, "step": int}),
)


def settings(old: dict[str, Any]) -> dict[str, Any]:
    """Name the calls of the network as they are named now."""
    evaluation = dict(old["evaluation"])
    evaluation["n_calls"] = evaluation.pop("n_steps")
    return {**old, "evaluation": evaluation}
