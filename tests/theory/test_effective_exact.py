"""The integral against direct quadrature, the expansion against it, and their gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate as quadrature

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend, gradient
from gmmtf.risks.evaluate import evaluate
from gmmtf.risks.expansion import expand
from gmmtf.risks.first_step import exact_descent_direction
from gmmtf.risks.head import HeadScalars, output, scores
from gmmtf.risks.integral import integrate
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import risk

SCHEDULE = NoiseSchedule.linear(1000)
TIME = 250
ALL_SCALARS = HeadScalars(0.9, 0.6, 0.1, -0.05, 1.0)


def weight_of(pattern: torch.Tensor, complement: float = 0.0) -> ReducedWeight:
    return ReducedWeight(pattern, torch.tensor(complement, dtype=torch.float64))


def both(
    weight: ReducedWeight, mixture: MultiTokenGMM, head: HeadScalars, n_points: int, t: int = TIME
) -> tuple[torch.Tensor, torch.Tensor]:
    """E‖error‖² of each query by the expansion and by the integral."""
    queries = draw_queries(mixture, SCHEDULE, t=t, n_points=n_points)
    seen = scores(weight, queries)
    error = output(head, seen.tilt, queries)
    return expand(seen, error, queries).square, integrate(seen, error, queries).square


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0, -1.0])
@pytest.mark.parametrize("head", [HeadScalars(), HeadScalars(value_span=0.8, skip_span=0.2)])
def test_integral_with_one_other_token_is_a_one_dimensional_mean(strength, head):
    """d = M = 1, N = 2: the other token is one normal number, so the mean is one quadrature."""
    mixture = MultiTokenGMM(n_patterns=1, dim=1, n_tokens=2, radius=1.5, sigma=0.4)
    weight = weight_of(torch.tensor([[strength]]))
    _, found = both(weight, mixture, head, n_points=8)
    queries = draw_queries(mixture, SCHEDULE, t=TIME, n_points=8)
    for q in range(8):
        own = float(queries.token[0, q])
        deviation = float(queries.level.variance[q]) ** 0.5
        mean, target = float(queries.reach[q]), float(queries.target[0, q])

        def error_square(g: float) -> float:
            other = mean + deviation * g  # noqa: B023 - used within this turn of the loop
            share = 1 / (1 + math.exp(strength * own * (other - own)))  # noqa: B023
            average = share * own + (1 - share) * other  # noqa: B023
            estimate = head.value_span * average + head.skip_span * own  # noqa: B023
            return (estimate - target) ** 2 * math.exp(-(g**2) / 2)  # noqa: B023

        expected = quadrature.quad(error_square, -12, 12, limit=400)[0] / math.sqrt(2 * math.pi)
        assert float(found[q]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_integral_with_two_other_tokens_is_a_two_dimensional_mean():
    mixture = MultiTokenGMM(n_patterns=1, dim=1, n_tokens=3, radius=1.0, sigma=0.5)
    strength = 1.2
    _, found = both(weight_of(torch.tensor([[strength]])), mixture, HeadScalars(), n_points=4)
    queries = draw_queries(mixture, SCHEDULE, t=TIME, n_points=4)
    nodes, mass = np.polynomial.hermite_e.hermegauss(120)
    mass = mass / mass.sum()
    for q in range(4):
        own = float(queries.token[0, q])
        others = float(queries.reach[q]) + float(queries.level.variance[q]) ** 0.5 * nodes
        first, second = np.meshgrid(others, others)
        tokens = np.stack([np.full_like(first, own), first, second])
        weights = np.exp(strength * own * (tokens - own))
        average = (weights * tokens).sum(0) / weights.sum(0)
        expected = float(mass @ (average - float(queries.target[0, q])) ** 2 @ mass)
        assert float(found[q]) == pytest.approx(expected, rel=1e-5)


def test_weights_far_above_the_typical_one_are_integrated():
    """Scores of standard deviation 8, three tokens: one heavy weight in a thousand data points."""
    mixture = MultiTokenGMM(n_patterns=2, dim=16, n_tokens=3, radius=3.0, sigma=0.3)
    queries = draw_queries(mixture, SCHEDULE, t=TIME, n_points=64)
    seen = scores(ReducedWeight.on_patterns(mixture, 60.0), queries)
    defect = integrate(seen, output(HeadScalars(), seen.tilt, queries), queries).defect
    assert 6**2 < float(seen.variance[defect.isfinite()].max()) < 8**2
    assert float(defect[defect.isfinite()].max()) < 1e-5


@pytest.mark.parametrize("head", [HeadScalars(), ALL_SCALARS])
@pytest.mark.parametrize("n_active", [None, 2])
def test_expansion_misses_the_integral_by_the_third_order(head, n_active):
    base = MultiTokenGMM(n_patterns=4, dim=24, n_tokens=2, radius=6.0, sigma=0.3, n_active=n_active)
    weight = weight_of(5 / 36 * (torch.eye(4, dtype=torch.float64) - 0.1), 0.05)
    misses = []
    for n in (400, 800, 1600):
        expanded, exact = both(weight, replace(base, n_tokens=n), head, n_points=32)
        misses.append(float((expanded - exact).abs().mean()))
    # The error of the integral's own quadrature, about 1e-6 of the risk, ends this at larger N.
    rate = math.log2(misses[0] / misses[1])
    assert rate > 2.3, misses
    assert misses[2] < misses[1]


@pytest.mark.parametrize("tilt_correction", [False, True])
def test_the_options_of_the_head_against_full_simulation(tilt_correction):
    mixture = MultiTokenGMM(n_patterns=3, dim=20, n_tokens=40, radius=6.0, sigma=0.4)
    weight = weight_of(5 / 36 * (torch.eye(3, dtype=torch.float64) - 0.1), 0.08)
    value_span, value_rest, skip = 0.9, 0.5, 0.07
    head = AttentionDenoiser(
        mixture, SCHEDULE, torch.float64, value=True, skip=True, tilt_correction=tilt_correction
    )
    scales = torch.full((20,), value_rest, dtype=torch.float64)
    scales[:3] = value_span
    with torch.no_grad():
        head.weight.copy_(weight.to_full(mixture))
        head.value.copy_(torch.diag(scales))
        head.skip.fill_(skip)
    full = evaluate(
        head,
        mixture,
        SCHEDULE,
        t=TIME,
        n_samples=512,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    ).excess_risk
    scalars = HeadScalars(value_span, value_rest, skip, skip, float(tilt_correction))
    for method, slack in (("integral", 0.0), ("expansion", 0.03)):
        found = risk(
            weight, mixture, SCHEDULE, t=TIME, head=scalars, method=method, n_points=256
        ).excess_risk
        error = math.hypot(full.standard_error, found.standard_error)
        assert abs(found.value - full.value) < 4 * error + slack * full.value
    assert full.standard_error < 0.02 * full.value


@pytest.mark.parametrize(("n", "n_active"), [(3, None), (16, None), (16, 2)])
def test_gradient_of_the_integral_at_zero_is_the_exact_first_step(n, n_active):
    mixture = MultiTokenGMM(
        n_patterns=3, dim=8, n_tokens=n, radius=3.0, sigma=0.4, n_active=n_active
    )
    expected = exact_descent_direction(mixture, SCHEDULE)
    nets = [
        gradient(
            ReducedWeight.zero(mixture),
            mixture,
            SCHEDULE,
            method="integral",
            n_points=512,
            seed=seed,
        )
        for seed in range(8)
    ]
    found = torch.stack([torch.cat([net.pattern.flatten(), net.complement[None]]) for net in nets])
    error = found.std(0) / len(nets) ** 0.5
    exact = -torch.cat([expected.pattern.flatten(), expected.complement[None]])
    # Five standard errors, since they are themselves estimated from eight nets only.
    assert bool(((found.mean(0) - exact).abs() < 5 * error + 1e-4 * exact.abs().max()).all())
    assert bool((error[[0, 4, 8]] < 0.05 * exact[[0, 4, 8]].abs()).all())


@pytest.mark.parametrize("method", ["expansion", "integral"])
def test_gradients_are_the_slopes_of_the_risk(method):
    mixture = MultiTokenGMM(n_patterns=2, dim=10, n_tokens=60, radius=5.0, sigma=0.3)
    at = weight_of(torch.tensor([[0.2, -0.02], [0.03, 0.15]], dtype=torch.float64), 0.05)
    slope = gradient(at, mixture, SCHEDULE, method=method, n_points=64)
    queries = draw_queries(mixture, SCHEDULE, n_points=64)

    def value(pattern: torch.Tensor, complement: torch.Tensor) -> float:
        weight = ReducedWeight(pattern, complement)
        seen = scores(weight, queries)
        error = output(HeadScalars(), seen.tilt, queries)
        run = expand if method == "expansion" else integrate
        return float((queries.factor * run(seen, error, queries).square).mean())

    step = 1e-4
    for row in range(2):
        for column in range(2):
            shift = torch.zeros(2, 2, dtype=torch.float64)
            shift[row, column] = step
            rise = value(at.pattern + shift, at.complement) - value(
                at.pattern - shift, at.complement
            )
            assert rise / (2 * step) == pytest.approx(float(slope.pattern[row, column]), rel=2e-3)
    rise = value(at.pattern, at.complement + step) - value(at.pattern, at.complement - step)
    assert rise / (2 * step) == pytest.approx(float(slope.complement), rel=2e-3)


def test_a_thousand_million_tokens_in_a_thousand_million_dimensions():
    size = 10**9
    mixture = MultiTokenGMM(
        n_patterns=16, dim=size, n_tokens=size, radius=math.sqrt(size), sigma=0.3, n_active=4
    )
    records = list(descend(mixture, SCHEDULE, 40, n_points=256, record_every=20))
    values = [record.excess_given_set.value for record in records]
    assert all(math.isfinite(value) for value in values)
    assert values[-1] < 0.2 * values[0]
    assert all(record.holds for record in records)
