"""The forward process and the objective: simulations beside what is proved about them."""

from gmmtf_book.c02_ddpm_objective import figures, run, summary
from gmmtf_book.c02_ddpm_objective.checks import BOUNDS

__all__ = ["BOUNDS", "figures", "run", "summary"]
