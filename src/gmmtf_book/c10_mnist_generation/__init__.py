"""Chapter 10: generating MNIST digits (F3, F5)."""

from gmmtf_book.c10_mnist_generation import (
    cost_tables,
    equal_cost,
    exposure,
    figures,
    measure,
    run,
    summary,
    tables,
)
from gmmtf_book.c10_mnist_generation.checks import BOUNDS, bounds_of
from gmmtf_book.c10_mnist_generation.plan import PLANS, Condition, Plan

__all__ = ["BOUNDS", "PLANS", "Condition", "Plan", "bounds_of"]
__all__ += [
    "cost_tables",
    "equal_cost",
    "exposure",
    "figures",
    "measure",
    "run",
    "summary",
    "tables",
]
