"""Chapter 7: effective tokens (C3, C4)."""

from gmmtf_book.c07_effective_tokens import clouds, figures, limits, parts, runs, search, summary
from gmmtf_book.c07_effective_tokens.checks import BOUNDS
from gmmtf_book.c07_effective_tokens.plan import PLANS, SCHEDULE, on_patterns
from gmmtf_book.c07_effective_tokens.runs import Study
