"""The numbers of chapter 4 that follow from the points of a run, from made-up points."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, bayes_risk, linear_risk
from gmmtf.curve import Curve
from gmmtf.record import Recording
from gmmtf_book.c04_training import PLANS, SCHEDULE, Study, summary
from gmmtf_book.c04_training.plan import Plan
from rooms.curves import made_curve


def made_study(plan: Plan = PLANS["smoke"], **curves: Curve | list[Curve]) -> Study:
    """A study with descents of the law of few patterns, by kind; several for several seeds.

    It has a Bayes risk, and a simulated descent of the law of every pattern.
    """
    record = Recording(None, plan.settings())
    for kind, each in curves.items():
        for seed, curve in enumerate(each if isinstance(each, list) else [each]):
            record.add(curve.as_json(), 0.0, kind=kind, law="few", seed=seed)
    record.add(Estimate(0.2, 0.01), 0.0, kind="bayes")
    record.add(made_curve([3.0, 0.25]).as_json(), 0.0, kind="simulated", law="every", seed=0)
    return Study(record, plan)


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
        "over_linear": pytest.approx(0.75 / (linear_risk(study.plan.mixture, SCHEDULE) - 0.2)),
        "every_over_linear": pytest.approx(0.25 / left_by_the_filter(study.plan.every)),
    }


def left_by_the_filter(law: MultiTokenGMM) -> float:
    """Excess of the best linear filter where every pattern is active."""
    return linear_risk(law, SCHEDULE) - bayes_risk(law, SCHEDULE).value


def test_the_end_over_the_linear_filter_is_of_the_law_and_kind_that_are_named():
    study = made_study(full=made_curve([4.0, 1.5]), simulated=made_curve([4.0, 1.0]))
    few, every = (
        linear_risk(study.plan.mixture, SCHEDULE) - 0.2,
        left_by_the_filter(study.plan.every),
    )
    assert study.over_linear("few") == pytest.approx(1.0 / few)
    assert study.over_linear("few", "full") == pytest.approx(1.5 / few)
    assert study.over_linear("every") == pytest.approx(0.25 / every)
    assert study.bayes() == 0.2


def test_the_deviation_is_the_largest_of_all_steps():
    found, expected = made_curve([4.0, 0.7, 1.1]), made_curve([4.0, 1.0, 1.0])
    assert summary.deviation(found, expected) == pytest.approx(0.3)
    assert summary.deviation(expected, found) == pytest.approx(1 / 0.7 - 1)


@pytest.mark.parametrize("curves", [[], [made_curve([1.0]), made_curve([1.0, 2.0])]])
def test_runs_that_cannot_be_averaged_are_refused(curves):
    with pytest.raises(ValueError, match="curves: expected"):
        made_study(simulated=curves, predicted=made_curve([1.0])).descent_numbers()


def test_numbers_of_products_tell_the_queries_and_the_keys_apart():
    """A product's row is the query; the two laws have no point in common."""
    plan = replace(PLANS["smoke"], rare_weights=(0.6, 0.1, 0.3))
    record = Recording(None, plan.settings())
    products = torch.tensor(
        [[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], [[8, 4, 1], [9, 7, 3], [5, 6, 8]]]
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
        ("few", "simulated", other),
        ("few", "predicted", other),
    ):
        record.add(curve.as_json(), 0.0, kind=kind, law=law)
    assert Study(record, plan).product_numbers() == {
        "products_deviation": 0.5,
        "rarest_same_end": 7.0,
        "rarest_different_end": 9.0,
        "rarest_different_highest": 9.0,
        "commonest_same_end": 8.0,
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


def test_what_is_outside_the_family_is_compared_with_its_walk_at_the_end():
    record = Recording(None, {})
    value = made_curve([2.0, 1.0]).as_json() | {"outside": [0.0, 3.0], "walk": [0.0, 4.0]}
    record.add(value, 0.0, kind="full", law="few")
    assert Study(record, PLANS["smoke"]).outside_over_walk() == 0.75


def test_the_recorded_numbers_of_the_rates_are_over_their_prediction(monkeypatch):
    paper = Study.recorded()
    ratio, expected = paper.growth_ratio()
    numbers = summary.recorded()
    assert numbers["rates_over_predicted"] == pytest.approx(ratio.value / expected)
    assert numbers["rates_error"] == pytest.approx(ratio.standard_error / ratio.value)
