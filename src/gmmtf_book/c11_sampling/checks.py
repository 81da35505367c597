"""The claims of chapter 11 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")
_rough = partial(Bound, shown=False)

BOUNDS = [
    Bound("identity", "price: identity, deviation / s.e.", at_most=4.5, digits=2),
    _rough("risk_error", "risks: predicted against simulated", at_most=0.2),
    _recorded("paper-risk_error", "risks, large run", at_most=0.05),
    Bound("label_ratio", "price of the labels / entropy", 1, 1.1),
    Bound("owed", "price of the trained head / labels", at_least=5),
    _recorded("paper-owed", "price of the trained head / labels, large run", at_least=5),
    _recorded("paper-kept", "excess risk after training / before, large run", at_most=0.035),
    _rough("step-error", "Bayes: variance against the recursion / s.e.", at_most=4.5),
    Bound("last-ddim", "Bayes: variance that DDIM's last steps lack, per cent", 1, 30),
    _rough("sliced_bayes", "Bayes: sliced distance / floor", at_most=3),
    _recorded("paper-sliced_bayes", "Bayes: sliced distance / floor, large run", at_most=1.25),
    _rough("oddness", "head is odd: f(-X) + f(X)", at_most=1e-4),
    _rough("sliced_plain", "head from noise: sliced distance / floor", at_least=10),
    _recorded("paper-sliced_plain", "head from noise: the same, large run", at_least=50),
    _rough("spread_error", "head from noise: spread against the cloud", at_most=0.05),
    _recorded("paper-spread_error", "head from noise: its spread, large run", at_most=0.02),
    Bound("latest_offset", "finishing: predicted offset, latest early handover", at_least=5),
    _rough("offset_error", "finishing: offset against theory", at_most=0.15),
    _recorded("paper-offset_error", "finishing: the same, large run", at_most=0.05),
    _rough("latest_frequency", "finishing: error of the frequencies", at_most=0.06),
    _rough("within_active", "finishing: data points within K patterns", at_least=0.9),
    Bound("mean_ratio", "W = 0, variance of the mean: recursion / closed form", 0.999, 1.001),
]
