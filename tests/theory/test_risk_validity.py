"""What the expansion says of its error, and the settings at which orders that cancel mislead."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, ReducedWeight, risk
from gmmtf.risks.expansion import expand
from gmmtf.risks.head import PLAIN, HeadScalars, output, scores
from gmmtf.risks.head_risk import HeadRisk, ValidityWarning
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import DISPERSION_LIMIT, VALIDITY_LIMIT

SCHEDULE = NoiseSchedule.linear(1000)


def law(
    n_patterns: int, dim: int, n_tokens: int, radius: float, sigma: float, **more: Any
) -> MultiTokenGMM:
    return MultiTokenGMM(
        n_patterns=n_patterns, dim=dim, n_tokens=n_tokens, radius=radius, sigma=sigma, **more
    )


def both(
    mixture: MultiTokenGMM, weight: ReducedWeight, t: int, head: HeadScalars = PLAIN
) -> tuple[HeadRisk, float]:
    """The expansion's risk, and its relative error on the same query tokens."""
    with warnings.catch_warnings(action="ignore", category=ValidityWarning):
        said, exact = (
            risk(weight, mixture, SCHEDULE, t=t, head=head, n_points=32, n_replicates=2, method=by)
            for by in ("expansion", "integral")
        )
    assert exact.holds
    return said, abs(said.excess.value / exact.excess.value - 1)


@pytest.mark.parametrize(
    ("mixture", "strength", "t", "error"),
    [
        (law(2, 1000, 3, 26.0, 0.03), -6.0, 100, 0.34),
        (law(2, 256, 3, 16.0, 0.3), 8.0, 100, 0.068),
        (law(3, 10**4, 4, 100.0, 0.03), 8.0, 100, 0.095),
        (law(8, 41, 93, 6.4, 0.6, weights=[0.001, *[0.999 / 7] * 7]), 8.0, 7, 0.025),
    ],
)
def test_settings_whose_orders_cancel_are_refused(mixture, strength, t, error):
    said, found = both(mixture, ReducedWeight.on_patterns(mixture, strength), t)
    assert found == pytest.approx(error, rel=0.1)
    assert not said.holds
    assert said.validity > VALIDITY_LIMIT
    assert said.dispersion > DISPERSION_LIMIT


def test_a_data_point_without_any_token_of_the_pattern_is_no_matter_of_orders():
    """The query shuns itself, and one data point in 400 has no other token of its pattern."""
    mixture = law(2, 935, 14, 380.0, 1.5, weights=[0.63, 0.37])
    weight = ReducedWeight(3.24 / 380**2 * torch.eye(2, dtype=torch.float64), torch.tensor(-0.0753))
    said, error = both(mixture, weight, 21)
    assert error > 0.1
    assert said.dispersion < DISPERSION_LIMIT
    assert said.validity > VALIDITY_LIMIT
    assert not said.holds


def test_few_tokens_are_refused_however_small_the_orders_are():
    mixture = law(2, 191, 8, 22.6, 0.3)
    said, _ = both(mixture, ReducedWeight.on_patterns(mixture, -12.0), 43)
    assert said.validity < VALIDITY_LIMIT
    assert said.dispersion > DISPERSION_LIMIT
    assert not said.holds


def one_query(mixture: MultiTokenGMM, weight: ReducedWeight, t: int):
    queries = draw_queries(mixture, SCHEDULE, t=t, n_points=1)
    seen = scores(weight, queries)
    return expand(seen, output(PLAIN, seen.tilt, queries), queries)


def test_the_estimate_is_exact_where_attention_selects():
    """Weights that select are 0 or M: the orders are 1, x, x² with x = (M-1)/(N-1)."""
    mixture = law(4, 10**6, 4001, 1000.0, 1.0)
    found = one_query(mixture, ReducedWeight.on_patterns(mixture, 40.0), 0)
    x, first = 3 / 4000, 10**6 * 4 / 4000
    assert float(found.dispersion) == pytest.approx(x, rel=0.02)
    assert float(found.square) == pytest.approx(first, rel=0.02)
    assert float(found.doubt) == pytest.approx(first * x**2, rel=0.05)


def test_absence_costs_the_square_of_a_pattern_seen_through_the_value():
    mixture = law(4, 4, 9, 2e3, 1.0)
    weight = ReducedWeight.on_patterns(mixture, 40.0)
    queries = draw_queries(mixture, SCHEDULE, t=0, n_points=4)
    seen = scores(weight, queries)
    whole, half = (
        expand(seen, output(HeadScalars(value_span=v), seen.tilt, queries), queries).doubt
        for v in (1.0, 0.5)
    )
    absent = 2 * queries.reach**2 * 0.75**8
    assert torch.allclose(whole, absent, rtol=0.01)
    assert torch.allclose(half, absent / 4, rtol=0.02)


def test_tokens_of_the_only_pattern_are_never_absent():
    mixture = law(1, 4, 9, 100.0, 1.0)
    found = one_query(mixture, ReducedWeight.on_patterns(mixture, 100.0), 0)
    assert float(found.dispersion) > 0.1  # the tilt makes the weights unequal
    assert float(found.doubt) < 0.01 * 100.0**2


def test_uniform_attention_is_certain():
    """At W = 0 all weights are one and the expansion is exact, for two tokens too."""
    for n in (2, 100):
        mixture = law(3, 16, n, 4.0, 0.3)
        said, error = both(mixture, ReducedWeight.zero(mixture), 300)
        assert said.holds
        assert said.validity < 1e-12
        assert abs(said.dispersion) < 1e-12
        assert error < 1e-5


@pytest.mark.parametrize(
    ("radius", "strength", "factor"),
    [(6.0, 5.0, 8), (2.0, 40.0, 4)],
    ids=["third order", "no more than the second"],
)
def test_the_estimate_falls_like_the_order_that_is_left_out(radius, strength, factor):
    mixture = law(4, 24, 2, radius, 0.3)
    weight = ReducedWeight.on_patterns(mixture, strength)
    doubts = []
    for n in (401, 801):
        queries = draw_queries(replace(mixture, n_tokens=n), SCHEDULE, t=250, n_points=32)
        seen = scores(weight, queries)
        doubts.append(expand(seen, output(PLAIN, seen.tilt, queries), queries).doubt.mean())
    assert float(doubts[0] / doubts[1]) == pytest.approx(factor, rel=0.1)


def test_the_message_says_what_was_measured():
    mixture = law(2, 256, 3, 16.0, 0.3)
    with pytest.warns(ValidityWarning, match=r"error as 4.* \(limit 0.05\).*0.54 \(limit 0.08\)"):
        risk(ReducedWeight.on_patterns(mixture, 8.0), mixture, SCHEDULE, t=100, n_points=64)
