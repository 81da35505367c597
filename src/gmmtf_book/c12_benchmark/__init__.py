"""Chapter 12: the benchmark, and what each architecture finds of the optimum."""
