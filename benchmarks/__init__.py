"""Benchmarks: ``python -m benchmarks`` prints a table and writes ``_build/bench.json``."""
