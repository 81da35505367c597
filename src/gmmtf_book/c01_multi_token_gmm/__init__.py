"""The data law: draws of the mixture against its closed forms."""

from gmmtf_book.c01_multi_token_gmm import figures, summary
from gmmtf_book.c01_multi_token_gmm.checks import BOUNDS
from gmmtf_book.c01_multi_token_gmm.run import (
    coherence,
    distinct_patterns,
    label_errors,
    largest_product,
    pairs_of_directions,
)

__all__ = [
    "BOUNDS",
    "coherence",
    "distinct_patterns",
    "figures",
    "label_errors",
    "largest_product",
    "pairs_of_directions",
    "summary",
]
