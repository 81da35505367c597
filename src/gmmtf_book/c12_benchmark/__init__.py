"""Chapter 12: the benchmark, and what each architecture finds of the optimum."""

from gmmtf_book.c12_benchmark import figures, results, summary, training_sets
from gmmtf_book.c12_benchmark.checks import BOUNDS
from gmmtf_book.c12_benchmark.plan import PLANS, Plan
