"""The optimal denoisers: brute force, risks, and the exact reverse process."""

from gmmtf_book.c03_mmse_denoiser import brute_force, figures, reverse, run, summary
from gmmtf_book.c03_mmse_denoiser.checks import BOUNDS

__all__ = ["BOUNDS", "brute_force", "figures", "reverse", "run", "summary"]
