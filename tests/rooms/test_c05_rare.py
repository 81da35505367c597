"""Rare data points: drawn apart without bias, against theory, and the time to learn them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from gmmtf import Estimate, ReducedWeight, descend, risk
from gmmtf.laws import sets
from gmmtf.risks.first_step import exact_descent_direction
from gmmtf.risks.queries import draw_queries
from gmmtf.scaling.steps import pattern_excess
from gmmtf_book.c05_tokens_and_patterns import learned, one_pattern, rare_numbers, runs, summary
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, SCHEDULE, Case
from gmmtf_book.c05_tokens_and_patterns.summary import Study

SMALL = replace(PLANS["live"], n_patterns=6, n_tokens=48)
CASE = Case(6, 48, 3, inclusion=0.05)
LAW = SMALL.mixture(CASE)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def study():
    return Study.recorded()


@pytest.fixture(scope="module")
def numbers():
    return summary.recorded()


@pytest.fixture(scope="module")
def trained() -> ReducedWeight:
    (last,) = descend(LAW, SCHEDULE, 20, n_points=4096, record_at=[20], lr=SMALL.step_size(LAW))
    return last.weight


def test_a_case_with_rare_data_points_is_the_law_that_it_says():
    assert LAW.inclusion == pytest.approx([0.05, *[0.59] * 5])
    assert CASE.labels == {"M": 6, "K": 3, "N": 48, "inclusion": 0.05}
    assert SMALL.rare_data(0.5) == Case(6, 48, 3)
    assert SMALL.rare_data(0.05) == CASE


def test_what_data_points_count_for_adds_up_to_the_law():
    """The mean number of data points that hold a pattern is that of the law, for each pattern."""
    n = 4000
    drawn = list(one_pattern.draw(LAW, n, seeded(0)))
    labels = torch.cat([tokens.labels for tokens, _ in drawn])
    counts = torch.cat([counts for _, counts in drawn])
    active = one_hot(labels, 6).amax(1).double()
    assert len(counts) == 2 * n
    for u, wanted in enumerate(LAW.inclusion):
        found = Estimate.from_samples(2 * counts * active[:, u])
        assert abs(found.value - wanted) < 4 * found.standard_error
        assert found.standard_error < 0.05
    assert float(counts.sum() / n) == pytest.approx(1, abs=0.01)
    # Sets count as the law weighs them among those that hold pattern 0.
    holds = active[n:, 0] > 0
    expected = torch.exp(sets.log_probability(LAW.log_set_weights, active[n:][holds]))
    shares = {
        tuple(s.tolist()): float(counts[n:][holds][(active[n:][holds] == s).all(1)].sum() / n)
        for s in active[n:][holds].unique(dim=0)
    }
    for member, p in zip(active[n:][holds], expected, strict=True):
        assert shares[tuple(member.tolist())] == pytest.approx(float(p), rel=0.4)
    apart = list(one_pattern.draw(LAW, 50, seeded(0), apart=False))
    assert sum(len(counts) for _, counts in apart) == 50


def test_where_all_data_points_are_alike_all_count_for_one():
    law = SMALL.mixture(Case(6, 48, None, 0.1))
    ((tokens, counts),) = one_pattern.draw(law, 5, seeded(0))
    assert tokens.span.shape == (5, 48, 6)
    assert counts.tolist() == [1.0] * 5


def test_tokens_that_do_not_show_the_active_set_are_refused():
    few = SMALL.mixture(Case(6, 4, 3, inclusion=0.05))
    with pytest.raises(ValueError, match="n_tokens"):
        list(one_pattern.draw(few, 50, seeded(0)))


def test_the_first_step_is_that_of_the_law():
    """Against the closed form, in the mean of many batches."""
    rate = exact_descent_direction(LAW, SCHEDULE).products(LAW)
    runs_of_one = []
    for seed in range(40):
        (_, _), (_, weight) = one_pattern.descend(LAW, 1, lr=1.0, batch_size=16, seed=seed)
        runs_of_one.append(weight.products(LAW))
    stacked = torch.stack(runs_of_one)
    for u, v in ((0, 0), (1, 1), (0, 1), (1, 2)):
        found = Estimate.from_samples(stacked[:, u, v])
        assert abs(found.value - float(rate[u, v])) < 4 * found.standard_error
    own = Estimate.from_samples(stacked[:, 0, 0])
    assert own.standard_error < 0.1 * own.value


def test_simulated_excess_of_rare_data_points_is_that_of_the_expansion(trained):
    whole = risk(trained, LAW, SCHEDULE, n_points=4096).excess_given_set.value
    own = pattern_excess(trained, draw_queries(LAW, SCHEDULE, n_points=2**16), 0)
    (all_found,) = one_pattern.simulated_excess([trained], LAW, 1024, seeded(1))
    (own_found,) = one_pattern.simulated_excess([trained], LAW, 1024, seeded(2), pattern=0)
    assert own > 2 * whole
    for found, expected in ((all_found, whole), (own_found, own)):
        assert abs(found.value - expected) < 3 * found.standard_error + 0.02 * expected
        assert found.standard_error < 0.03 * expected


def test_the_error_of_a_ratio_is_none_where_both_parts_go_together(monkeypatch, trained):
    def errors(several, mixture, tokens, pattern):
        share = tokens.span[:, 0, 0].abs()
        return 2 * share[None], share

    monkeypatch.setattr(one_pattern, "_errors", errors)
    (found,) = one_pattern.simulated_excess([trained], LAW, 8, seeded(0))
    assert found.value == pytest.approx(2)
    assert found.standard_error < 1e-12


def test_weights_are_compared_on_the_same_data(trained):
    both = one_pattern.simulated_excess([trained, trained], LAW, 8, seeded(0))
    alone = one_pattern.simulated_excess([trained], LAW, 8, seeded(0))
    assert both == [alone[0], alone[0]]


def test_a_crossing_is_exact_on_a_power_law_and_continues_beyond_the_ends():
    steps = [10, 20, 40]
    shares = [(s / 20) ** -2.0 for s in steps]
    for target in (2.0, 1.0, 0.5, 5.0, 0.1):
        assert learned.crossing(steps, shares, target) == pytest.approx(20 * target**-0.5)


def test_a_crossing_is_the_first_one_and_ends_are_continued_from_their_neighbours():
    assert learned.crossing([10, 20, 40], [2.0, 0.5, 0.4], 1.0) == pytest.approx(10 * 2**0.5)
    # Halved from 10 to 20, then by a fifth at every doubling.
    beyond = learned.crossing([10, 20, 40], [4.0, 2.0, 1.6], 1.28)
    assert beyond == pytest.approx(80)


def test_the_steps_counted_are_those_predicted():
    plan = replace(SMALL, learned=(0.1,), learned_tokens=48, batch_size=24, eval_samples=128)
    case = plan.rare_data(0.1, 48)
    expected = learned.predict(plan, case)
    found = learned.simulate(plan, case, expected["steps"], 0, "cpu")
    assert found == pytest.approx(expected["steps"], rel=0.15)
    rate = float(exact_descent_direction(plan.mixture(case), SCHEDULE).products(LAW)[0, 0])
    assert expected["first"] == pytest.approx(1 / (plan.step_size(plan.mixture(case)) * rate))


def test_products_are_those_of_the_rarest_and_of_a_common_pattern():
    pattern = torch.arange(36.0).view(6, 6) / 64
    found = runs.products(ReducedWeight(pattern, torch.zeros(())), LAW)
    assert found == {
        "rarest same": 0, "rarest different": 5, "commonest same": 7, "commonest different": 11,
    }  # fmt: skip


def test_every_recorded_point_of_rare_data_points_is_near_theory(study):
    assert study.plan.families()["inclusion"][0] == [0.01, 0.02, 0.05, 0.125, 0.5]
    for pair in (*study.points("inclusion"), *study.rare_pairs("inclusion")):
        assert pair.deviation < 0.05
    series, _ = study.learned("data")
    assert series.x == [0.01, 0.02, 0.04, 0.08]
    for found, expected in zip(series.simulated, series.predicted, strict=True):
        assert found.value == pytest.approx(expected, rel=0.05)


def test_the_two_readings_have_different_exponents(study, numbers):
    assert numbers["learned tokens disagreement"] <= 1
    assert numbers["learned tokens exponent"] < -1.4
    assert numbers["learned data exponent"] == pytest.approx(-1, abs=0.1)
    assert numbers["inclusion spread"] < 1.05 < numbers["hump of pi_min"]
    counted = [p.value for p in study.record.select(kind="counted", inclusion=0.01)]
    series, _ = study.learned("data")
    assert series.simulated[0].value == pytest.approx(sum(counted) / 3)


def test_recorded_times_are_predicted_again(study):
    case = study.plan.rare_data(0.08, 256)
    recorded = study.record.value(kind="learned", **case.labels)
    found = learned.predict(replace(study.plan, n_points=512), case)
    assert found["first"] == pytest.approx(recorded["first"], rel=1e-9)
    assert found["steps"] == pytest.approx(recorded["steps"], rel=0.05)


def test_the_prose_quotes_what_is_recorded(study, numbers):
    said = rare_numbers.quoted(study)
    assert said["inc-k"] == 4
    assert said["inc-spread"] == pytest.approx(100 * (numbers["inclusion spread"] - 1))
    assert said["learn-data"] == numbers["learned data exponent"]
    assert said["learn-tokens-law"] == numbers["learned tokens derived"]
    assert said["inc-own-first"] > 5 * said["inc-own-last"]
    table = rare_numbers.product_table(study)
    assert list(table.index) == [
        "rarest query, same pattern", "rarest query, different pattern",
        "commonest query, same pattern", "commonest query, different pattern",
    ]  # fmt: skip
    runs_there = study.record.select(kind="simulated", inclusion=0.01)
    mean = sum(p.value["products"]["rarest same"] for p in runs_there) / 3
    assert table["simulated"].iloc[0].startswith(f"{mean:.2f} ± ")
    assert math.isclose(float(table["predicted"].iloc[2]), 4.67, abs_tol=0.05)
