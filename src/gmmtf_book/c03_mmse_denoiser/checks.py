"""What must hold for the statements of the chapter."""

from gmmtf.check import Bound

BOUNDS = [
    Bound("enumeration", "Bayes against enumeration: difference", at_most=1e-10, shown=False),
    Bound("quadrature", "Bayes against quadrature: difference", at_most=1e-8, shown=False),
    Bound("risk-deviation", "measured losses: worst deviation / s.e.", at_most=4.5, shown=False),
    Bound("oracle", "oracle risk, schedule mean", 0, 1),
    Bound("gap", "Bayes minus oracle risk, schedule mean", 1e-3, 0.1),
    Bound("linear-price", "linear filter: price of the labels over Bayes' price", at_least=2),
    Bound("linear-share", "linear filter: that price over its bound", 0.25, 1),
    Bound("collapse", "label probability: distance from A(margin)", at_most=0.02),
    Bound("height-ratio", "worst gap: ratio at fourfold radius", 0.9, 1.1),
    Bound("recovered", "active set: share recovered", at_least=0.5, shown=False),
    Bound("frequency-deviation", "reverse: worst frequency / s.e.", at_most=4.5),
    Bound("mean-deviation", "reverse: worst mean / s.e.", at_most=4.5),
    Bound("variance-deviation", "reverse: variance against recursion / s.e.", at_most=4.5),
    Bound("within", "reverse: data points within K patterns", at_least=0.95),
]
