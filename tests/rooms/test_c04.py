"""The study of gradient descent: its parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import weights
from gmmtf.risks import formulas
from gmmtf.risks.first_step import exact_descent_direction, natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import risk, squared_error
from gmmtf_book import RESULTS
from gmmtf_book.c04_training import BOUNDS, full_weight, runs, summary
from gmmtf_book.c04_training.plan import Plan
from gmmtf_book.c04_training.summary import Study

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=12, n_tokens=24, radius=6.0, sigma=0.3)
CPU = torch.device("cpu")


def test_simulated_and_predicted_curves_start_at_the_closed_form_and_agree():
    rate, at = natural_step_size(SMALL), [0, 2, 8]
    simulated = runs.curve(
        SMALL, at, method="simulation", lr=rate, seed=1, batch_size=32, eval_samples=512
    )
    predicted = runs.curve(SMALL, at, lr=rate, n_points=1024)
    gap = oracle_risk(SMALL, SCHEDULE) - float(bayes_risk(SMALL, SCHEDULE))
    start = formulas.start_risk(SMALL, SCHEDULE) + gap
    for curve in (simulated, predicted):
        assert curve.steps == at
        found = curve.excess[0]
        assert abs(found.value - start) < 4 * found.standard_error + 0.005 * start
        assert torch.equal(curve.products[0], torch.zeros(3, 3, dtype=torch.float64))
    assert summary.deviation(simulated, predicted) < 0.15
    expected = predicted.products[-1]
    assert (simulated.products[-1] - expected).abs().max() < 0.15 * expected.max()


def test_the_first_steps_may_have_batches_of_their_own_size():
    plan = Plan(first_steps=2, first_batch_size=8)
    for law, first in ((SMALL, 8), (replace(SMALL, n_active=1), 24)):  # as many of each pattern
        batches = plan.batches(4, law)
        assert [batches(step) for step in range(4)] == [first, first, 4, 4]

    def end(**first: int) -> torch.Tensor:
        sizes = Plan(**first).batches(4, SMALL)
        path = runs.curve(SMALL, [0, 1], method="simulation", lr=1e-3, batch_size=sizes,
                          eval_samples=2)  # fmt: skip
        return path.products[-1]

    assert torch.equal(end(first_steps=1, first_batch_size=4), end(first_steps=0))
    assert not torch.equal(end(first_steps=1, first_batch_size=8), end(first_steps=0))


def test_a_walk_outside_the_family_is_told_from_a_drift():
    generator = torch.Generator().manual_seed(0)
    inside = ReducedWeight(torch.eye(3), torch.tensor(0.5)).to_full(SMALL)
    steps = torch.randn(200, 12, 12, generator=generator, dtype=torch.float64) / 100
    weights = [inside * 0, *(inside + part for part in steps.cumsum(0))]
    norms, walk = full_weight.outside_family(weights, SMALL)
    assert norms[0] == walk[0] == 0
    assert 0.8 < norms[-1] / walk[-1] < 1.2
    direction = torch.zeros(12, 12, dtype=torch.float64)
    direction[0, 7] = 0.1
    drift, unaware = full_weight.outside_family([k * direction for k in range(101)], SMALL)
    assert drift[-1] == pytest.approx(10 * unaware[-1])
    assert full_weight.outside_family([inside], SMALL)[0][0] == pytest.approx(0, abs=1e-12)


def test_measured_growth_rates_are_those_of_the_closed_form():
    law = MultiTokenGMM(
        n_patterns=3, dim=12, n_tokens=32, radius=6.0, sigma=0.3, weights=[0.1, 0.3, 0.6]
    )
    found = full_weight.growth_rates(law, n_batches=24, batch_size=32, seed=0)
    rate = torch.tensor([[e.value for e in row] for row in found])
    error = torch.tensor([[e.standard_error for e in row] for row in found])
    expected = exact_descent_direction(law, SCHEDULE).products(law).float()
    assert ((rate - expected).abs() < 4.5 * error).all()
    assert (error < 0.2 * expected.abs().max()).all()
    ratio = found[2][2] / found[0][0]
    assert ratio.errors_from(float(expected[2, 2] / expected[0, 0])) < 4
    with pytest.raises(ValueError, match="n_batches: expected an integer of at least 2, got 1"):
        full_weight.growth_rates(law, n_batches=1, batch_size=2, seed=0)


@cache
def paper() -> Study:
    return Study.recorded()


def test_the_laws_have_names():
    plan = Plan(n_patterns=6, n_active=2, every_patterns=5)
    few, every, unequal = (plan.laws[name] for name in ("few", "every", "unequal"))
    assert (few.n_patterns, few.k) == (6, 2)
    assert (every.n_patterns, every.k) == (5, 5)
    assert (unequal.n_patterns, unequal.k, unequal.n_tokens) == (4, 4, plan.rare_n_tokens)
    assert unequal.probabilities.tolist() == pytest.approx(list(plan.rare_weights))
    assert every.probabilities.tolist() == pytest.approx([0.2] * 5)
    assert few.n_tokens == every.n_tokens == plan.n_tokens
    for law in (few, every):
        assert plan.step_size(law) == plan.relative_step_size * natural_step_size(law)


def test_the_recorded_run_is_large():
    record, plan = paper().record, paper().plan
    assert record.settings["dim"] >= 256
    assert record.settings["n_patterns"] >= 32
    assert 1 < record.settings["n_active"] <= 4
    assert min(record.settings["n_tokens"], record.settings["rare_n_tokens"]) >= 512
    assert min(record.settings["rare_weights"]) == 0.01
    stored = json.loads(json.dumps(plan.settings()))
    assert record.settings == stored
    for labels in (
        *({"kind": "simulated", "law": law} for law in plan.laws),
        {"kind": "rates"},
    ):
        assert [p.labels["seed"] for p in record.select(**labels)] == [0, 1, 2]
    for name, law in plan.laws.items():
        assert paper().curve("predicted", name).products.shape[1:] == (law.n_patterns,) * 2


def predicted_alike(law: MultiTokenGMM, lr: float, at: list[int], seed: int) -> list[float]:
    """Excess at steps of the predicted descent on weights that treat all patterns alike.

    Among these gradient descent stays, and a net of few queries has far less error than on others.
    """
    queries = draw_queries(law, SCHEDULE, n_points=512, seed=seed)
    eye = torch.eye(law.n_patterns, dtype=torch.float64)

    def alike(weight: ReducedWeight) -> ReducedWeight:
        same = weight.pattern.diagonal().mean()
        other = (weight.pattern * (1 - eye)).sum() / (1 - eye).sum()
        return ReducedWeight(same * eye + other * (1 - eye), weight.complement)

    def loss(weight: ReducedWeight) -> torch.Tensor:
        return (queries.factor * squared_error(alike(weight), queries)).mean()

    path = weights(ReducedWeight.zero(law), loss, at[-1], lr=lr)
    return [
        risk(weight, law, SCHEDULE, n_points=256, seed=seed + 1).excess.value
        for step, weight in path
        if step in at
    ]


@pytest.mark.parametrize("law", ["few", "every"])
def test_the_recorded_descent_follows_a_prediction_made_anew(law):
    """F2A: within 5 % of the predicted curve from end to end, to a few percent of the start."""
    plan, mean = paper().plan, paper().curve("simulated", law)
    mixture = plan.laws[law]
    anew = predicted_alike(mixture, plan.step_size(mixture), mean.steps, plan.seed + 17)
    assert mean.steps[0] == 0
    assert mean.steps[-1] == plan.steps
    for curve, most in ((mean, 0.05), (paper().curve("predicted", law), 0.02)):
        pairs = zip(curve.excess, anew, strict=True)
        assert max(found.relative_to(expected) for found, expected in pairs) < most
    assert summary.kept(mean.excess) < {"few": 0.05, "every": 0.03}[law]
    assert mean.excess[-1].standard_error < 0.02 * mean.excess[-1].value


def test_the_recorded_bayes_risk_is_hardly_above_that_with_the_active_set_given():
    """Many tokens reveal their active set, and nothing can be better than to know it."""
    plan = paper().plan
    given = bayes_risk(replace(plan.mixture, n_patterns=plan.n_active, n_active=None), SCHEDULE)
    recorded = paper().record.value(kind="bayes")
    gap = recorded.value - given.value
    spread = math.hypot(recorded.standard_error, given.standard_error)
    room = given.value - oracle_risk(plan.mixture, SCHEDULE)
    assert -4 * spread < gap < 0.1 * room
    assert spread < 0.1 * room


def test_the_recorded_products_follow_a_prediction_made_anew():
    """F4: the growth rates at the start, and the curves of the products."""
    plan = paper().plan
    law = plan.unequal
    assert law.probabilities.tolist() == list(plan.rare_weights)
    expected = exact_descent_direction(law, SCHEDULE).products(law)
    stored = torch.tensor(paper().record.value(kind="predicted rates"), dtype=torch.float64)
    torch.testing.assert_close(stored, expected, rtol=1e-5, atol=0)
    ratio, _ = paper().growth_ratio()
    assert ratio.relative_to(float(expected[3, 3] / expected[0, 0])) < 0.1
    assert ratio.standard_error < 0.05 * ratio.value
    rate = plan.rare_relative_step_size * natural_step_size(law)
    mean = paper().curve("simulated", "unequal")
    predicted = runs.curve(law, mean.steps, lr=rate)
    assert (mean.products - predicted.products).abs().max() < 0.15


def test_the_summaries_say_what_the_chapter_claims():
    run = paper().descent_numbers()
    assert run["over_linear"] < 0.5
    assert run["every_over_linear"] > 1
    assert run["kept"] < 0.05
    assert run["kept_score"] < 0.03
    assert run["deviation"] < 0.05
    assert run["deviation"] <= run["deviation_one_seed"]
    ratio, expected = paper().growth_ratio()
    assert ratio.relative_to(expected) < 0.1
    pairs = paper().product_numbers()
    assert pairs["rarest_same_end"] > 2
    assert pairs["commonest_same_end"] > 2
    assert pairs["commonest_different_highest"] <= 0
    assert pairs["rarest_different_end"] < 0.05 < pairs["rarest_different_highest"]
    assert 0.5 < paper().outside_over_walk() < 1.2


def test_the_recorded_numbers_are_those_of_the_file():
    stored = json.loads((RESULTS / "04_training.json").read_text(encoding="utf-8"))["points"]
    seeds = [p["value"]["excess"] for p in stored if p["labels"].get("law") == "few"
             and p["labels"]["kind"] == "simulated"]  # fmt: skip
    ends, starts = (sum(run[at]["value"] for run in seeds) for at in (-1, 0))
    numbers = summary.recorded()
    assert len(seeds) == 3
    assert numbers["kept"] == pytest.approx(ends / starts)
    for bound in BOUNDS:
        assert bound.run == "live" or bound.holds(numbers[bound.number])


def test_the_recorded_run_computes_nothing(tmp_path, monkeypatch):
    def fail(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("computed")

    for name in ("curve", "growth_rates", "best_weight", "outside_family", "risk", "bayes_risk"):
        monkeypatch.setattr(runs, name, fail)
    plan = paper().plan
    copy = tmp_path / "record.json"
    copy.write_bytes((RESULTS / "04_training.json").read_bytes())
    run = runs.Run(plan, copy, CPU)
    assert float(run.bayes) == paper().bayes()
    run.compare()
    run.compare_every()
    run.grow()
    assert copy.read_bytes() == (RESULTS / "04_training.json").read_bytes()
