"""Scaling laws: the fit, the best weight, and the tokens and steps that a risk takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, scaling
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend, gradient
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.head_risk import ExpansionFailed
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import risk, squared_error
from gmmtf_book.c05_tokens_and_patterns.one_pattern import simulated_excess

SCHEDULE = NoiseSchedule.linear(1000)
MIXTURE = MultiTokenGMM(n_patterns=4, dim=64, n_tokens=256, radius=10.0, sigma=0.3)


def test_fit_recovers_an_exact_law():
    x = [1.0, 2.0, 5.0, 9.0]
    law = scaling.fit_power_law(x, [3 * v**-1.5 for v in x])
    assert law.exponent == pytest.approx(-1.5)
    assert law.prefactor == pytest.approx(3)
    assert law.high - law.low < 1e-6


def test_intervals_cover_the_true_exponent_as_often_as_they_say():
    generator = np.random.default_rng(0)
    x = np.geomspace(1, 100, 6)
    covered = 0
    for _ in range(1000):
        law = scaling.fit_power_law(x, 2 * x**0.7 * np.exp(0.1 * generator.standard_normal(6)))
        covered += law.low <= 0.7 <= law.high
    assert 925 <= covered <= 972


@pytest.mark.parametrize("y", [[1.0, 2.0], [1.0, -2.0, 3.0], [1.0, math.nan, 2.0]])
def test_fit_refuses_bad_points(y):
    with pytest.raises(ValueError, match="x, y"):
        scaling.fit_power_law([1.0, 2.0, 3.0][: len(y)], y)


def test_no_neighbour_beats_the_best_weight():
    best, value = scaling.best_weight(MIXTURE, SCHEDULE, n_points=512)
    slope = gradient(best, MIXTURE, SCHEDULE, n_points=512)
    # In the units of the search, products of tokens.
    assert float(slope.pattern.abs().max()) / 100 < 2e-3 * value
    started = ReducedWeight(torch.eye(4, dtype=torch.float64) * 0.08, torch.tensor(0.0))
    assert value < risk(started, MIXTURE, SCHEDULE).excess_risk.value


def test_best_weight_respects_the_symmetry_of_uniform_patterns():
    best, _ = scaling.best_weight(MIXTURE, SCHEDULE, n_points=4096)
    own = best.pattern.diagonal()
    assert float(own.std() / own.mean()) < 0.1


def test_tokens_needed_solve_for_the_target():
    target = 0.02
    n = scaling.tokens_needed(target, MIXTURE, SCHEDULE)
    below = scaling.best_weight(replace(MIXTURE, n_tokens=math.floor(n)), SCHEDULE)[1]
    above = scaling.best_weight(replace(MIXTURE, n_tokens=math.ceil(n) + 1), SCHEDULE)[1]
    assert above <= target * 1.001
    assert below >= target * 0.999
    assert scaling.tokens_needed(target / 2, MIXTURE, SCHEDULE) > 1.5 * n


def test_no_number_of_tokens_lifts_the_plain_head_over_its_floor():
    assert scaling.tokens_needed(1e-5, MIXTURE, SCHEDULE, t=300) == math.inf


def test_steps_needed_counts_steps():
    def reached(weight: ReducedWeight) -> bool:
        return float(weight.pattern[0, 0]) * 100 > 1

    steps = scaling.steps_needed(reached, MIXTURE, SCHEDULE, n_points=256)
    slower = scaling.steps_needed(
        reached,
        MIXTURE,
        SCHEDULE,
        n_points=256,
        lr=natural_step_size(MIXTURE) / 4,
    )
    assert isinstance(steps, int)
    assert 2.5 * steps < slower < 6 * steps + 4
    assert scaling.steps_needed(reached, MIXTURE, SCHEDULE, n_points=256, max_steps=1) == math.inf


def test_steps_to_risk_lie_between_the_records_of_a_descent():
    target, lr = 0.1, natural_step_size(MIXTURE) / 4
    steps = scaling.steps_to_risk(target, MIXTURE, SCHEDULE, lr=lr, n_points=4096)
    records = list(descend(MIXTURE, SCHEDULE, 60, lr=lr, n_points=4096, record_every=1, seed=0))
    excess = [record.excess_risk.value for record in records]
    first = next(step for step, value in enumerate(excess) if value <= target)
    assert first > 5
    # Records are evaluated on other nets, which differ by a fraction of a step.
    assert first - 1.3 < steps < first + 0.3


def test_a_smaller_step_size_takes_steps_in_proportion():
    lr = natural_step_size(MIXTURE) / 8
    fast, slow = (
        scaling.steps_to_risk(0.1, MIXTURE, SCHEDULE, lr=lr / part, n_points=256) for part in (1, 2)
    )
    assert slow == pytest.approx(2 * fast, rel=0.02)


def test_a_relative_target_is_a_share_of_the_start():
    queries = draw_queries(MIXTURE, SCHEDULE, n_points=256)
    zero = ReducedWeight.zero(MIXTURE)
    patterns = [scaling.pattern_excess(zero, queries, u) for u in range(4)]
    start = sum(patterns) / 4
    for share in (0.5, 0.1):
        absolute = scaling.steps_to_risk(share * start, MIXTURE, SCHEDULE, n_points=256)
        relative = scaling.steps_to_risk(share, MIXTURE, SCHEDULE, relative=True, n_points=256)
        # The mean over patterns is the mean over tokens up to how evenly the net has them.
        assert relative == pytest.approx(absolute, rel=0.02)
    assert scaling.steps_to_risk(1.0, MIXTURE, SCHEDULE, relative=True, n_points=256) == 0


def test_a_target_out_of_reach_takes_infinitely_many_steps():
    assert scaling.steps_to_risk(1e-6, MIXTURE, SCHEDULE, n_points=256, max_steps=5) == math.inf


def test_a_rare_pattern_is_learned_later():
    rare = replace(MIXTURE, weights=[0.04, 0.32, 0.32, 0.32])
    steps = [
        scaling.steps_to_risk(0.5, rare, SCHEDULE, relative=True, pattern=u, n_points=1024)
        for u in (0, 1)
    ]
    assert steps[0] > 4 * steps[1]


def test_the_excess_of_a_pattern_is_that_of_a_simulation():
    rare = replace(MIXTURE, weights=[0.1, 0.3, 0.3, 0.3])
    weight = ReducedWeight(torch.diag(torch.tensor([0.02, 0.06, 0.06, 0.06])), torch.tensor(0.0))
    queries = draw_queries(rare, SCHEDULE, n_points=8192)
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for u, probability in enumerate(rare.probabilities.tolist()):
        predicted = scaling.pattern_excess(weight, queries, u)
        (simulated,) = simulated_excess([weight], rare, 128, generator, pattern=u)
        allowed = 4 * simulated.standard_error + 0.02 * predicted
        assert abs(simulated.value - predicted) < allowed
        total += probability * predicted
    whole = risk(weight, rare, SCHEDULE, method="simulation", n_samples=256, generator=generator)
    assert total == pytest.approx(whole.excess_risk.value, rel=0.05)


@pytest.mark.parametrize("target", [0.0, -1.0, math.inf, math.nan])
def test_steps_to_risk_refuse_a_bad_target(target):
    with pytest.raises(ValueError, match="target"):
        scaling.steps_to_risk(target, MIXTURE, SCHEDULE)


@pytest.mark.parametrize("pattern", [-1, 4])
def test_steps_to_risk_refuse_a_bad_pattern(pattern):
    with pytest.raises(ValueError, match="pattern"):
        scaling.steps_to_risk(0.1, MIXTURE, SCHEDULE, pattern=pattern)


def test_steps_to_risk_refuse_where_the_expansion_fails():
    few = MultiTokenGMM(n_patterns=4, dim=8, n_tokens=2, radius=3.0, sigma=0.3)
    with pytest.raises(ExpansionFailed, match="does not hold"):
        scaling.steps_to_risk(0.5, few, SCHEDULE, relative=True, max_steps=60, n_points=64)


def test_a_target_must_be_positive():
    with pytest.raises(ValueError, match="target"):
        scaling.tokens_needed(0.0, MIXTURE, SCHEDULE)


@pytest.mark.parametrize("n_tokens", [4, 64, 1024])
def test_the_best_weight_is_one_where_the_expansion_holds_or_none(n_tokens):
    """At small radius the search once walked into the region where the expansion is garbage."""
    mixture = MultiTokenGMM(n_patterns=8, dim=1024, n_tokens=n_tokens, radius=4.0, sigma=0.3)
    try:
        best, value = scaling.best_weight(mixture, SCHEDULE, n_points=256)
    except ExpansionFailed:
        return  # either outcome is right
    exact = risk(best, mixture, SCHEDULE, method="integral", n_points=64)
    assert value == pytest.approx(exact.excess_risk.value, rel=0.2)


def test_the_interval_is_student_s_with_two_degrees_of_freedom_less_than_points():
    """3.182446 is the 97.5 % point of Student's distribution with three degrees of freedom."""
    x, y = [1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 1.9, 4.4, 7.6, 16.9]
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    found = scaling.power_law.fit_power_law(x, y)
    margin = 3.182446 * math.sqrt(covariance[0, 0])
    assert found.exponent == pytest.approx(slope)
    assert found.low == pytest.approx(slope - margin, rel=1e-6)
    assert found.high == pytest.approx(slope + margin, rel=1e-6)


def test_the_best_weight_has_the_excess_that_is_returned_with_it():
    law = MultiTokenGMM(n_patterns=3, dim=20, n_tokens=200, radius=6.0, sigma=0.3)
    schedule = NoiseSchedule.linear(1000)
    best, found = scaling.tokens.best_weight(law, schedule, n_points=128)
    queries = draw_queries(law, schedule, n_points=128, seed=0)
    assert float((queries.factor * squared_error(best, queries)).mean()) == pytest.approx(found)
    assert float(best.complement) != 0


def test_a_crossing_of_a_power_law_is_found_between_whole_numbers():
    expected = (10 / 0.037) ** (1 / 1.3)
    found = scaling.tokens._bisect(lambda n: 10 * n**-1.3, 0.037, 2, 4096)
    assert found == pytest.approx(expected, rel=1e-9)
    assert found != round(found)
