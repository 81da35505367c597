"""The sampling study: prices, clouds and finishing heads against simulation; the recorded run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.results import Recording, load
from gmmtf_book.c11_sampling import run as study
from gmmtf_book.c11_sampling.laws import cloud_path, finishing, sampler_times
from gmmtf_book.c11_sampling.points import (
    Plan,
    over_seeds,
    predictions,
    record,
    recorded_setting,
    summary,
)
from gmmtf_book.c11_sampling.price import label_gaps, path_divergence, price, step_weights

SCHEDULE = NoiseSchedule.linear(1000)
RECORDED = Path(__file__).parents[2] / "data" / "results" / "11_sampling.json"


def uniform_weight(strength: float, size: int) -> ReducedWeight:
    return ReducedWeight(strength * torch.eye(size), torch.tensor(0.0))


def test_the_price_of_a_perturbed_linear_denoiser_is_found_on_paths():
    single = MultiTokenGMM(n_patterns=1, dim=2, n_tokens=2, radius=2.0, sigma=0.5)
    schedule = NoiseSchedule.linear(60, 1e-3, 0.3)
    optimum = BayesDenoiser(single, schedule)

    def perturbed(x_t, t):
        level = noise_level(single, schedule, t).for_tokens(x_t)
        return optimum(x_t, t) + 0.3 * (x_t - level.signal * single.means[0])

    level = noise_level(single, schedule, torch.arange(60))
    by_hand = 4 * 0.09 * float((step_weights(schedule) * level.variance).sum())
    exact, other = (
        path_divergence(f, single, schedule, n_samples=6000,
                        generator=torch.Generator().manual_seed(0))
        for f in (optimum, perturbed)
    )  # fmt: skip
    error = math.hypot(exact.standard_error, other.standard_error)
    assert abs(other.value - exact.value - by_hand) < 4 * error
    assert error < 0.1 * by_hand


def test_the_divergence_of_the_exact_gaussian_path_is_its_closed_form():
    """Given X_t, X_{t-1} is Gaussian with a variance above the sampler's; the start differs too."""
    single = MultiTokenGMM(n_patterns=1, dim=2, n_tokens=2, radius=2.0, sigma=0.5)
    schedule = NoiseSchedule.linear(40, 1e-3, 0.3)
    abar, beta = schedule.alpha_bars, schedule.betas
    level = noise_level(single, schedule, torch.arange(40))
    v = beta[1:] * (1 - abar[:-1]) / (1 - abar[1:])
    factor = abar[:-1].sqrt() * beta[1:] / (1 - abar[1:])
    ratio = 1 + factor**2 * 0.25 * (1 - abar[1:]) / level.variance[1:] / v
    steps = 4 * float(((ratio - 1 - ratio.log()) / 2).sum())
    last = float(level.variance[-1])
    start = 4 * (last - 1 - math.log(last)) / 2 + 2 * float(abar[-1]) * 4 / 2
    found = path_divergence(
        BayesDenoiser(single, schedule), single, schedule, n_samples=6000,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert abs(found.value - steps - start) < 4 * found.standard_error
    assert found.standard_error < 0.05 * found.value


def test_the_labels_cost_their_entropy():
    mixture = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=4, radius=8.0, sigma=0.3)
    times = [1, 100, 200, 300, 350, 400, 450, 500, 550, 600, 650, 700, 800, 900, 999]
    total = float(price(times, label_gaps(mixture, SCHEDULE, times), mixture, SCHEDULE)[-1])
    assert total == pytest.approx(math.log(3), rel=0.06)


def test_the_price_of_a_constant_risk_is_the_sum_of_the_weights():
    mixture = MultiTokenGMM(n_patterns=2, dim=8, n_tokens=4, radius=8.0, sigma=0.3)
    found = price([0, 999], [0.5, 0.5], mixture, SCHEDULE)
    assert float(found[-1]) == pytest.approx(4 * float(step_weights(SCHEDULE).sum()))
    assert float(found[0]) == 0


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_mean_of_the_zero_head_has_its_closed_form(eta):
    mixture = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=4, radius=2.0, sigma=0.3)
    path = cloud_path(
        ReducedWeight.zero(mixture), mixture, SCHEDULE, list(range(999, -1, -1)), eta=eta
    )
    abar, beta = SCHEDULE.alpha_bars, SCHEDULE.betas
    drawn = beta[1:] * (1 - abar[:-1]) / (1 - abar[1:])
    expected = float(1 / abar[-1] + eta * (drawn / abar[:-1]).sum())
    assert torch.allclose(path[-1].drift, expected * torch.eye(3, dtype=torch.float64))
    assert len(path) == 1001


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_head_from_noise_generates_the_predicted_cloud(corrected, eta):
    mixture = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=1000, radius=8.0, sigma=0.3)
    weight = ReducedWeight(torch.tensor([[0.06, -0.01], [-0.02, 0.05]]), torch.tensor(0.02))
    options = {"n_steps": 30, "eta": eta}
    x = study.generate(
        study.head(weight, mixture, SCHEDULE, tilt_correction=corrected),
        mixture, SCHEDULE, batch=4, seed=0, **options,
    )  # fmt: skip
    found = study.cloud_moments(x, mixture)
    expected = study.predicted_moments(
        weight, mixture, SCHEDULE, tilt_correction=corrected, **options
    )
    for name in ("spread_span", "spread_rest"):
        assert found[name] == pytest.approx(expected[name], rel=0.1), name
    # 8 and 16 normal numbers.
    assert 0.2 < found["centre_span"] / expected["centre_span"] < 2.8
    assert 0.35 < found["centre_rest"] / expected["centre_rest"] < 2.1


def test_a_runaway_cloud_ends_early():
    mixture = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=4, radius=2.0, sigma=0.3)
    path = cloud_path(uniform_weight(0.3, 2), mixture, SCHEDULE, list(range(999, -1, -1)), eta=0.0)
    assert path[-1].time > 0


@pytest.mark.parametrize("corrected", [False, True])
def test_a_finishing_head_displaces_clusters_as_predicted(corrected):
    mixture = MultiTokenGMM(
        n_patterns=2, dim=24, n_tokens=300, radius=14.0, sigma=0.3, weights=[0.3, 0.7]
    )
    weight = uniform_weight(12 / 14**2, 2)
    switched = study.handing_over(
        BayesDenoiser(mixture, SCHEDULE),
        study.head(weight, mixture, SCHEDULE, tilt_correction=corrected), 250,
    )  # fmt: skip
    x = study.generate(switched, mixture, SCHEDULE, n_steps=40, eta=1.0, batch=24, seed=1)
    found = study.distances(x, mixture, seed=1)
    law = finishing(
        weight, mixture, SCHEDULE, sampler_times(SCHEDULE, 40), eta=1.0, handover=250,
        tilt_correction=corrected,
    )  # fmt: skip
    offset, error = found["offset"]
    assert abs(offset - law.offset) < 4 * error + 0.05 * law.offset
    assert error < 0.1 * offset
    assert law.offset > 5
    assert found["scatter"][0] == pytest.approx(law.scatter, rel=0.02)
    assert found["frequency"] < 0.03


def test_handing_over_uses_each_denoiser_where_it_should():
    switched = study.handing_over(lambda x, t: x + 1, lambda x, t: x - 1, 10)
    x = torch.zeros(2, 3, 4)
    assert float(switched(x, torch.tensor([10, 10])).mean()) == 1
    assert float(switched(x, torch.tensor([9, 9])).mean()) == -1


def test_a_small_run_records_every_point_once(tmp_path):
    mixture = MultiTokenGMM(n_patterns=2, dim=16, n_tokens=60, radius=8.0, sigma=0.3)
    plan = Plan(
        training_steps=5, n_points=32, risk_times=[10, 900], n_risk_samples=4, n_steps=4, batch=2,
        seeds=[0, 1], handovers=[300], ancestral_batch=0,
    )  # fmt: skip
    path = tmp_path / "points.json"
    values = record(Recording(path, {}), mixture, SCHEDULE, plan)
    assert set(values) == {
        "head", *(f"risk/{who}/{t}" for who in ("zero", "plain") for t in (10, 900)),
        *(f"floor/{s}" for s in (0, 1)),
        *(f"noise/{who}/{s}" for who in ("bayes", "zero", "plain", "corrected") for s in (0, 1)),
        *(f"finish/{who}/300/{s}" for who in ("plain", "corrected") for s in (0, 1)),
    }  # fmt: skip
    before = path.read_text()
    assert record(Recording(path, {}), mixture, SCHEDULE, plan) == values
    assert path.read_text() == before
    found = summary(values, predictions(values["head"], mixture, SCHEDULE, plan), mixture,
                    SCHEDULE, plan)  # fmt: skip
    assert all(math.isfinite(value) for value in found.values())
    with pytest.raises(ValueError, match="key"):
        over_seeds(values, "noise/nobody", "sliced")


def test_over_seeds_averages_values_and_keeps_the_error_of_a_single_one():
    values = {"a/0": {"x": [1.0, 0.3], "y": 5.0}, "a/1": {"x": [3.0, 0.3], "y": 7.0}, "b": {}}
    found = over_seeds(values, "a", "x")
    assert (found.value, found.standard_error) == (2, 1)
    del values["a/1"]
    assert over_seeds(values, "a", "x").standard_error == 0.3
    assert over_seeds(values, "a", "y").standard_error == 0


@pytest.fixture(scope="module")
def recorded():
    document = load(RECORDED)
    mixture, plan = recorded_setting(document)
    values = document["values"]
    return values, predictions(values["head"], mixture, SCHEDULE, plan), mixture, plan


def test_the_recorded_run_is_at_paper_scale(recorded):
    values, _, mixture, plan = recorded
    assert mixture.dim >= 256
    assert mixture.n_tokens >= 512
    for seed in plan.seeds:
        assert f"noise/plain/{seed}" in values
        assert f"ancestral/plain/{seed}" in values


def test_the_recorded_run_agrees_with_theory(recorded):
    values, predicted, mixture, plan = recorded
    for who in ("zero", "plain"):
        for t in plan.risk_times:
            assert predicted[f"risk/{who}/{t}"] == pytest.approx(
                values[f"risk/{who}/{t}"][0], rel=0.05
            )
    for who in ("plain", "corrected"):
        for t in (50, 100, 200, 300):
            key = f"finish/{who}/{t}"
            assert predicted[key]["offset"] == pytest.approx(
                over_seeds(values, key, "offset").value, rel=0.05
            )
            assert predicted[key]["scatter"] == pytest.approx(
                over_seeds(values, key, "scatter").value, rel=0.01
            )
    for who in ("zero", "plain", "corrected"):
        key = f"noise/{who}"
        for name in ("spread_span", "spread_rest"):
            assert predicted[key][name] == pytest.approx(
                over_seeds(values, key, name).value, rel=0.05
            )
        samples = 12 * (mixture.dim - mixture.n_patterns)
        assert predicted[key]["centre_rest"] == pytest.approx(
            over_seeds(values, key, "centre_rest").value, rel=4 * math.sqrt(2 / samples)
        )


def test_the_summary_gives_what_the_chapter_claims(recorded):
    values, predicted, mixture, plan = recorded
    found = summary(values, predicted, mixture, SCHEDULE, plan)
    assert found["kept"] < 0.035
    assert found["price_plain"] > 5 * found["price_labels"]
    assert found["sliced_bayes"] < 1.25
    assert found["sliced_plain"] > 50
    assert found["distinct_plain"] < 3
    assert found["offset_error"] < 0.05
    assert found["risk_error"] < 0.05
