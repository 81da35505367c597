"""The claims of chapter 9 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_rough = partial(Bound, shown=False)  # machines reproduce float32 training only roughly
_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live start", "risk at W = 0: matched mixture / any tokens", 1 - 1e-9, 1 + 1e-9),
    Bound("live kept", "share of the images' variance along the axes", at_least=0.8),
    Bound("live ratio", "norm of a pattern / deviation within a class", 4, 8),
    Bound("live wiener", "best linear denoiser of one token / best linear head", 0.5, 1),
    Bound("live eventual", "predicted gain of ten times the training / of this", 1, 2),
    Bound("live growth", "first growth of a digit, common / rare", at_least=2),
    _rough("live start measured", "risk at W = 0: measured on test digits / formula", 0.93, 1.07),
    _rough("live first step, general", "first step: cosine with the formula for any tokens", 0.97),
    _rough("live gain of theory / predicted", "theory's mixture: gain / predicted", 0.8, 1.2),
    _rough("live gain of real / predicted", "real digits: gain / predicted", 1.5),
    _rough("live gain of covariances / real", "real covariances: gain / real digits", 0.6, 1.6),
    _rough("live own attention", "least attention to the own digit, after / before", 1.05),
    _rough("live closed", "excess over the fitted mixture, trained / start", 0.3, 0.97),
    _rough("live memory", "training tokens: empirical optimum / best other", at_most=1.02),
    _rough("live memorised", "test tokens, t = 0: empirical optimum / fitted", 10),
    _rough("live delay", "steps to half of the gain, rare / common", 1.1),
    _recorded("gain of theory / predicted", "recorded: theory's mixture, gain / predicted",
              0.9, 1.1),
    _recorded("gain of real / predicted", "recorded: real digits, gain / predicted", 1.5),
    _recorded("gain of real / eventually predicted",
              "recorded: real digits, gain / predicted for ten times the training", 1.5),
    _recorded("first step, general", "recorded: first step, cosine with the formula for any tokens",
              0.99),
    _recorded("head above / isotropic above",
              "recorded: excess over the fitted mixture, trained / isotropic classes", at_most=1),
    _recorded("gain of covariances / real", "recorded: real covariances, gain / real digits",
              0.8, 1.2),
    _recorded("least delay of a rare digit", "recorded: least delay of a rare digit", 1.1),
]  # fmt: skip

AT_SCALE = {"live kept", "live ratio", "live eventual"}
"""Numbers whose ranges hold for at least the tokens of the live run: ``smoke`` has fewer axes."""


def bounds_of(size: str) -> list[Bound]:
    """Return the bounds that a run of this size must meet."""
    return [bound for bound in BOUNDS if size != "smoke" or bound.number not in AT_SCALE]
