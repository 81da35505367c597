"""The claims of chapter 12 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

BOUNDS = [
    Bound("gated_head", "gated head: excess / that of the head", at_most=0.8, digits=2),
    Bound("gated_filter", "gated head: excess / that of the linear filter", at_most=0.9, digits=2),
    Bound("gated_score", "gated head: score", at_least=52, digits=2),
    Bound("head_again", "plain head, again: excess / recorded", 0.95, 1.05, digits=2),
    Bound("ideal_ratio", "empirical ideal: excess, smallest set / largest", at_least=1.2, digits=2),
    _recorded("lowest_gap", "smallest loss less Bayes' / s.e., all runs", at_least=-3),
    _recorded("few-blind", "few: DiT / token Bayes", at_most=0.8),
    _recorded("one-blind", "one: DiT / token Bayes", at_most=0.8),
    _recorded("rare-data-blind", "rare data points: DiT / token Bayes", at_most=0.8),
    _recorded("every-order", "every: head / linear filter", at_least=1.25),
    _recorded("pooled", "few: deep sets / MLP", at_most=0.85),
    _recorded("learned", "few: kernel average / head", at_least=1.2),
    _recorded("many-order", "many: DiT / two layers", at_least=1.5),
    _recorded("many-blind", "512 tokens, trained on 64: DiT / token Bayes", at_most=0.8),
    _recorded("rare-kinds", "head: rare tokens / rare data points", at_least=1.3),
    _recorded("set1000-cost", "DiT: 1000 training data points / fresh", at_most=1.25),
    _recorded("set100-cost", "DiT: 100 training data points / fresh", at_least=1.4),
    _recorded("set100000-empirical_ideal", "empirical ideal of 100,000: excess", at_least=1),
    _recorded("seen10-DiT", "DiT, 10 data points: loss less Bayes' on them", at_most=-0.005),
]
