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
    Bound("live_bend_4", "Hessian at W = 0, smallest / largest eigenvalue, four patterns",
          at_most=-0.05),
    Bound("live_bend_2", "Hessian at W = 0, smallest / largest eigenvalue, two patterns",
          at_least=-1e-3, shown=False),
    _recorded("kept", "recorded: excess risk, end / start", at_most=0.05),
    _recorded("kept_score", "recorded: score-matching error, end / start", at_most=0.03),
    _recorded("over_linear", "recorded: excess at the end / excess of the linear filter",
              at_most=0.5),
    _recorded("every_over_linear", "recorded: the same with every pattern in every data point",
              at_least=1),
    _recorded("deviation", "recorded: largest deviation from the prediction", at_most=0.05),
    _recorded("converge-most", "recorded: excess over ε with most dimensions and tokens",
              at_most=1),
    _recorded("converge-few", "recorded: the same with the fewest tokens, smallest ε", 2),
    _recorded("converge-tokens-low", "recorded: least N ε/K of tokens that suffice", 0.5),
    _recorded("converge-tokens-high", "recorded: most N ε/K of tokens that suffice", at_most=4),
    _recorded("converge-slope", "recorded: local exponent of the steps in 1/ε, last halving", 2,
              3.2),
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

AT_SCALE = {"live_over_linear", "live_end", "live_attention"}
"""Numbers whose ranges hold at the size of the live run: ``smoke`` has too few tokens."""


def bounds_of(size: str) -> list[Bound]:
    """Return the bounds that a run of this size must meet."""
    return [bound for bound in BOUNDS if size != "smoke" or bound.number not in AT_SCALE]
