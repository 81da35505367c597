"""The claims of chapter 9 and the ranges in which their numbers must lie."""

from __future__ import annotations

from gmmtf.check import Bound


def _hidden(number: str, claim: str, low: float | None = None, high: float | None = None) -> Bound:
    """Bound of a float32 training run, which machines reproduce only roughly."""
    return Bound(f"live {number}", claim, low, high, shown=False)


def _recorded(
    number: str, claim: str, low: float | None = None, high: float | None = None
) -> Bound:
    return Bound(number, f"recorded: {claim}", low, high, run="recorded")


BOUNDS = [
    Bound("live start", "risk at W = 0: matched mixture / any tokens", 1 - 1e-9, 1 + 1e-9),
    Bound("live kept", "share of the images' variance along the axes", at_least=0.8),
    Bound("live ratio", "norm of a pattern / deviation within a class", 4, 8),
    Bound("live wiener", "best linear denoiser of one token / best linear head", 0.5, 1),
    Bound("live eventual", "predicted gain of ten times the training / of this", 1, 2),
    Bound("live growth", "first growth of a digit, common / rare", at_least=2),
    _hidden("start measured", "risk at W = 0: measured on test digits / formula", 0.93, 1.07),
    _hidden("first step, general", "first step: cosine with the formula for any tokens", 0.97),
    _hidden("gain of theory / predicted", "theory's mixture: gain / predicted", 0.8, 1.2),
    _hidden("gain of real / predicted", "real digits: gain / predicted", 1.5),
    _hidden("gain of covariances / real", "real covariances: gain / real digits", 0.6, 1.6),
    _hidden("own attention", "least attention to the own digit, after / before", 1.05),
    _hidden("closed", "excess over the fitted mixture, trained / start", 0.3, 0.97),
    _hidden("memory", "training tokens: empirical optimum / best other", high=1.02),
    _hidden("memorised", "test tokens, t = 0: empirical optimum / fitted", 10),
    _hidden("delay", "steps to half of the gain, rare / common", 1.1),
    _recorded("gain of theory / predicted", "theory's mixture, gain / predicted", 0.9, 1.1),
    _recorded("gain of real / predicted", "real digits, gain / predicted", 1.5),
    _recorded(
        "gain of real / eventually predicted",
        "real digits, gain / predicted for ten times the training", 1.5,
    ),
    _recorded("first step, general", "first step, cosine with the formula for any tokens", 0.99),
    _recorded(
        "head above / isotropic above",
        "excess over the fitted mixture, trained / isotropic classes", high=1,
    ),
    _recorded("gain of covariances / real", "real covariances, gain / real digits", 0.8, 1.2),
    _recorded("least delay of a rare digit", "least delay of a rare digit", 1.1),
]  # fmt: skip

AT_SCALE = {"live kept", "live ratio", "live eventual"}
"""Numbers whose ranges hold for at least the tokens of the live run: ``smoke`` has fewer axes."""


def bounds_of(size: str) -> list[Bound]:
    """Return the bounds that a run of this size must meet."""
    return [bound for bound in BOUNDS if size != "smoke" or bound.number not in AT_SCALE]
