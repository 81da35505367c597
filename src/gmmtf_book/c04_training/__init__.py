"""Chapter 4: training the one-layer head (C2, C3, C5, F1, F2A, F4)."""

from gmmtf_book.c04_training import figures, quoted, summary
from gmmtf_book.c04_training.checks import BOUNDS, bounds_of
from gmmtf_book.c04_training.plan import PLANS, SCHEDULE
from gmmtf_book.c04_training.runs import Run
from gmmtf_book.c04_training.summary import Study

__all__ = [
    "BOUNDS",
    "PLANS",
    "SCHEDULE",
    "Run",
    "Study",
    "bounds_of",
    "figures",
    "quoted",
    "summary",
]
