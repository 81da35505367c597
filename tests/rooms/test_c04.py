"""The study of gradient descent: its parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.risks import formulas
from gmmtf.risks.first_step import exact_descent_direction, natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf_book import RESULTS
from gmmtf_book.c04_training import BOUNDS, full_weight, landscape, runs, summary
from gmmtf_book.c04_training.plan import Plan, spread_steps
from gmmtf_book.c04_training.summary import Study

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=12, n_tokens=24, radius=6.0, sigma=0.3)
CPU = torch.device("cpu")


def test_steps_are_spread_from_the_first_to_the_last():
    steps = spread_steps(100, 10)
    assert steps[:2] == [0, 1]
    assert steps[-1] == 100
    assert steps == sorted(set(steps))
    assert spread_steps(1, 5) == [0, 1]


@pytest.mark.parametrize(("arguments", "name"), [((0, 3), "last"), ((3, 0), "n")])
def test_no_steps_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"{name}: expected an integer of at least 1, got 0"):
        spread_steps(*arguments)


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
    batches = Plan(first_steps=2, first_batch_size=8).batches(4)
    assert [batches(step) for step in range(4)] == [8, 8, 4, 4]

    def end(**first: int) -> torch.Tensor:
        sizes = Plan(**first).batches(4)
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


def test_the_recorded_run_is_at_paper_scale():
    record, plan = paper().record, paper().plan
    assert record.settings["dim"] >= 256
    assert min(record.settings["n_tokens"], record.settings["rare_n_tokens"]) >= 512
    assert min(record.settings["rare_weights"]) == 0.01
    stored = json.loads(json.dumps(plan.settings()))
    assert record.settings == stored
    for labels in (
        {"kind": "simulated", "law": "equal"},
        {"kind": "simulated", "law": "unequal"},
        {"kind": "rates"},
    ):
        assert [p.labels["seed"] for p in record.select(**labels)] == [0, 1, 2]


def test_the_recorded_descent_follows_a_prediction_made_anew():
    """F2A: below 3 % of the start, and within 5 % of the predicted curve from end to end."""
    plan, mean = paper().plan, paper().curve("simulated")
    rate = plan.relative_step_size * natural_step_size(plan.mixture)
    predicted = runs.curve(
        plan.mixture, mean.steps, lr=rate, n_points=1024, seed=plan.seed + 17
    )  # fmt: skip
    assert mean.steps[0] == 0
    assert mean.steps[-1] == plan.steps
    assert summary.deviation(mean, predicted) < 0.05
    assert summary.deviation(paper().curve("predicted"), predicted) < 0.02
    assert summary.kept(mean.excess) < 0.03
    assert mean.excess[-1].standard_error < 0.02 * mean.excess[-1].value


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
    assert run["kept"] < 0.03
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
    seeds = [p["value"]["excess"] for p in stored if p["labels"].get("law") == "equal"
             and p["labels"]["kind"] == "simulated"]  # fmt: skip
    ends, starts = (sum(run[at]["value"] for run in seeds) for at in (-1, 0))
    numbers = summary.recorded()
    assert len(seeds) == 3
    assert numbers["kept"] == pytest.approx(ends / starts)
    bent = next(p["value"] for p in stored
                if p["labels"] == {"kind": "curvature", "place": "zero"})  # fmt: skip
    assert numbers["smallest_at_zero"] == pytest.approx(bent["smallest"] / bent["largest"])
    for bound in BOUNDS:
        assert bound.run == "live" or bound.holds(numbers[bound.number])


def test_the_recorded_run_computes_nothing(tmp_path, monkeypatch):
    def fail(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("computed")

    for name in ("curve", "growth_rates", "best_weight", "outside_family", "risk"):
        monkeypatch.setattr(runs, name, fail)
    monkeypatch.setattr(landscape, "curvature", fail)
    plan = paper().plan
    monkeypatch.setattr(
        landscape,
        "excess_risk",
        lambda law, *a, **o: fail() if law.n_tokens == plan.n_tokens else Estimate(0.0),
    )
    copy = tmp_path / "record.json"
    copy.write_bytes((RESULTS / "04_training.json").read_bytes())
    run = runs.Run(plan, copy, CPU)
    run.compare()
    run.grow()
    run.exact_line()
    run.from_starts()
    assert copy.read_bytes() == (RESULTS / "04_training.json").read_bytes()
