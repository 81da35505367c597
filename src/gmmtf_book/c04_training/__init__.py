"""Chapter 4: training the one-layer head (C2, C3, C5, F1, F2A, F4)."""

from gmmtf_book.c04_training import (
    descent,
    figures,
    landscape,
    landscape_figures,
    quoted,
    summary,
)
from gmmtf_book.c04_training.checks import BOUNDS
from gmmtf_book.c04_training.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c04_training.record import Points, paper
from gmmtf_book.c04_training.runs import STRENGTHS, Run

__all__ = [
    "BOUNDS",
    "PLANS",
    "SCHEDULE",
    "STRENGTHS",
    "Plan",
    "Points",
    "Run",
    "descent",
    "figures",
    "landscape",
    "landscape_figures",
    "paper",
    "quoted",
    "summary",
]
