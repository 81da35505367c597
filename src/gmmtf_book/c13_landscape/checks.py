"""The claims of chapter 13 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live_bend_4", "Hessian at W = 0, smallest / largest eigenvalue, four patterns",
          at_most=-0.05),
    Bound("live_bend_5", "Hessian at W = 0, smallest / largest eigenvalue, five patterns",
          at_most=-0.05),
    Bound("live_line", "W = βP, simulated: most standard errors from the integral", at_most=4,
          digits=2),
    Bound("live_bend_2", "Hessian at W = 0, smallest / largest eigenvalue, two patterns",
          at_least=-1e-3, shown=False),
    Bound("live_from_zero", "slice, descent from W = 0: excess risk, end / start", at_most=0.2,
          digits=2),
    Bound("live_slice_worst", "slice, other starts: excess at the end / that from W = 0, largest",
          at_most=4, digits=2),
    _recorded("converge-most", "recorded: excess over ε with most dimensions and tokens",
              at_most=1),
    _recorded("converge-few", "recorded: the same with the fewest tokens, smallest ε", 2),
    _recorded("converge-tokens-low", "recorded: least N ε/K of tokens that suffice", 0.5),
    _recorded("converge-tokens-high", "recorded: most N ε/K of tokens that suffice", at_most=4),
    _recorded("converge-slope", "recorded: local exponent of the steps in 1/ε, last halving", 2,
              3.2),
    _recorded("smallest_at_zero", "recorded: Hessian at W = 0, smallest / largest eigenvalue",
              at_most=-0.05),
    _recorded("smallest_at_end",
              "recorded: Hessian at the end, smallest eigenvalue / largest at W = 0", -1e-3),
    _recorded("check", "recorded: simulated ends, standard errors from the integral", at_most=4),
    _recorded("missing", "recorded: descents from other starts that do not arrive", at_most=0,
              digits=1),
    _recorded("worst_early", "recorded: other starts but two, after 120 steps / from zero",
              at_most=1.25),
    _recorded("early random 10", "recorded: worst of random 10, after 120 steps / from zero", 2),
    _recorded("early large", "recorded: from large, after 120 steps / from zero", 2),
]  # fmt: skip

AT_SCALE = {"live_from_zero", "live_slice_worst"}
"""Numbers whose ranges hold after the steps of the live run: ``smoke`` takes a few."""


def bounds_of(size: str) -> list[Bound]:
    """Return the bounds that a run of this size must meet."""
    return [bound for bound in BOUNDS if size != "smoke" or bound.number not in AT_SCALE]
