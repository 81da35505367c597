"""The study of training sets of chapter 12: what is trained on what, and measured where."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
import torch

from gmmtf import Estimate, bayes_risk, linear_risk
from gmmtf.benchmark import ENTRIES
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE
from gmmtf.laws.law import fingerprint
from gmmtf.laws.training_set import TrainingSet
from gmmtf_book.c12_benchmark import PLANS, Plan, training_sets
from gmmtf_book.c12_benchmark.training_sets import FRESH, IDEAL

SMALL = Plan(
    set_entries=(IDEAL, "MLP"), set_sizes=(10, 1000, FRESH), set_ideal=10, set_seeds=(0, 1),
    set_dim=8, set_tokens=4, set_steps=2, set_tokens_per_step=16, set_measured=16,
)  # fmt: skip


def test_a_plan_records_what_its_points_depend_on():
    for plan in PLANS.values():
        assert not plan.settings().keys() & {"set_entries", "set_sizes", "set_ideal", "set_seeds"}
    names = {f"set_{each}" for each in ("dim", "tokens", "steps", "tokens_per_step", "measured")}
    assert set(SMALL.settings()) == names
    assert PLANS["live"].settings() == PLANS["paper"].settings()  # live points are of one kind
    assert PLANS["paper"].set_seeds == (0, 1, 2)
    assert PLANS["paper"].set_sizes == (*(10**k for k in range(1, 7)), FRESH)
    assert set(PLANS["paper"].set_entries) <= set(ENTRIES)
    assert Plan(set_sizes=[3, 4]).set_sizes == (3, 4)


def test_a_study_computes_each_point_once(tmp_path, monkeypatch):
    asked = []

    def one(plan, entry, size, seed):
        asked.append((entry, size, seed))
        return {"excess": Estimate(0.1, 0.01)}

    monkeypatch.setattr(training_sets, "one", one)
    path = tmp_path / "sets.json"
    record = training_sets.run(SMALL, path)
    expected = {(entry, size, seed) for entry, size, seed in product(*(
        SMALL.set_entries, SMALL.set_sizes, SMALL.set_seeds
    )) if entry != IDEAL or size == 10}  # fmt: skip
    assert sorted(asked) == sorted(expected)
    assert {tuple(p.labels[k] for k in ("entry", "size", "seed")) for p in record} == expected
    assert record.settings == SMALL.settings()
    assert record.points[0].provenance["code"].startswith(training_sets.__name__)
    again = training_sets.run(SMALL, path)
    assert len(asked) == len(expected)
    assert len(again.points) == len(expected)


def test_the_ideal_knows_its_set_and_nothing_else():
    found = training_sets.one(SMALL, IDEAL, 10, 0)
    law = training_sets.law(SMALL)
    assert (law.n_patterns, law.k, law.dim, law.n_tokens) == (8, 2, 8, 4)
    times = list(LEVELS)
    gap = linear_risk(law, SCHEDULE, t=times) - bayes_risk(law, SCHEDULE, t=times, n_points=512)
    assert found["linear"].errors_from(gap) < 4.5
    assert found["seen"].value < -4 * found["seen"].standard_error
    assert found["excess"].value > 10 * found["linear"].value
    assert found == training_sets.one(SMALL, IDEAL, 10, 0)
    assert found != training_sets.one(SMALL, IDEAL, 10, 1)


def test_entries_are_trained_on_the_set_and_measured_on_both(monkeypatch):
    calls = []

    def trained(made, task, seed, *, steps, data):
        calls.append((made, task, seed, steps, data))
        return lambda x_t, t: torch.zeros_like(x_t)

    monkeypatch.setattr(training_sets, "trained", trained)
    for size in (10, 1000, FRESH):
        found = training_sets.one(SMALL, "MLP", size, 3)
        made, task, seed, steps, data = calls[-1]
        assert (made, seed, steps) == (ENTRIES["MLP"], 3, SMALL.set_steps)
        law = training_sets.law(SMALL)
        assert (fingerprint(task.law), task.batch_size) == (fingerprint(law), 4)
        # What returns zero errs by the noise, on whatever data.
        bayes = bayes_risk(law, SCHEDULE, t=list(LEVELS), n_points=512)
        assert found["excess"].errors_from(1 - bayes) < 4.5
        if size == FRESH:
            assert fingerprint(data) == fingerprint(law)
            assert found["seen"].errors_from(found["excess"]) < 4.5
        else:
            assert isinstance(data, TrainingSet)
            assert (data.size, fingerprint(data.law)) == (size, fingerprint(law))
    small, large = (call[-1] for call in calls[:2])
    assert small.seed == large.seed
    training_sets.one(SMALL, "MLP", 10, 4)
    assert calls[-1][-1].seed != small.seed


def test_a_network_is_trained_on_a_set():
    found = training_sets.one(SMALL, "head", 10, 0)
    assert all(math.isfinite(each.value) for each in found.values())


RECORDED = Path(training_sets.RESULTS) / "12_benchmark.json"


def test_the_recorded_study_computes_nothing(monkeypatch):
    monkeypatch.setattr(training_sets, "one", lambda *_: pytest.fail("computes"))
    before = RECORDED.read_bytes()
    plan = PLANS["paper"]
    record = training_sets.run(plan, RECORDED)
    runs = len(plan.set_sizes) * len(plan.set_entries) * len(plan.set_seeds)
    assert len(record.points) == runs - 2 * len(plan.set_seeds)  # 10^6 and fresh for the ideal
    assert RECORDED.read_bytes() == before
