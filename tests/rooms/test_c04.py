"""The study of gradient descent: its parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.curve import Curve
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf.risks.first_step import exact_descent_direction, natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf_book import RESULTS
from gmmtf_book.c04_training import BOUNDS, full_weight, landscape, runs, summary
from gmmtf_book.c04_training.plan import PLANS, Plan, spread_steps
from gmmtf_book.c04_training.summary import Study

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=12, n_tokens=24, radius=6.0, sigma=0.3)
CPU = torch.device("cpu")


def made_curve(excess: list[float], error: float = 0.1) -> Curve:
    count = len(excess)
    return Curve(
        steps=list(range(count)),
        excess=[Estimate(value, error) for value in excess],
        score=[Estimate(2 * value * value, error) for value in excess],
        products=torch.tensor([[[value, 0.0], [0.0, value]] for value in excess]),
        complement=torch.zeros(count),
    )


def made_study(plan: Plan = PLANS["smoke"], **curves: Curve | list[Curve]) -> Study:
    """A study with descents of the equal law, by kind; several for several seeds."""
    record = Recording(None, plan.settings())
    for kind, each in curves.items():
        for seed, curve in enumerate(each if isinstance(each, list) else [each]):
            record.add(curve.as_json(), 0.0, kind=kind, law="equal", seed=seed)
    return Study(record, plan)


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


def test_numbers_of_a_descent_are_those_of_the_mean_over_seeds():
    seeds = [made_curve([4.0, 1.0]), made_curve([2.0, 0.5])]
    study = made_study(simulated=seeds, predicted=made_curve([3.0, 0.6]))
    mean = study.curve("simulated")
    assert [each.value for each in mean.excess] == [3.0, 0.75]
    assert mean.excess[0].standard_error == pytest.approx(0.1 / 2**0.5)
    assert study.descent_numbers() == {
        "kept": 0.25,
        "kept_score": pytest.approx((1 + 0.25) / (16 + 4)),
        "deviation": pytest.approx(0.25),
        "deviation_one_seed": pytest.approx(2 / 3),
    }


def test_the_deviation_is_the_largest_of_all_steps():
    found, expected = made_curve([4.0, 0.7, 1.1]), made_curve([4.0, 1.0, 1.0])
    assert summary.deviation(found, expected) == pytest.approx(0.3)


@pytest.mark.parametrize("curves", [[], [made_curve([1.0]), made_curve([1.0, 2.0])]])
def test_runs_that_cannot_be_averaged_are_refused(curves):
    with pytest.raises(ValueError, match="curves: expected"):
        made_study(simulated=curves, predicted=made_curve([1.0])).descent_numbers()


def test_numbers_of_products_tell_the_queries_and_the_keys_apart():
    """A product's row is the query; the two laws have no point in common."""
    plan = replace(PLANS["smoke"], rare_weights=(0.6, 0.1, 0.3))
    record = Recording(None, plan.settings())
    products = torch.tensor(
        [[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], [[2, 4, 1], [9, 7, 3], [5, 6, 8]]]
    )
    made = Curve([0, 1], [Estimate(1.0)] * 2, [Estimate(1.0)] * 2, products, torch.zeros(2))
    other = Curve(made.steps, made.excess, made.score, products * 0, made.complement)
    missed = products.clone()
    missed[1, 1, 0] += 0.5
    missed[1, 0, 2] -= 0.25
    missed[1, 2, 2] += 3  # of a query that is not shown
    predicted = Curve(made.steps, made.excess, made.score, missed, made.complement)
    for law, kind, curve in (
        ("unequal", "simulated", made),
        ("unequal", "predicted", predicted),
        ("equal", "simulated", other),
        ("equal", "predicted", other),
    ):
        record.add(curve.as_json(), 0.0, kind=kind, law=law)
    assert Study(record, plan).product_numbers() == {
        "products_deviation": 0.5,
        "rarest_same_end": 7.0,
        "rarest_different_end": 9.0,
        "rarest_different_highest": 9.0,
        "commonest_same_end": 2.0,
        "commonest_different_end": 4.0,
        "commonest_different_highest": 4.0,
    }


def test_the_ratio_of_growth_rates_is_pooled_over_seeds():
    plan = replace(PLANS["smoke"], rare_weights=(0.2, 0.8))
    record = Recording(None, plan.settings())
    off = Estimate(99.0, 99.0)
    for seed, (slow, fast) in enumerate([(1.0, 11.0), (3.0, 13.0)]):
        rates = [[Estimate(slow, 0.3), off], [off, Estimate(fast, 0.4)]]
        record.add(rates, 0.0, kind="rates", seed=seed)
    record.add([[2.0, 99.0], [99.0, 10.0]], 0.0, kind="predicted rates")
    ratio, expected = Study(record, plan).growth_ratio()
    assert expected == 5
    assert ratio.value == pytest.approx(6)
    # Relative errors of the means over two seeds, added in quadrature.
    relative = ((0.3 / 2**0.5 / 2) ** 2 + (0.4 / 2**0.5 / 12) ** 2) ** 0.5
    assert ratio.standard_error == pytest.approx(6 * relative)


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
