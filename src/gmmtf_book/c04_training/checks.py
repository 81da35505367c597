"""The claims of chapter 4 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live_start", "risk at W = 0: standard errors from the formula", at_most=4, digits=2),
    Bound("live_first_step", "first step, same pattern: standard errors from theory", at_most=4,
          digits=2),
    Bound("live_kept", "excess risk, end / start", at_most=0.15, digits=2),
    Bound("live_kept_score", "score-matching error, end / start", at_most=0.15, digits=2),
    Bound("live_over_linear", "excess at the end / excess of the linear filter", at_most=0.5,
          digits=2),
    Bound("live_every_over_linear", "the same with every pattern in every data point", at_least=1,
          digits=2),
    Bound("live_end", "end of the run, simulated / predicted", 0.9, 1.1, digits=2),
    Bound("live_outside", "outside the family / noise of the batches", 0.7, 1.3, shown=False),
    Bound("live_attention", "attention to the same pattern, after / before", at_least=2, digits=2),
    Bound("live_rates", "ratio of growth rates: standard errors from theory", at_most=4,
          shown=False),
    Bound("live_commonest", "same-pattern product, commonest pattern", at_least=0.5, shown=False),
    _recorded("kept", "recorded: excess risk, end / start", at_most=0.05),
    _recorded("kept_score", "recorded: score-matching error, end / start", at_most=0.03),
    _recorded("over_linear", "recorded: excess at the end / excess of the linear filter",
              at_most=0.5),
    _recorded("every_over_linear", "recorded: the same with every pattern in every data point",
              at_least=1),
    _recorded("deviation", "recorded: largest deviation from the prediction", at_most=0.05),
    _recorded("rates_over_predicted", "recorded: growth rates, measured / predicted", 0.9, 1.1),
    _recorded("rates_error", "recorded: growth rates, standard error / ratio", at_most=0.05),
    _recorded("rarest_same_end", "recorded: same-pattern product, rarest pattern", 2),
    _recorded("commonest_same_end", "recorded: same-pattern product, commonest pattern", 2),
    _recorded("rarest_different_end", "recorded: different patterns at the end, rarest",
              at_most=-0.03),
    _recorded("commonest_different_end", "recorded: different patterns at the end, commonest",
              at_most=-0.05),
    _recorded("commonest_different_highest", "recorded: different patterns at any step, commonest",
              at_most=0.0),
    _recorded("products_deviation", "recorded: products, largest deviation from the prediction",
              at_most=0.15),
]  # fmt: skip

AT_SCALE = {"live_over_linear", "live_end", "live_attention"}
"""Numbers whose ranges hold at the size of the live run: ``smoke`` has too few tokens."""


def bounds_of(size: str) -> list[Bound]:
    """Return the bounds that a run of this size must meet."""
    return [bound for bound in BOUNDS if size != "smoke" or bound.number not in AT_SCALE]
