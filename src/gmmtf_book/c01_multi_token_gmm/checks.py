"""What must hold for the statements of the chapter."""

from gmmtf.check import Bound

BOUNDS = [
    Bound("distinct-deviation", "distinct patterns: worst deviation / s.e.", at_most=4.5),
    Bound("worst-variance", "random directions: |d * variance - 1|", at_most=0.06),
    Bound("coherence-ratio", "random directions: coherence / bound", at_most=1),
    Bound("nearest-error", "labels at r / sigma = 4: exact error", at_most=0.03),
    Bound("error-deviation", "labels: worst deviation / s.e.", at_most=4.5, shown=False),
    Bound("gram-deviation", "rotation: inner products unchanged", at_most=1e-12, shown=False),
    Bound("covariance-deviation", "rotation: worst covariance / s.e.", at_most=6),
]
