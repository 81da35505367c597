"""Chapter 5: tokens and patterns (F2B, F2C, C4)."""

from gmmtf_book.c05_tokens_and_patterns import (
    figures,
    filter_figure,
    filter_numbers,
    phases,
    quoted,
    rare_numbers,
    sweeps,
)
from gmmtf_book.c05_tokens_and_patterns.checks import BOUNDS, bounds_of, live
from gmmtf_book.c05_tokens_and_patterns.limits import in_the_limit
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, SCHEDULE, Case, Plan
from gmmtf_book.c05_tokens_and_patterns.runs import run
from gmmtf_book.c05_tokens_and_patterns.summary import Study, both, recorded
from gmmtf_book.c05_tokens_and_patterns.tables import family_table, sweep_table
