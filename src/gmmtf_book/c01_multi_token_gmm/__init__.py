"""The data law: draws of the mixture against its closed forms."""

from gmmtf_book.c01_multi_token_gmm import figures, run, summary
from gmmtf_book.c01_multi_token_gmm.checks import BOUNDS

__all__ = ["BOUNDS", "figures", "run", "summary"]
