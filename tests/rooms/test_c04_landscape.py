"""The study of the landscape: its parts at a small size, and its recorded points."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.curve import Curve
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import DescentRecord, descend, gradient
from gmmtf.risks import formulas
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf_book.c04_training import descent, landscape, paper

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=24, n_tokens=48, radius=8.0, sigma=0.3)


def test_a_weight_is_read_back_from_a_curve():
    weight = ReducedWeight(
        torch.tensor([[0.1, 0.2, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.1]]), torch.tensor(0.7)
    )
    risks = risk(weight, SMALL, SCHEDULE, method="integral", n_points=8)
    record = DescentRecord(**vars(risks), step=3, weight=weight)
    path = Curve.from_records([record], SMALL).as_json()
    again = landscape.weight_at(path, SMALL)
    assert torch.allclose(again.pattern, weight.pattern)
    assert torch.allclose(again.complement, weight.complement)


def test_the_surface_and_the_line_agree_with_the_closed_form_at_zero():
    gap = oracle_risk(SMALL, SCHEDULE) - float(bayes_risk(SMALL, SCHEDULE))
    start = formulas.start_risk(SMALL, SCHEDULE) + gap
    surface = landscape.risk_surface(SMALL, SCHEDULE, [0.0, 6.0], [-6.0, 0.0], n_samples=256)
    ((value, error), (lower, _)) = landscape.risk_on_line(SMALL, SCHEDULE, [0.0, 6.0])
    assert surface[1][0] == pytest.approx(start, rel=0.05)
    assert abs(value - start) < 4 * error + 1e-3 * start
    assert surface[1][1] == pytest.approx(lower, rel=0.15)
    assert surface[0][0] < surface[1][0]


@cache
def curvature_at_zero(n_patterns: int) -> dict[str, Any]:
    law = law_of(n_patterns)
    return landscape.curvature(ReducedWeight.zero(law), law, SCHEDULE, n_points=64)


def law_of(n_patterns: int) -> MultiTokenGMM:
    return MultiTokenGMM(n_patterns=n_patterns, dim=64, n_tokens=64, radius=8.0, sigma=0.3)


def test_curvature_is_that_of_the_objective():
    """The second difference of the risk along the eigenvector is the eigenvalue."""
    weight = landscape.symmetric_weight(SMALL, 3.0, -1.0)
    found = landscape.curvature(weight, SMALL, SCHEDULE, n_points=64)
    slope = gradient(weight, SMALL, SCHEDULE, method="integral", n_points=64)
    norm = (slope.pattern.square().sum() + slope.complement**2).sqrt() / 64
    assert found["gradient"] == pytest.approx(float(norm))
    assert found["smallest"] < found["largest"]
    law = law_of(4)
    at_zero = curvature_at_zero(4)
    direction = torch.tensor(at_zero["direction"], dtype=torch.float64)
    assert float(direction.norm()) == pytest.approx(1, abs=0.01)
    below, centre, above = (
        risk(
            landscape.weight_with(law, k * direction),
            law,
            SCHEDULE,
            method="integral",
            n_points=32,
        ).excess_risk.value
        for k in (-0.5, 0.0, 0.5)
    )
    assert at_zero["smallest"] < 0
    assert (below + above - 2 * centre) / 0.25 == pytest.approx(at_zero["smallest"], rel=0.3)


@pytest.mark.parametrize(("n_patterns", "bent"), [(2, False), (3, False), (4, True)])
def test_the_objective_bends_down_at_the_start_from_four_patterns_on(n_patterns, bent):
    found = curvature_at_zero(n_patterns)
    share = found["smallest"] / found["largest"]
    assert share < -0.1 if bent else share > -0.01


def test_a_descent_made_in_pieces_is_the_descent_in_one():
    start = landscape.symmetric_weight(SMALL, -2.0, 1.0)
    rate = natural_step_size(SMALL)
    path = descent.predicted_curve(
        SMALL, SCHEDULE, [0, 1, 3], method="integral", start=start, lr=rate, n_points=8
    )
    whole = list(
        descend(
            SMALL,
            SCHEDULE,
            3,
            lr=rate,
            start=start,
            method="integral",
            n_points=8,
            record_every=1,
        )
    )
    assert path["step"] == [0, 1, 3]
    for step, products in zip(path["step"], path["products"], strict=True):
        assert torch.allclose(torch.tensor(products).double(), 64 * whole[step].weight.pattern)
    assert path["excess"][-1][0] < path["excess"][0][0]


def test_seven_starts_differ():
    starts = landscape.starting_points(SMALL, seed=0)
    assert len(starts) == 7
    patterns = [weight.pattern for weight in starts.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(patterns) for b in patterns[:i])
    again = landscape.starting_points(SMALL, seed=0)["random 5"].pattern
    assert torch.equal(again, starts["random 5"].pattern)


def test_the_recorded_landscape_says_what_the_chapter_claims():
    points = paper()
    values, settings = points.values, points.settings
    numbers = landscape.landscape_summary(values)
    for name in ("negative", "different", "permuted", "random 5"):
        assert 0.9 < numbers[f"end {name}"] < 1.25
    assert numbers["end random 10"] > 5
    assert numbers["end large"] > 2
    assert numbers["check"] < 4
    assert numbers["smallest_at_zero"] < -0.05
    assert numbers["smallest_at_end"] > -1e-3
    names = ("n_patterns", "dim", "n_tokens", "radius", "sigma")
    law = MultiTokenGMM(**{name: settings[name] for name in names})
    for name in ("zero", "random 10"):
        path = values[f"start/{name}"]
        again = risk(
            landscape.weight_at(path, law), law, SCHEDULE, method="integral", n_points=32, seed=5
        ).excess_risk
        value, error = path["excess"][-1]
        assert abs(again.value - value) < 4 * (again.standard_error**2 + error**2) ** 0.5
