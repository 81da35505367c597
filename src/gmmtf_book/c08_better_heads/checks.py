"""The claims of chapter 8 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live worst reduction", "this run: largest |trained/predicted - 1| of the reductions",
          at_most=0.1, shown=False),
    Bound("live predicted value", "this run: value matrix / plain, predicted", at_most=0.5),
    Bound("live predicted value, tilt", "this run: value matrix and tilt / plain, predicted",
          at_most=0.5, digits=2),
    Bound("live predicted tilt", "this run: tilt correction / plain, predicted", at_least=1.02),
    Bound("live predicted skip", "this run: skip / plain, predicted", 0.95, 0.999),
    _recorded("worst reduction", "recorded: largest |trained/predicted - 1| of the reductions",
              at_most=0.1),
    _recorded("worst excess", "recorded: largest |trained/predicted - 1| of the excess risks",
              at_most=0.1),
    _recorded("reduction/value", "recorded: value matrix / plain", at_most=0.3),
    _recorded("reduction/tilt", "recorded: tilt correction / plain", at_least=1.02),
    _recorded("reduction/depth 2", "recorded: depth 2 / plain", at_most=0.98),
    _recorded("two heads over value", "recorded: two heads / one, with value matrices",
              at_most=0.95),
    _recorded("retuned/value", "recorded: value, own numbers at each time / one set", at_most=0.8),
    _recorded("floor ratio", "floor: corrected / plain, best weights, most tokens", at_most=0.02),
    _recorded("floor limit", "floor: corrected, W = P/tau^2, a million tokens", 0.35, 0.5),
    Bound("live floor deviation", "floor: simulation against integral, standard errors",
          at_most=4.5, digits=2),
    Bound("live log-variance", "floor: mean log-variance of the weights at W = P/tau^2", 35, 45),
    Bound("live strength", "floor: beta r^2 of W = P/tau^2", 90, 110),
]  # fmt: skip
