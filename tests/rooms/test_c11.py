"""The sampling study: prices, clouds and finishing heads against simulation; the recorded run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.record import Recording
from gmmtf_book.c11_sampling import PLANS, Plan, Study, runs, summary
from gmmtf_book.c11_sampling.laws import cloud_path, finishing, sampler_times
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
    gaps = pd.DataFrame({"labels": label_gaps(mixture, times)}, index=times)
    total = price(gaps, mixture)["labels"].iloc[-1]
    assert total == pytest.approx(math.log(3), rel=0.06)


def test_the_price_of_a_constant_risk_is_the_sum_of_the_weights():
    mixture = MultiTokenGMM(n_patterns=2, dim=8, n_tokens=4, radius=8.0, sigma=0.3)
    found = price(pd.DataFrame({"flat": [0.5, 0.5]}, index=[0, 999]), mixture)["flat"]
    assert found.iloc[-1] == pytest.approx(4 * float(step_weights(SCHEDULE).sum()))
    assert found.iloc[0] == 0


def test_the_price_interpolates_risks_linearly():
    mixture = MultiTokenGMM(n_patterns=2, dim=8, n_tokens=4, radius=8.0, sigma=0.3)
    found = price(pd.DataFrame({"ramp": [0.0, 1.0]}, index=[0, 999]), mixture)["ramp"]
    ramp = torch.arange(1000, dtype=torch.float64) / 999
    expected = 8 * (step_weights(SCHEDULE) * ramp).sum()
    assert found.iloc[-1] == pytest.approx(float(expected))


def test_the_laws_visit_the_times_of_the_sampler():
    mixture = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=4, radius=2.0, sigma=0.3)
    for n_calls in (7, 80, 1000):
        _, trace = runs.followed(lambda x, t: x, mixture, n_calls=n_calls, batch=1, seed=0)
        assert [*sampler_times(n_calls), -1] == trace.index.tolist()
        path = cloud_path(ReducedWeight.zero(mixture), mixture, n_calls)
        assert [cloud.time for cloud in path] == trace.index.tolist()


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_mean_of_the_zero_head_has_its_closed_form(eta):
    mixture = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=4, radius=2.0, sigma=0.3)
    path = cloud_path(ReducedWeight.zero(mixture), mixture, eta=eta)
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
    denoiser = runs.head(weight, mixture, tilt_correction=corrected)
    x = runs.generate(denoiser, mixture, batch=4, seed=0, n_calls=30, eta=eta)
    found = runs.moments(x, mixture)
    path = cloud_path(weight, mixture, 30, eta=eta, tilt_correction=corrected)
    expected = path[-1].moments
    for name in ("spread_span", "spread_rest"):
        assert found[name] == pytest.approx(expected[name], rel=0.1), name
    # 8 and 16 normal numbers.
    assert 0.2 < found["centre_span"] / expected["centre_span"] < 2.8
    assert 0.35 < found["centre_rest"] / expected["centre_rest"] < 2.1


def test_a_runaway_cloud_ends_early():
    mixture = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=4, radius=2.0, sigma=0.3)
    path = cloud_path(uniform_weight(0.3, 2), mixture, eta=0.0)
    assert path[-1].time > 0


@pytest.mark.parametrize("corrected", [False, True])
def test_a_finishing_head_displaces_clusters_as_predicted(corrected):
    mixture = MultiTokenGMM(
        n_patterns=2, dim=24, n_tokens=300, radius=14.0, sigma=0.3, weights=[0.3, 0.7]
    )
    weight = uniform_weight(12 / 14**2, 2)
    switched = runs.handing_over(
        BayesDenoiser(mixture, SCHEDULE),
        runs.head(weight, mixture, tilt_correction=corrected), 250,
    )  # fmt: skip
    x = runs.generate(switched, mixture, n_calls=40, batch=24, seed=1)
    found = runs.distances(x, mixture, seed=1)
    law = finishing(weight, mixture, 40, handover=250, tilt_correction=corrected)
    offset, error = found["offset"].value, found["offset"].standard_error
    assert abs(offset - law.offset) < 4 * error + 0.05 * law.offset
    assert error < 0.1 * offset
    assert law.offset > 5
    assert found["scatter"].value == pytest.approx(law.scatter, rel=0.02)
    assert found["frequency"] < 0.03


def test_handing_over_uses_each_denoiser_where_it_should():
    switched = runs.handing_over(lambda x, t: x + 1, lambda x, t: x - 1, 10)
    x = torch.zeros(2, 3, 4)
    assert float(switched(x, torch.tensor([10, 10])).mean()) == 1
    assert float(switched(x, torch.tensor([9, 9])).mean()) == -1


SMALL = Plan(
    n_patterns=2, dim=16, n_tokens=60, radius=8.0, weights=(0.5, 0.5), training_steps=5,
    n_points=32, risk_times=(10, 900), n_risk_samples=4, n_calls=4, batch=2, seeds=(0, 1),
    handovers=(300,),
)  # fmt: skip


def test_a_small_run_records_every_point_once(tmp_path):
    path = tmp_path / "points.json"
    record = runs.run(SMALL, path)
    expected = [{"kind": "trained"}]
    expected += [{"kind": "risk", "head": w, "t": t} for w in ("zero", "plain") for t in (10, 900)]
    expected += [
        {"kind": "sample", "head": who, "n_calls": 4, "seed": s}
        for who in ("real", "bayes", "zero", "plain", "corrected") for s in (0, 1)
    ]  # fmt: skip
    expected += [
        {"kind": "finish", "head": who, "t": 300, "seed": s}
        for who in ("plain", "corrected") for s in (0, 1)
    ]  # fmt: skip
    assert len(record.points) == len(expected)
    assert all(any(p.has_exactly(labels) for p in record) for labels in expected)
    assert record.points[0].provenance["code"].startswith("gmmtf_book.c11_sampling.runs:")
    before = path.read_text()
    again = runs.run(SMALL, path)
    assert [p.value for p in again] == [p.value for p in record]
    assert path.read_text() == before
    study = Study(again, SMALL)
    assert all(math.isfinite(value) for value in study.numbers().values())
    assert list(study.table().index) == [
        "real data", "Bayes", "W = 0", "trained head", "tilt-corrected",
    ]  # fmt: skip
    with pytest.raises(KeyError, match="nobody"):
        study.samples.loc[(4, "nobody"), "sliced"]


def test_all_times_are_sampled_with_another_number_of_data_points():
    plan = replace(
        SMALL, seeds=(0,), handovers=(300,), risk_times=(900,), ancestral_batch=3, n_tokens=8
    )
    record = runs.run(plan, None)
    found = record.frame(kind="sample", n_calls=1000)
    assert sorted(found["head"]) == ["bayes", "plain", "real"]
    law = plan.mixture
    assert record.value(kind="sample", head="real", n_calls=1000) == runs.real(law, 3, 0)
    assert record.value(kind="sample", head="real", n_calls=4) == runs.real(law, 2, 0)


def test_a_plan_refuses_as_many_calls_as_there_are_times():
    with pytest.raises(ValueError, match="n_calls"):
        Plan(n_calls=1000)


def distances(sliced: float, offset: Estimate) -> dict[str, object]:
    return {"sliced": sliced, "offset": offset}


def test_distances_are_averaged_over_seeds_and_a_single_one_keeps_its_error():
    record = Recording(None, SMALL.settings())
    for seed, offset in ((0, 1.0), (1, 3.0)):
        labels = {"kind": "sample", "n_calls": 4, "seed": seed}
        record.add(distances(2.0 + seed, Estimate(1.0)), 0.0, head="real", **labels)
        record.add(distances(5.0 + 2 * seed, Estimate(offset, 0.3)), 0.0, head="plain", **labels)
    found = Study(record, SMALL).samples.loc[(4, "plain")]
    assert found["offset"] == Estimate(2, 1)
    assert found["sliced"] == Estimate(6, 1)
    assert found["ratio"].value == pytest.approx(6 / 2.5)
    record.drop(seed=1)
    found = Study(record, SMALL).samples.loc[(4, "plain")]
    assert found["offset"] == Estimate(1, 0.3)
    assert found["sliced"].standard_error == 0


@pytest.fixture(scope="module")
def recorded() -> Study:
    return Study.recorded()


def test_the_recorded_run_is_at_paper_scale(recorded):
    mixture, plan = recorded.plan.mixture, recorded.plan
    assert mixture.dim >= 256
    assert mixture.n_tokens >= 512
    assert plan.seeds == (0, 1, 2)
    for n_calls in (plan.n_calls, 1000):
        frame = recorded.record.frame(kind="sample", head="plain", n_calls=n_calls)
        assert sorted(frame["seed"]) == list(plan.seeds)


def test_the_recorded_run_computes_nothing(monkeypatch):
    for name in ("trained", "risk", "generate", "distances", "real"):
        monkeypatch.setattr(runs, name, lambda *_, **__: pytest.fail("computes"))
    before = RECORDED.read_bytes()
    record = runs.run(PLANS["paper"], RECORDED)
    assert len(record.points) == 87
    assert RECORDED.read_bytes() == before


def test_the_recorded_run_agrees_with_theory(recorded):
    measured = recorded.measured_risks()
    for who in ("zero", "plain"):
        for t in recorded.plan.risk_times:
            assert recorded.risks.loc[t, who] == pytest.approx(measured.loc[t, who].value, rel=0.05)
    for who in ("plain", "corrected"):
        for t in (50, 100, 200, 300):
            found = recorded.finished.loc[(t, who)]
            assert found["law"] == pytest.approx(found["offset"].value, rel=0.05)
            assert found["scatter_law"] == pytest.approx(found["scatter"].value, rel=0.01)
    mixture = recorded.plan.mixture
    for who in ("zero", "plain", "corrected"):
        predicted = recorded.cloud(who).iloc[-1]
        found = recorded.samples.loc[(recorded.plan.n_calls, who)]
        for name in ("spread_span", "spread_rest"):
            assert predicted[name] == pytest.approx(found[name].value, rel=0.05)
        samples = 12 * (mixture.dim - mixture.n_patterns)
        assert predicted["centre_rest"] == pytest.approx(
            found["centre_rest"].value, rel=4 * math.sqrt(2 / samples)
        )


def test_the_summary_gives_what_the_chapter_claims():
    found = summary.recorded()
    assert found["paper-kept"] < 0.035
    assert found["paper-price_plain"] > 5 * found["paper-price_labels"]
    assert found["paper-sliced_bayes"] < 1.25
    assert found["paper-sliced_plain"] > 50
    assert found["paper-distinct_plain"] < 3
    assert found["paper-offset_error"] < 0.05
    assert found["paper-risk_error"] < 0.05


def test_the_summary_is_what_the_file_says():
    points = json.loads(RECORDED.read_text(encoding="utf-8"))["points"]

    def mean(name, **labels):
        values = [p["value"][name] for p in points if labels.items() <= p["labels"].items()]
        assert len(values) == 3
        return sum(v["value"] if isinstance(v, dict) else v for v in values) / 3

    found = summary.recorded()
    noise = {"kind": "sample", "n_calls": 100}
    floor = mean("sliced", head="real", **noise)
    for who in ("bayes", "plain"):
        expected = mean("sliced", head=who, **noise) / floor
        assert found[f"paper-sliced_{who}"] == pytest.approx(expected, rel=1e-12)
    fewer = {"kind": "sample", "n_calls": 1000}
    expected = mean("sliced", head="plain", **fewer) / mean("sliced", head="real", **fewer)
    assert found["paper-ancestral"] == pytest.approx(expected, rel=1e-12)
    finish = {"kind": "finish", "head": "plain", "t": 300}
    assert found["paper-offset-300"] == pytest.approx(mean("offset", **finish), rel=1e-12)
    assert found["paper-sliced-300"] == pytest.approx(mean("sliced", **finish) / floor, rel=1e-12)
    head = next(p["value"] for p in points if p["labels"] == {"kind": "trained"})
    assert found["paper-kept"] == pytest.approx(head["end"] / head["start"], rel=1e-12)


def test_numbers_are_quoted_in_per_cent_where_the_prose_has_them_so():
    found = summary.quoted({"kept": 0.03, "paper-kept": 0.02, "owed": 8.0})
    assert found == {"kept": 3.0, "paper-kept": 2.0, "owed": 8.0}
