"""Chapter 11: sampling whole data points (C3, C5)."""

from gmmtf_book.c11_sampling import figures, laws, price, runs, summary
from gmmtf_book.c11_sampling.checks import BOUNDS
from gmmtf_book.c11_sampling.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c11_sampling.runs import generate, run
from gmmtf_book.c11_sampling.summary import Study
