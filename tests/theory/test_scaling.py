"""Scaling laws: the fit, the best weight, and the tokens and steps that a risk takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, effective, scaling
from gmmtf.reduced import ReducedWeight

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
    slope = effective.gradient(best, MIXTURE, SCHEDULE, n_points=512)
    # In the units of the search, products of tokens.
    assert float(slope.pattern.abs().max()) / 100 < 2e-3 * value
    started = ReducedWeight(torch.eye(4, dtype=torch.float64) * 0.08, torch.tensor(0.0))
    assert value < effective.risk(started, MIXTURE, SCHEDULE).excess_risk.value


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
    assert scaling.tokens_needed(1e-5, MIXTURE, SCHEDULE, 300) == math.inf


def test_steps_needed_counts_steps():
    def reached(weight: ReducedWeight) -> bool:
        return float(weight.pattern[0, 0]) * 100 > 1

    steps = scaling.steps_needed(reached, MIXTURE, SCHEDULE, n_points=256)
    slower = scaling.steps_needed(
        reached,
        MIXTURE,
        SCHEDULE,
        n_points=256,
        lr=scaling.natural_step_size(MIXTURE) / 4,
    )
    assert steps is not None
    assert slower is not None
    assert 2.5 * steps < slower < 6 * steps + 4
    assert scaling.steps_needed(reached, MIXTURE, SCHEDULE, n_points=256, max_steps=1) is None


def test_a_target_must_be_positive():
    with pytest.raises(ValueError, match="target"):
        scaling.tokens_needed(0.0, MIXTURE, SCHEDULE)


@pytest.mark.parametrize("n_tokens", [4, 64, 1024])
def test_the_best_weight_is_one_where_the_expansion_holds_or_none(n_tokens):
    """At small radius the search once walked into the region where the expansion is garbage."""
    mixture = MultiTokenGMM(n_patterns=8, dim=1024, n_tokens=n_tokens, radius=4.0, sigma=0.3)
    try:
        best, value = scaling.best_weight(mixture, SCHEDULE, n_points=256)
    except ValueError as error:
        assert "does not hold" in str(error)  # noqa: PT017 - either outcome is right
        return
    exact = effective.risk(best, mixture, SCHEDULE, method="integral", n_points=64)
    assert value == pytest.approx(exact.excess_risk.value, rel=0.2)
