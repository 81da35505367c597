"""The claims of chapter 7 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_hidden = partial(Bound, shown=False)
_recorded = partial(Bound, run="recorded")

BOUNDS = [
    _hidden("picture", "picture: distances from the limit, error", at_most=0.1),
    _hidden("counts", "effective numbers, error", at_most=0.1),
    _hidden("allowed", "sweeps: error where it holds / allowed", at_most=1),
    _hidden("integral", "sweeps: integral, standard errors away", at_most=4),
    _hidden("curve-allowed", "curve: error where it holds / allowed", at_most=1),
    Bound("parts", "parts: total / risk", 0.99, 1.01),
    Bound("balance", "best weight, long patterns: wrong patterns / variance", 0.3, 3),
    _hidden("huge-kept", "d = N = 10^9: excess risk, end / start", at_most=0.25),
    _hidden("floor-kept", "floor: best weight, end / start", 0.2, 0.5),
    _hidden("exponent", "floor against d, exponent", -0.75, -0.58),
    Bound("first step, N = 512", "first step, N = 512: full / closed", 0.98, 1.02),
    Bound("first step, limit", "first step, limit: full / closed", 0.97, 1.03),
    Bound("mean denoising", "mean denoising: full / closed", 0.97, 1.05),
    Bound("tilt floor", "tilt floor: full / closed", 0.9, 1.1),
    _recorded("tolerance", "recorded: error where it holds / allowed", at_most=1),
    _recorded("curve_worst_error", "recorded: curve, worst error", at_most=0.05),
    _recorded("integral_deviation", "recorded: integral, standard errors away", at_most=4),
    _recorded("grid_worst_error", "recorded: grid, worst error where it holds", at_most=0.03),
    _recorded("grid_smallest_indicator_of_failure",
              "recorded: grid, smallest indicator / limit of a 5 % error", at_least=1),
    _recorded("search_worst_error", "recorded: random settings, worst error where it holds",
              at_most=0.05),
    _recorded("floor_best", "recorded: excess of the best weight, most tokens", 0.0025, 0.0036),
    _recorded("floor_exponent", "recorded: floor against d, exponent", -0.75, -0.58),
]  # fmt: skip
