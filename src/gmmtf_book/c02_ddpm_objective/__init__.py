"""The forward process and the objective: simulations beside what is proved about them."""

from gmmtf_book.c02_ddpm_objective import figures, summary
from gmmtf_book.c02_ddpm_objective.checks import BOUNDS
from gmmtf_book.c02_ddpm_objective.run import (
    best_multiple,
    decomposition,
    errors_over_times,
    gradient,
    readable_snr,
    score_identity,
    walk_to_the_optimum,
    wrong_labels,
)

__all__ = [
    "BOUNDS",
    "best_multiple",
    "decomposition",
    "errors_over_times",
    "figures",
    "gradient",
    "readable_snr",
    "score_identity",
    "summary",
    "walk_to_the_optimum",
    "wrong_labels",
]
