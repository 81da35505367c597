"""The claims of chapter 13 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live_bend_4", "Hessian at W = 0, smallest / largest eigenvalue, four patterns",
          at_most=-0.05),
    Bound("live_bend_2", "Hessian at W = 0, smallest / largest eigenvalue, two patterns",
          at_least=-1e-3, shown=False),
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
