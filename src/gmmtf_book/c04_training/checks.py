"""The claims of chapter 4 and the ranges in which their numbers must lie."""

from __future__ import annotations

from gmmtf.check import Bound


def _recorded(
    number: str, claim: str, low: float | None = None, high: float | None = None
) -> Bound:
    return Bound(number, f"recorded: {claim}", low, high, run="recorded")


BOUNDS = [
    Bound("live_start", "risk at W = 0: standard errors from the formula", at_most=4, digits=2),
    Bound("live_first_step", "first step, same pattern: standard errors from theory", at_most=4,
          digits=2),
    Bound("live_kept", "excess risk, end / start", at_most=0.15, digits=2),
    Bound("live_kept_score", "score-matching error, end / start", at_most=0.15, digits=2),
    Bound("live_end", "end of the run, simulated / predicted", 0.9, 1.1, digits=2),
    Bound("live_outside", "outside the family / noise of the batches", 0.3, 1.3, shown=False),
    Bound("live_attention", "attention to the same pattern, after / before", at_least=2, digits=2),
    Bound("live_rates", "ratio of growth rates: standard errors from theory", at_most=4,
          shown=False),
    Bound("live_commonest", "same-pattern product, commonest pattern", at_least=0.5, shown=False),
    Bound("live_bend_4", "Hessian at W = 0, smallest / largest eigenvalue, four patterns",
          at_most=-0.05),
    Bound("live_bend_2", "Hessian at W = 0, smallest / largest eigenvalue, two patterns",
          at_least=-1e-3, shown=False),
    _recorded("kept", "excess risk, end / start", high=0.03),
    _recorded("kept_score", "score-matching error, end / start", high=0.03),
    _recorded("deviation", "largest deviation from the prediction", high=0.05),
    _recorded("rates_over_predicted", "growth rates, measured / predicted", 0.9, 1.1),
    _recorded("rates_error", "growth rates, standard error / ratio", high=0.05),
    _recorded("rarest_same_end", "same-pattern product, rarest pattern", 2),
    _recorded("commonest_same_end", "same-pattern product, commonest pattern", 2),
    _recorded("rarest_different_end", "different patterns at the end, rarest", high=0.05),
    _recorded("commonest_different_highest", "different patterns at any step, commonest",
              high=0.0),
    _recorded("products_deviation", "products, largest deviation from the prediction", high=0.15),
    _recorded("smallest_at_zero", "Hessian at W = 0, smallest / largest eigenvalue", high=-0.05),
    _recorded("smallest_at_end", "Hessian at the end, smallest eigenvalue / largest at W = 0",
              -1e-3),
    _recorded("check", "simulated ends, standard errors from the integral", high=4),
    _recorded("worst_end", "worst end of four starts / end from zero", high=1.25),
    _recorded("end random 10", "end from random 10 / end from zero", 5),
]  # fmt: skip
