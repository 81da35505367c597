"""The intervention study: its functions, and the recorded run against theory."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.denoisers.replaced import map_numbers
from gmmtf.results import Recording, load
from gmmtf.risks import formulas
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf_book.c06_mean_denoising import draws as draws
from gmmtf_book.c06_mean_denoising import predictions as predictions
from gmmtf_book.c06_mean_denoising import run as study
from gmmtf_book.c06_mean_denoising import series as curves
from gmmtf_book.c06_mean_denoising.closed_forms import (
    blind_excess,
    foreign_mismatch,
    same_pattern_distance,
)

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=12, radius=4.0, sigma=0.3)
PLAN = study.Plan(
    seeds=[0, 1], times=[100, 400, 900], count_times=[100, 900], counts=[2, 4, 8], n_samples=8,
    batch_size=4, n_points=4,
)  # fmt: skip
RECORDED = load(Path(__file__).parents[2] / "data" / "results" / "06_mean_denoising.json")
PAPER = RECORDED["values"]
LAW = study.law_of(RECORDED["settings"])


@cache
def head_of(seed: int):
    return draws.train_head(
        SMALL, SCHEDULE, steps=3, batch_size=4, relative_step_size=1.0, seed=seed
    )


@cache
def small_run():
    return study.run(Recording(None, {}), head_of, PLAN)


@cache
def paper_summary():
    return study.summary(PAPER, LAW, SCHEDULE)


def test_trained_head_learns_and_its_weight_is_recorded():
    head = head_of(0)
    assert float(head.pattern_products().diagonal().min()) > 0.1
    weight = ReducedWeight.from_json(predictions.weight_point(head))
    left_over = float((head.weight.detach() - weight.to_full(SMALL)).norm())
    assert left_over == pytest.approx(predictions.weight_point(head)["outside"], rel=1e-4)


def test_all_maps_are_drawn_for_the_same_tokens():
    generator = torch.Generator().manual_seed(0)
    x_t, labels, maps = draws.attention_maps(head_of(0), 100, 4, generator)
    assert tuple(maps) == draws.MAPS
    own = head_of(0).attention(x_t, torch.full((4,), 100)).detach()
    torch.testing.assert_close(maps["trained"], own)
    torch.testing.assert_close(maps["other"][1], own[0])
    # The twin shares the labels, not the noise: at low noise it selects the same patterns.
    assert not torch.equal(maps["twin"], own)
    same = [map_numbers(maps[name], labels).same.mean() for name in ("twin", "other")]
    assert same[0] > same[1]
    with pytest.raises(ValueError, match="batch_size: expected at least 2"):
        draws.attention_maps(head_of(0), 100, 1, generator)


def test_labels_with_a_given_count():
    mixture = MultiTokenGMM(
        n_patterns=3, dim=8, n_tokens=12, radius=4.0, sigma=0.3, weights=[0.2, 0.3, 0.5]
    )
    generator = torch.Generator().manual_seed(0)
    labels = draws.labels_with_count(mixture, 5, 4000, generator)
    first = labels[:, :1]
    assert bool(((labels == first).sum(1) == 5).all())
    frequencies = torch.bincount(first[:, 0], minlength=3) / 4000
    torch.testing.assert_close(frequencies.double(), mixture.probabilities, atol=0.03, rtol=0)
    others = labels[first[:, 0] == 0][:, 5:]
    assert float((others == 1).double().mean()) == pytest.approx(0.375, abs=0.03)
    for bad in (0, 12):
        with pytest.raises(ValueError, match="count: expected 1 to 11"):
            draws.labels_with_count(mixture, bad, 2, generator)


def test_simulated_and_predicted_points_have_the_same_entries():
    point = small_run()["0/100"]
    assert set(point["simulated"]["oracle"]) == set(draws.MAPS)
    assert set(point["predicted"]["oracle"]) == set(draws.MAPS)
    assert set(point["predicted"]["bayes"]) == set(draws.MAPS) - {"twin"}
    assert set(point["simulated"]["map"]) < set(point["predicted"]["map"])


def test_run_resumes_and_needs_no_head_when_complete(tmp_path):
    path = tmp_path / "points.json"
    plan = replace(PLAN, seeds=[0], times=[400], count_times=[])
    first = study.run(Recording(path, {"a": 1}), head_of, plan)

    def no_head(seed: int):
        raise AssertionError("a head was trained for points that are there")

    again = study.run(Recording(path, {"a": 1}), no_head, plan)
    assert again == first
    assert first["0/400"] == small_run()["0/400"]


def test_series_average_the_seeds():
    values = small_run()
    found = curves.series(values, "oracle", "trained")
    pairs = np.array([values[f"{s}/400"]["simulated"]["oracle"]["trained"] for s in (0, 1)])
    assert found.times.tolist() == [100, 400, 900]
    assert found.simulated[1] == pytest.approx(pairs[:, 0].mean())
    assert found.spread[1] == pytest.approx(pairs[:, 0].std(ddof=1))
    predicted = [values[f"{s}/400"]["predicted"]["oracle"]["trained"][1] for s in (0, 1)]
    total = np.sqrt((pairs[:, 1] ** 2).sum() + np.square(predicted).sum()) / 2
    assert found.errors[1] == pytest.approx(total)
    with pytest.raises(ValueError, match="expected points"):
        curves.series({}, "oracle", "trained")


def test_parts_add_up_to_the_predicted_excess():
    total = sum(curves.parts(small_run()).values())
    predicted = curves.series(small_run(), "oracle", "trained").predicted
    np.testing.assert_allclose(total, predicted, rtol=1e-10)


def test_misfit_counts_the_larger_tolerance():
    def series(simulated: float, error: float) -> curves.Series:
        one = np.array([1.0])
        return curves.Series(one, one * simulated, one, one * error, one)

    assert curves.misfit(series(1.04, 0.0)) == pytest.approx(0.8)
    assert curves.misfit(series(1.3, 0.1)) == pytest.approx(1.5)
    assert curves.misfit(series(1.3, 0.1), floor=1.0) == pytest.approx(0.3)


def test_crossings_are_interpolated():
    times = np.array([0.0, 10.0, 20.0])
    first, second = np.array([4.0, 2.0, 0.5]), np.ones(3)
    assert curves.crossing(times, first, second) == pytest.approx(15.0)
    with pytest.raises(ValueError, match="no crossing"):
        curves.crossing(times, second, first + 4)
    middle = float(SCHEDULE.alpha_bars[300:302].mean())
    assert curves.time_of(middle, SCHEDULE) == pytest.approx(300.5)
    with pytest.raises(ValueError, match="alpha_bar"):
        curves.time_of(1.5, SCHEDULE)


def test_recorded_run_is_at_paper_scale():
    seeds = [key for key in PAPER if key.endswith("/weight")]
    assert LAW.dim >= 256
    assert LAW.n_tokens >= 512
    assert len(seeds) >= 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_recorded_predictions_can_be_computed_again(seed):
    t = (100, 450, 650)[seed]
    weight = ReducedWeight.from_json(PAPER[f"{seed}/weight"])
    again = predictions.predict(weight, LAW, SCHEDULE, t, n_points=64, seed=7)
    point = PAPER[f"{seed}/{t}"]
    for group, names in (("oracle", draws.MAPS), ("bayes", ("trained", "uniform", "same"))):
        for name in names:
            value = again[group][name][0]
            assert value == pytest.approx(point["predicted"][group][name][0], rel=0.03)
            assert value == pytest.approx(point["simulated"][group][name][0], rel=0.06)


def test_recorded_error_given_count_can_be_computed_again():
    weight = ReducedWeight.from_json(PAPER["1/weight"])
    again = predictions.predict_counts(weight, LAW, SCHEDULE, 450, [2, 64], n_points=16)
    point = PAPER["1/counts/450"]
    for count, (value, _) in again.items():
        assert value == pytest.approx(point["predicted"][count][0], rel=0.03)
        assert value == pytest.approx(point["simulated"][count]["trained"][0], rel=0.06)


def test_recorded_closed_forms_hold_at_every_noise_level():
    uniform, same = (curves.series(PAPER, "oracle", name) for name in ("uniform", "same"))
    for k, t in enumerate(uniform.times.tolist()):
        start = formulas.start_risk(LAW, SCHEDULE, t=t)
        perfect = formulas.mean_denoising_excess(LAW, SCHEDULE, t=t)
        assert uniform.simulated[k] == pytest.approx(start, rel=0.02)
        assert same.simulated[k] == pytest.approx(perfect, rel=0.02)
    to_bayes = curves.series(PAPER, "bayes", "same")
    k = to_bayes.times.tolist().index(650)
    law = same_pattern_distance(LAW, SCHEDULE, 650)
    assert to_bayes.simulated[k] == pytest.approx(law.value, rel=0.02)


def test_recorded_blind_maps_follow_from_the_simulated_numbers_of_the_map():
    # No quadrature here: what the head's maps look like predicts what the maps cost elsewhere.
    for t in (100, 400, 600, 999):
        for seed in (0, 1, 2):
            point = PAPER[f"{seed}/{t}"]["simulated"]
            numbers = {name: value for name, (value, _) in point["map"].items()}
            rho, own = numbers["concentration"], numbers["own"]
            twin = blind_excess(rho, numbers["mismatch"], LAW, SCHEDULE, t)
            foreign = foreign_mismatch(rho, own, LAW)
            other = blind_excess(rho, foreign, LAW, SCHEDULE, t)
            assert point["oracle"]["twin"][0] == pytest.approx(twin, rel=0.06)
            assert point["oracle"]["other"][0] == pytest.approx(other, rel=0.06)


def test_recorded_numbers_bear_the_claims():
    found = paper_summary()
    for name in ("worst_oracle", "worst_bayes", "worst_map", "worst_counts"):
        assert found[name] <= 1, name
    assert found["largest_oracle"] < 0.05
    assert found["mass_low"] > 0.99
    assert found["uniform_over_trained_low"] > 100
    assert found["other_over_uniform_low"] == pytest.approx(1, abs=0.05)
    assert found["trained_over_same_low"] < 1.3
    assert found["trained_over_same_high"] < 0.3
    assert found["slope_low"] == pytest.approx(found["slope_low_predicted"], abs=0.02)
    assert found["slope_same"] == pytest.approx(1, abs=0.02)
    assert found["pythagoras"] < 0.01


def test_recorded_crossings_are_where_theory_puts_them():
    for key in ("risk", "bayes", "uniform"):
        found = paper_summary()
        assert found[f"crossing_{key}"] == pytest.approx(
            found[f"crossing_{key}_predicted"], abs=5
        ), key
    assert found["crossing_bayes"] < found["crossing_risk"] < found["crossing_uniform"]


def test_gap_is_what_the_risks_say():
    times = curves.series(PAPER, "oracle", "trained").times.tolist()
    gap = curves.parts(PAPER)["gap"][times.index(600)]
    bayes = bayes_risk(LAW, SCHEDULE, t=600).value
    assert gap == pytest.approx(bayes - oracle_risk(LAW, SCHEDULE, t=600), rel=0.01)
