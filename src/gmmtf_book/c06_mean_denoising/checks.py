"""What must hold for the statements of the chapter."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("live_same_over_law", "low noise: same pattern / law", 0.9, 1.1, digits=4),
    Bound("live_uniform_over_law", "low noise: uniform / law", 0.95, 1.05, digits=4),
    Bound("live_same_to_bayes_over_law", "same pattern to Bayes / law", 0.9, 1.1, digits=4),
    Bound("live_slope_same", "same pattern: exponent of 1/n_u", 0.9, 1.1),
    Bound("live_crossing_uniform_error", "crossing of uniform: |error| in t", at_most=20, digits=2),
    Bound("live_worst_oracle", "distance from the oracle, misfit", at_most=2, shown=False),
    Bound("live_worst_bayes", "distance from Bayes, misfit", at_most=2, shown=False),
    Bound("live_worst_map", "numbers of the map, misfit", at_most=2, shown=False),
    Bound("live_worst_counts", "error against 1/n_u, misfit", at_most=2, shown=False),
    Bound("live_uniform_over_trained_low", "low noise: uniform / trained", 5, shown=False),
    Bound("live_other_over_uniform_low", "low noise: another data point's / uniform", 0.8, 1.1,
          shown=False),
    Bound("live_trained_over_same_high", "high noise: trained / same pattern", at_most=0.7,
          shown=False),
    _recorded("worst_oracle", "recorded: distance from the oracle, misfit", at_most=1),
    _recorded("worst_bayes", "recorded: distance from Bayes, misfit", at_most=1),
    _recorded("worst_map", "recorded: numbers of the map, misfit", at_most=1),
    _recorded("worst_counts", "recorded: error against 1/n_u, misfit", at_most=1),
    _recorded("uniform_over_trained_low", "recorded: low noise, uniform / trained", at_least=100),
    _recorded("other_over_uniform_low", "recorded: low noise, another's / uniform", 0.95, 1.05),
    _recorded("trained_over_same_low", "recorded: low noise, trained / same", 1, 1.3),
    _recorded("trained_over_same_high", "recorded: high noise, trained / same", at_most=0.3),
    _recorded("mass_low", "recorded: attention to own pattern, low noise", at_least=0.99),
    _recorded("mass_high", "recorded: attention to own pattern, high noise", 0.12, 0.15),
    _recorded("slope_low", "recorded: exponent of 1/n_u, low noise", 0.9, 1.05),
    _recorded("crossing_risk", "recorded: crossing in risk, t", 621, 631),
    _recorded("crossing_uniform", "recorded: crossing of uniform, t", 635, 645),
    _recorded("same_over_law", "recorded: same pattern / law, low noise", 0.97, 1.03),
    _recorded("largest_oracle", "recorded: largest deviation of a prediction", at_most=0.05),
    _recorded("pythagoras", "recorded: D_O against D_B + gap, deviation", at_most=0.01),
]  # fmt: skip
