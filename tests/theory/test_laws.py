"""Closed-form laws against simulation and against the effective picture."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import OracleDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.noisy import draw_noisy
from gmmtf.randomness import standard_normal
from gmmtf.risks import formulas
from gmmtf.risks.head import HeadScalars, output, scores
from gmmtf.risks.optimum import oracle_risk
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.reduced_tokens import draw_tokens
from gmmtf.risks.risk import risk
from gmmtf.risks.wishart import bartlett_factor

SCHEDULE = NoiseSchedule.linear(1000)
SKEWED = (0.1, 0.2, 0.3, 0.4)


def mixture_of(**changes: object) -> MultiTokenGMM:
    base = MultiTokenGMM(n_patterns=4, dim=32, n_tokens=24, radius=6.0, sigma=0.3, weights=SKEWED)
    return replace(base, **changes)


RARE = {"n_active": 2, "weights": None, "inclusion": (0.2, 0.4, 0.6, 0.8)}


@pytest.mark.parametrize(
    ("t", "changes"),
    [(None, {}), (30, {}), (600, {}), (300, {"n_active": 2}), (300, RARE)],
)
def test_start_risk_is_the_exact_risk_at_zero(t, changes):
    mixture = mixture_of(**changes)
    n_points = 256 if changes else 1024
    exact = risk(
        ReducedWeight.zero(mixture), mixture, SCHEDULE, t=t, method="integral", n_points=n_points
    )
    oracle = oracle_risk(mixture, SCHEDULE, t=t)
    expected = formulas.start_risk(mixture, SCHEDULE, t=t)
    assert exact.loss.value - oracle == pytest.approx(
        expected, rel=1e-3, abs=5 * exact.loss.standard_error
    )


@pytest.mark.parametrize("changes", [{"n_active": 2}, RARE, {}])
def test_start_risk_is_what_the_mean_of_the_tokens_leaves(changes):
    """Measured on tokens, also of patterns that are not orthogonal."""
    bent = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settings = {"n_tokens": 5, "sigma": 0.3, "weights": SKEWED, **changes}
    mixture = MultiTokenGMM.from_patterns(2 * bent, **settings)
    t = 300
    noisy = draw_noisy(
        mixture, SCHEDULE, torch.full((20_000,), t), torch.Generator().manual_seed(1), torch.float64
    )
    level = noise_level(mixture, SCHEDULE, noisy.t).for_tokens(noisy.x_t)
    estimate = level.gain * (noisy.x_t - noisy.x_t.mean(1, keepdim=True))
    oracle = OracleDenoiser(mixture, SCHEDULE)(noisy.x_t, noisy.t, noisy.labels)
    squares = (estimate - oracle).square().flatten(1).mean(1)
    error = float(squares.std()) / math.sqrt(len(squares))
    expected = formulas.start_risk(mixture, SCHEDULE, t=t)
    assert abs(float(squares.mean()) - expected) < 4 * error
    assert error < 0.01 * expected


@pytest.mark.parametrize("changes", [{}, {"n_active": 2, "weights": None}, {"n_tokens": 3}])
def test_expected_distinct_against_draws(changes):
    mixture = mixture_of(**changes)
    labels, _ = mixture.sample_labels(20_000, torch.Generator().manual_seed(0))
    counts = torch.nn.functional.one_hot(labels, 4).sum(1).gt(0).sum(1).double()
    error = float(counts.std()) / math.sqrt(len(counts))
    assert abs(formulas.expected_distinct(mixture) - float(counts.mean())) < 4 * error + 1e-4


def test_mean_denoising_is_the_excess_of_perfect_selection():
    mixture, t = mixture_of(n_tokens=12), 200
    generator = torch.Generator().manual_seed(0)
    x_0, labels, _ = mixture.sample(4000, generator, torch.float64)
    times = torch.full((4000,), t)
    noise = standard_normal(x_0.shape, generator, torch.float64)
    x_t = SCHEDULE.add_noise(x_0, times, noise)
    same = (labels[:, :, None] == labels[:, None, :]).double()
    attention = same / same.sum(-1, keepdim=True)
    level = noise_level(mixture, SCHEDULE, times).for_tokens(x_t)
    estimate = level.gain * (x_t - attention @ x_t)
    oracle = OracleDenoiser(mixture, SCHEDULE)(x_t, times, labels)
    squares = (estimate - oracle).square().flatten(1).mean(1)
    error = float(squares.std()) / math.sqrt(len(squares))
    assert (
        abs(formulas.mean_denoising_excess(mixture, SCHEDULE, t=t) - float(squares.mean()))
        < 4 * error
    )


@pytest.mark.parametrize(("n_active", "weights"), [(None, SKEWED), (2, None)])
def test_tilt_floor_is_what_is_left_with_many_tokens_and_large_patterns(n_active, weights):
    mixture = MultiTokenGMM(
        n_patterns=4,
        dim=32,
        n_tokens=10**12,
        radius=40.0,
        sigma=0.3,
        weights=weights,
        n_active=n_active,
    )
    pattern = torch.diag(torch.tensor([30.0, 40.0, 35.0, 45.0], dtype=torch.float64)) / 40.0**2
    weight = ReducedWeight(pattern, torch.tensor(0.02, dtype=torch.float64))
    t = 300
    plain = risk(weight, mixture, SCHEDULE, t=t).excess_given_set.value
    floor = formulas.tilt_floor(weight, mixture, SCHEDULE, t=t)
    assert plain == pytest.approx(floor, rel=0.01)
    corrected = risk(
        weight, mixture, SCHEDULE, t=t, head=HeadScalars(tilt_correction=1.0)
    ).excess_given_set.value
    assert corrected < 1e-3 * floor


def test_a_value_matrix_on_the_span_cuts_mean_denoising_by_the_dimension_ratio():
    """Theory result 7: the averaged noise outside the span is M/d smaller by projection."""
    mixture = MultiTokenGMM(n_patterns=4, dim=64, n_tokens=4096, radius=40.0, sigma=0.3)
    weight = ReducedWeight(15.0 / 40.0**2 * torch.eye(4, dtype=torch.float64), torch.tensor(0.0))
    corrected = {"tilt_correction": 1.0}
    t = 100
    plain, projected = (
        risk(
            weight,
            mixture,
            SCHEDULE,
            t=t,
            head=HeadScalars(value_complement=value, **corrected),
        ).excess_given_set.value
        for value in (1.0, 0.0)
    )
    assert projected / plain == pytest.approx(4 / 64, rel=0.05)


def test_laws_refuse_what_they_do_not_cover():
    many = mixture_of(n_patterns=40, dim=40, n_active=20, weights=None)
    with pytest.raises(ValueError, match=r"n_active: .* active sets"):
        formulas.start_risk(many, SCHEDULE)
    for law in (formulas.expected_distinct, lambda m: formulas.mean_denoising_excess(m, SCHEDULE)):
        with pytest.raises(ValueError, match="weights"):
            law(mixture_of(n_active=2))
    with pytest.raises(ValueError, match="t:"):
        formulas.mean_denoising_excess(mixture_of(), SCHEDULE, t=1000)


def test_tilt_floor_of_a_weight_that_is_not_symmetric():
    """(cτ²)² E‖Wᵀx_t‖² / d, with the full matrix and the moments of a token."""
    pi = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mixture = MultiTokenGMM(
        n_patterns=3, dim=7, n_tokens=64, radius=3.0, sigma=0.5, weights=pi.tolist()
    )
    generator = torch.Generator().manual_seed(0)
    pattern = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    weight = ReducedWeight(pattern, torch.tensor(0.7, dtype=torch.float64))
    alpha_bar = float(SCHEDULE.alpha_bars[300])
    variance = alpha_bar * 0.5**2 + 1 - alpha_bar
    full = weight.to_full(mixture)
    tilts = mixture.means @ full  # the rows are Wᵀμ_u
    square = alpha_bar * float(pi @ tilts.square().sum(1)) + variance * float(full.square().sum())
    expected = (1 - alpha_bar) * square / 7
    assert formulas.tilt_floor(weight, mixture, SCHEDULE, t=300) == pytest.approx(expected)


@pytest.mark.parametrize(("size", "dim"), [(5, 3), (4, 9), (3, 3)])
def test_bartlett_factors_have_the_mean_of_their_wishart_law(size, dim):
    """E[L Lᵀ] = dim I: degrees of freedom fall along the diagonal of L."""
    factor = bartlett_factor(20_000, size, dim, torch.Generator().manual_seed(0))
    found = factor @ factor.mT
    error = found.std(0) / 20_000**0.5
    deviation = (found.mean(0) - dim * torch.eye(size).double()) / error
    assert float(deviation.abs().max()) < 5


def test_tokens_have_the_complement_of_their_dimension_and_noise():
    """The Gram matrix of the complement parts has the mean τ²(d - M) I."""
    law = MultiTokenGMM(n_patterns=3, dim=9, n_tokens=4, radius=3.0, sigma=0.4)
    schedule = NoiseSchedule.linear(1000)
    times = torch.full((4000,), 400)
    tokens = draw_tokens(law, schedule, times, torch.Generator().manual_seed(0))
    gram = tokens.factor @ tokens.factor.mT
    alpha_bar = float(schedule.alpha_bar(torch.tensor(400)))
    expected = (alpha_bar * 0.16 + 1 - alpha_bar) * 6 * torch.eye(4).double()
    deviation = (gram.mean(0) - expected) / (gram.std(0) / 4000**0.5)
    assert float(deviation.abs().max()) < 5


def test_a_value_matrix_has_its_trace():
    law = MultiTokenGMM(n_patterns=3, dim=9, n_tokens=4, radius=3.0, sigma=0.4)
    queries = draw_queries(law, NoiseSchedule.linear(1000), n_points=4, seed=0)
    seen = scores(ReducedWeight.zero(law), queries)
    found = output(HeadScalars(value_span=0.5, value_complement=2.0), seen.tilt, queries)
    assert float(found.trace) == pytest.approx(3 * 0.25 + 6 * 4.0)
