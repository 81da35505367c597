"""The claims of chapter 12 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")
_rough = partial(Bound, shown=False)

BOUNDS = [
    Bound("gated_head", "gated head: excess / that of the head", at_most=0.75, digits=2),
]
