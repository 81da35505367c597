"""The numbers of chapter 4 that are checked and quoted as claims."""

from __future__ import annotations

from gmmtf_book.c04_training.descent import descent_summary
from gmmtf_book.c04_training.growth import growth_summary
from gmmtf_book.c04_training.landscape import landscape_summary
from gmmtf_book.c04_training.record import paper

EASY = ("negative", "different", "permuted", "random 5")
"""Starts from which the descent reaches the level of the one from zero."""


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run, by name."""
    points = paper()
    values = points.values
    run, hills = descent_summary(values), landscape_summary(values)
    pairs = growth_summary(values, points.settings["rare_weights"])
    return {
        **run,
        **pairs,
        "rates_over_predicted": pairs["ratio"] / pairs["ratio_predicted"],
        "rates_error": pairs["ratio_error"] / pairs["ratio"],
        **hills,
        "worst_end": max(hills[f"end {name}"] for name in EASY),
    }
