"""Chapter 13: the landscape of the objective, and convergence to the Bayes risk (C3)."""

from gmmtf_book.c13_landscape import family, figures, quoted, summary
from gmmtf_book.c13_landscape.checks import BOUNDS, bounds_of
from gmmtf_book.c13_landscape.plan import PLANS, SCHEDULE
from gmmtf_book.c13_landscape.runs import Run
from gmmtf_book.c13_landscape.summary import Study

__all__ = [
    "BOUNDS", "PLANS", "SCHEDULE", "Run", "Study", "bounds_of", "family",
    "figures", "quoted", "summary",
]  # fmt: skip
