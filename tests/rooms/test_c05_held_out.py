"""What chapter 5 measures, it measures on data that it did not train on."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

from gmmtf import Estimate, ReducedWeight, descend
from gmmtf_book.c05_tokens_and_patterns import learned, one_pattern, phases, runs
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, Case

PAPER = PLANS["paper"]


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
    runs.simulate(PAPER, Case(4, 16), 3, "cpu")
    assert seeds["training"] == 3
    assert seeds["held out"] != 3


def test_rare_data_points_are_held_out_too(monkeypatch):
    """Of the training, of the excess of all tokens, and of that of the rare pattern's."""
    seeds = []

    def path(mixture, steps, *, seed, **options):
        seeds.append(seed)
        return [(step, ReducedWeight.zero(mixture)) for step in range(steps + 1)]

    def excess(several, mixture, n_samples, generator, *, pattern=None):
        seeds.append(generator.initial_seed())
        return [Estimate(2.0 / (1 + k)) for k in range(len(several))]

    monkeypatch.setattr(one_pattern, "descend", path)
    for module in (runs, one_pattern):
        monkeypatch.setattr(module, "simulated_excess", excess)
    runs.simulate(PAPER, Case(4, 16, 2, inclusion=0.1), 3, "cpu")
    assert seeds[0] == 3
    assert len(set(seeds)) == len(seeds) == 3
    seeds.clear()
    learned.simulate(PAPER, Case(4, 16, 2, inclusion=0.1), 10.0, 3, "cpu")
    assert seeds[0] == 3
    assert len(set(seeds)) == len(seeds) == 2


def test_a_phase_diagram_is_checked_on_what_its_descent_did_not_see(monkeypatch):
    """The net of the descent is not that of the expected excess, and data are drawn apart."""
    training, expected, drawn = [], [], []
    default = inspect.signature(descend).parameters["seed"].default

    def path(mixture, *args, seed=default, **options):
        training.append(seed)
        return [SimpleNamespace(weight=ReducedWeight.zero(mixture))]

    def by_net(*args, seed=0, **options):
        expected.append(seed)
        return SimpleNamespace(excess_risk=Estimate(1.0))

    def by_data(*args, generator, **options):
        drawn.append(generator.initial_seed())
        return SimpleNamespace(excess_risk=Estimate(1.0))

    def of_rare(several, mixture, n_samples, generator, *, pattern):
        drawn.append(generator.initial_seed())
        return [Estimate(1.0)]

    monkeypatch.setattr(phases, "descend", path)
    monkeypatch.setattr(phases, "draw_queries", by_net)
    monkeypatch.setattr(phases, "risk", by_net)
    monkeypatch.setattr(phases, "pattern_excess", lambda *_: 1.0)
    monkeypatch.setattr(runs, "risk", by_data)
    monkeypatch.setattr(runs, "simulated_excess", of_rare)
    runs.check_phase(PAPER, Case(4, 16, None, 0.1), "cpu")
    assert len(training) == 1
    assert len(expected) == 4  # of all tokens and of the rare pattern's, at the start and the end
    assert not set(training) & set(expected)
    assert drawn[0] not in PAPER.seeds  # with which runs are trained
    assert drawn[0] != drawn[1]
