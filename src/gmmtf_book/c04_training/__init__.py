"""Chapter 4: training the one-layer head (C2, C3, C5, F1, F2A, F4)."""

from gmmtf_book.c04_training import summary
from gmmtf_book.c04_training.checks import BOUNDS
from gmmtf_book.c04_training.record import Points, paper

__all__ = ["BOUNDS", "Points", "paper", "summary"]
