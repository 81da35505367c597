"""One risk, three computations: what each says of K < M, of several times, and of bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, ReducedWeight, best_weight, descend, risk
from gmmtf.descent import gradient
from gmmtf.risks import formulas
from gmmtf.risks.expansion import expand
from gmmtf.risks.head import HeadScalars, output, scores
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import squared_error

SCHEDULE = NoiseSchedule.linear(1000)
MIXTURE = MultiTokenGMM(n_patterns=3, dim=16, n_tokens=64, radius=5.0, sigma=0.3)
SETS = MultiTokenGMM(n_patterns=3, dim=16, n_tokens=64, radius=5.0, sigma=0.3, n_active=2)
WEIGHT = ReducedWeight(6 / 25 * torch.eye(3, dtype=torch.float64), torch.tensor(0.1))
ZERO = ReducedWeight.zero(MIXTURE)
METHODS = ["expansion", "integral", "simulation"]


def found(law: MultiTokenGMM, method: str, **options: object):
    generator = torch.Generator().manual_seed(0)
    counts = {"n_points": 64, "n_samples": 256, "generator": generator}
    return risk(WEIGHT, law, SCHEDULE, method=method, **counts, **options)


@pytest.mark.parametrize("method", METHODS)
def test_with_all_patterns_active_both_names_are_the_excess(method):
    one = found(MIXTURE, method, t=300)
    assert one.excess_risk == one.excess_given_set == one.excess
    assert one.score_error == one.score_given_set == one.score


@pytest.mark.parametrize("method", ["expansion", "integral"])
def test_the_excess_given_the_active_set_is_not_called_excess_risk(method):
    one = found(SETS, method, t=300)
    assert one.excess_given_set.value > 0
    assert one.score_given_set.value > one.excess_given_set.value
    for name in ("excess_risk", "score_error"):
        with pytest.raises(ValueError, match=rf"{name}: for K < M .*simulation"):
            getattr(one, name)


def test_the_simulated_excess_is_over_bayes_only():
    one = found(SETS, "simulation", t=300)
    assert one.excess_risk.value > 0
    for name in ("excess_given_set", "score_given_set"):
        with pytest.raises(ValueError, match=rf"{name}: for K < M .*expansion"):
            getattr(one, name)


@pytest.mark.parametrize("method", METHODS)
def test_several_times_are_the_mean_over_them(method):
    times = (100, 300, 600)
    each = [found(MIXTURE, method, t=t) for t in times]
    whole = found(MIXTURE, method, t=times)
    for name in ("loss", "excess_risk", "score_error"):
        expected = sum(getattr(one, name).value for one in each) / len(times)
        error = max(getattr(one, name).standard_error for one in (*each, whole))
        assert abs(getattr(whole, name).value - expected) < 4 * error + 0.02 * expected


def test_closed_forms_take_several_times_too():
    times = [100, 300, 600]
    for law in (formulas.start_risk, formulas.mean_denoising_excess, oracle_risk):
        expected = np.mean([law(MIXTURE, SCHEDULE, t=t) for t in times])
        assert law(MIXTURE, SCHEDULE, t=times) == pytest.approx(expected)
    floors = [formulas.tilt_floor(WEIGHT, MIXTURE, SCHEDULE, t=t) for t in times]
    assert formulas.tilt_floor(WEIGHT, MIXTURE, SCHEDULE, t=times) == pytest.approx(np.mean(floors))
    drawn = draw_queries(MIXTURE, SCHEDULE, t=times, n_points=64).alpha_bar
    assert set(drawn.tolist()) == set(SCHEDULE.alpha_bars[times].tolist())


def test_numpy_integers_are_times():
    one, other = (found(MIXTURE, "expansion", t=t) for t in (np.int64(300), 300))
    assert one == other
    assert SCHEDULE.times(np.array([3, 5])).tolist() == [3, 5]


@pytest.mark.parametrize("t", [[3, 1000], [], [1.5], [[3]], "3", [True]])
def test_bad_times_are_refused(t):
    with pytest.raises(ValueError, match="t: expected an integer from 0 to 999"):
        risk(WEIGHT, MIXTURE, SCHEDULE, t=t)


def test_the_best_weight_at_several_times_lies_between():
    worst, best = (best_weight(MIXTURE, SCHEDULE, t=t, n_points=64)[1] for t in (300, 900))
    assert best < best_weight(MIXTURE, SCHEDULE, t=[300, 900], n_points=64)[1] < worst


def test_bad_methods_are_refused():
    corrected = HeadScalars(tilt_correction=1.0)
    with pytest.raises(ValueError, match="method: expected"):
        risk(WEIGHT, MIXTURE, SCHEDULE, method="guess")
    with pytest.raises(ValueError, match="method: expected"):
        descend(MIXTURE, SCHEDULE, 2, method="guess")
    with pytest.raises(ValueError, match="method: expected 'expansion', 'integral' or 'limit'"):
        gradient(WEIGHT, MIXTURE, SCHEDULE, method="simulation")
    with pytest.raises(ValueError, match="head: method 'simulation'"):
        risk(WEIGHT, MIXTURE, SCHEDULE, method="simulation", head=corrected)
    with pytest.raises(ValueError, match="head: method 'simulation'"):
        descend(MIXTURE, SCHEDULE, 2, method="simulation", head=corrected)
    assert HeadScalars().is_plain
    assert not corrected.is_plain


def test_the_expansion_is_the_integral_to_second_order():
    """Query by query on one net: what is left falls like 1/N³, with the right third moments."""
    law = MultiTokenGMM(
        n_patterns=3, dim=16, n_tokens=50, radius=3.0, sigma=0.5, weights=(0.2, 0.3, 0.5)
    )
    pattern = torch.tensor([[0.125, 0.025, 0.0], [0.0, 0.1, -0.025], [0.05, 0.0, 0.15]])
    weight = ReducedWeight(pattern.double(), torch.tensor(0.1, dtype=torch.float64))
    for n, largest in ((100, 3e-6), (200, 4e-7)):
        queries = draw_queries(replace(law, n_tokens=n), SCHEDULE, t=400, n_points=16, seed=0)
        exact = squared_error(weight, queries, method="integral")
        error = (squared_error(weight, queries) / exact - 1).abs().mean()
        assert 0.1 * largest < float(error) < largest


@pytest.mark.parametrize("method", ["expansion", "integral"])
def test_score_and_loss_of_one_time_follow_from_the_excess(method):
    """The score error is the excess over 1-ᾱ, and the loss is the excess plus the Bayes risk."""
    t = 500
    found = risk(WEIGHT, MIXTURE, SCHEDULE, t=t, method=method, n_points=256)
    noise = 1 - float(SCHEDULE.alpha_bar(torch.tensor(t)))
    assert found.score.value == pytest.approx(found.excess.value / noise, rel=1e-9)
    best = bayes_risk(MIXTURE, SCHEDULE, t=t)
    spread = 5 * (found.loss.standard_error + best.standard_error)
    assert found.loss.value - found.excess.value == pytest.approx(best.value, abs=spread)
    assert best.value - oracle_risk(MIXTURE, SCHEDULE, t=t) > 2 * spread


def test_the_validity_is_the_share_of_the_doubt_and_decides():
    found = risk(WEIGHT, MIXTURE, SCHEDULE, n_points=64, n_replicates=2)
    shares = []
    for seed in np.random.SeedSequence(0).generate_state(2):
        net = draw_queries(MIXTURE, SCHEDULE, n_points=64, seed=int(seed))
        seen = scores(WEIGHT, net)
        expanded = expand(seen, output(HeadScalars(), seen.tilt, net), net)
        shares.append([float((net.factor * x).mean()) for x in (expanded.doubt, expanded.square)])
    doubt, whole = np.mean(shares, axis=0)
    assert found.validity == pytest.approx(doubt / whole, rel=1e-12)
    assert found.excess.standard_error > 0  # the nets differ
    assert found.holds
    strong = ReducedWeight(60 / 25 * torch.eye(3, dtype=torch.float64), torch.tensor(0.1))
    with pytest.warns(ValidityWarning, match="does not hold"):
        assert not risk(strong, MIXTURE, SCHEDULE, n_points=64).holds


def test_score_and_loss_of_a_simulation_follow_from_the_excess():
    t, best = 500, bayes_risk(MIXTURE, SCHEDULE, t=500)
    found = risk(
        WEIGHT, MIXTURE, SCHEDULE, t=t, method="simulation", n_samples=8, bayes=best,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    noise = 1 - float(SCHEDULE.alpha_bar(torch.tensor(t)))
    assert found.score.value == pytest.approx(found.excess.value / noise, rel=1e-9)
    assert found.loss.value == pytest.approx(found.excess.value + best.value, rel=1e-12)


def test_scores_that_are_too_wide_for_the_quadrature_do_not_hold():
    wide = ReducedWeight(400 / 25 * torch.eye(3, dtype=torch.float64), torch.tensor(0.1))
    with pytest.warns(ValidityWarning, match="quadrature"):
        found = risk(wide, MIXTURE, SCHEDULE, method="integral", n_points=8, n_replicates=2)
    assert found.validity == float("inf")
