"""The error of the rare pattern is measured on data that the run did not train on."""

from __future__ import annotations

from types import SimpleNamespace

from gmmtf import Estimate, ReducedWeight
from gmmtf_book.c05_tokens_and_patterns import runs
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, Case


def test_held_out_data_are_not_the_training_data(monkeypatch):
    seeds = {}

    def descend(mixture, *args, seed, **options):
        seeds["training"] = seed
        return [SimpleNamespace(weight=ReducedWeight.zero(mixture), excess_risk=Estimate(1.0))]

    def excess(several, mixture, n_samples, generator, *, pattern):
        seeds["held out"] = generator.initial_seed()
        return [Estimate(1.0)]

    monkeypatch.setattr(runs, "descend", descend)
    monkeypatch.setattr(runs, "simulated_excess", excess)
    runs.simulate(PLANS["paper"], Case(4, 16), 3, "cpu")
    assert seeds["training"] == 3
    assert seeds["held out"] != 3
