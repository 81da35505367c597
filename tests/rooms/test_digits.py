"""The study of real digits: its parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.laws.pool import TokenLaw
from gmmtf.results import Recording, load
from gmmtf.risks import formulas
from gmmtf.risks.optimum import oracle_risk
from gmmtf_book.c09_digits_as_tokens import run, summary, token_runs, tokens
from gmmtf_book.c09_digits_as_tokens.setting import LADDER, Setting, initial_growth, span_share

SCHEDULE = NoiseSchedule.linear(1000)
RECORD = Path(__file__).parents[2] / "data" / "results" / "09_digits_as_tokens.json"
PLAN = run.Plan(
    records=[0, 2, 4],
    batch_size=2,
    relative_step_size=0.1,
    n_seeds=1,
    rare_digits=[7],
    rare_probability=0.1,
    n_evaluate=8,
    n_level=2,
    level_times=[0, 500],
    n_direction=40,
    n_predict=64,
)


@cache
def small() -> Setting:
    data = tokens.load(8, per_digit=40, digits=(0, 1, 7))
    return Setting(data, SCHEDULE, n_tokens=16, components=2)


@cache
def recorded() -> dict[str, Any]:
    return load(RECORD)


@cache
def recorded_mixture() -> MultiTokenGMM:
    constants = recorded()["values"]["constants"]
    return MultiTokenGMM(
        n_patterns=10,
        dim=constants["dim"],
        n_tokens=recorded()["settings"]["n_tokens"],
        radius=constants["radius"],
        sigma=constants["sigma"],
    )


@cache
def small_run() -> Recording:
    recording = Recording(None, {})
    run.record(recording, small(), PLAN)
    return recording


def test_all_points_are_made_once_and_are_the_same_again():
    values = small_run().values
    per_seed = {*LADDER, "mean", "rare/7"}
    once = {"constants", "direction", "predicted", "predicted long", "levels"}
    assert set(values) == {f"{name}/0" for name in per_seed} | once
    again = Recording(None, {})
    run.record(again, small(), PLAN)
    assert again.values == values


def test_a_run_that_was_stopped_goes_on(tmp_path):
    path = tmp_path / "points.json"
    first = Recording(path, {"a": 1})
    for key in ("constants", "direction", "real/0", "theory/0"):
        first.point(key, lambda key=key: small_run().values[key])
    second = Recording(path, {"a": 1})
    run.record(second, small(), PLAN)
    assert second.values == small_run().values


def test_the_same_noisy_tokens_measure_all_denoisers():
    setting = small()
    denoisers = setting.denoisers(setting.head())
    found = token_runs.compare(
        denoisers, setting.law("train"), SCHEDULE, 6, 1, reference="empirical", t=200
    )
    assert found["empirical"]["above"] == [0.0, 0.0]
    assert found["start"] == found["head"]  # the head at W = 0
    for name in ("start", "isotropic", "fitted"):
        above = found[name]["loss"][0] - found["empirical"]["loss"][0]
        assert found[name]["above"][0] == pytest.approx(above, abs=1e-9)
        assert above > 0  # on the training tokens nothing is better
    with pytest.raises(ValueError, match="reference: expected one of"):
        token_runs.compare(denoisers, setting.law("train"), SCHEDULE, 2, 1, reference="none")


def test_uniform_attention_is_one_everywhere():
    setting = small()
    noisy = token_runs.draw_noisy(setting.law("test"), SCHEDULE, 200, 1, t=100)
    found = token_runs.attention_by_class(setting.head(), noisy, 3)
    torch.testing.assert_close(
        found, torch.ones(3, 3, dtype=torch.float64) * found.mean(), rtol=0.3, atol=0
    )
    shares = torch.stack([(noisy.labels == u).double().mean() for u in range(3)])
    torch.testing.assert_close(found @ shares, torch.ones(3, dtype=torch.float64))


def test_a_run_without_a_finite_loss_stops_with_a_message():
    endless = TokenLaw(torch.full((1, 8), math.inf), torch.zeros(1, dtype=torch.long), [1.0], 4)
    run = token_runs.descend(
        small().head(), endless, steps=2, relative_step_size=0.5, batch_size=2, seed=0
    )
    with pytest.raises(FloatingPointError, match="at step 1; a smaller step size"):
        list(run)


def test_weights_along_the_means_and_outside():
    setting = small()
    centred = setting.moments.centred_means
    inside = centred.T @ centred
    assert span_share(inside, setting.moments) == pytest.approx(1)
    projector = torch.linalg.pinv(centred) @ centred
    outside = torch.eye(8, dtype=torch.float64) - projector
    assert span_share(outside, setting.moments) == pytest.approx(0, abs=1e-12)


def test_a_rare_pattern_starts_more_slowly_and_an_equal_one_does_not():
    found = initial_growth(small(), 7, 0.02)
    assert found["theory"] > 1
    even = initial_growth(small(), 7, 1 / 3)
    assert even == pytest.approx({"real": 1, "theory": 1})


def test_crossings_are_interpolated():
    steps = [0, 10, 20]
    assert summary.first_step_at(steps, [0.0, 0.4, 0.6], 0.5) == pytest.approx(15)
    assert summary.first_step_at(steps, [0.0, 0.4, 0.4], 0.5) == math.inf


def test_shares_of_the_gain():
    reference = {"by_class": [[1.0, 2.0], [0.5, 1.0]]}
    point = {"by_class": [[1.0, 2.0], [0.75, 1.2]]}
    own, others = summary.gain_shares(point, reference, 0)
    assert own == pytest.approx([0, 0.5])
    assert others == pytest.approx([0, 0.8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"records": [1, 2]}, "records: expected increasing steps from 0 on"),
        ({"records": [0, 4, 2]}, "records: expected increasing steps from 0 on"),
        ({"n_seeds": 0}, "n_seeds: expected at least 1, got 0"),
    ],
)
def test_a_wrong_plan_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        run.Plan(**(vars(PLAN) | change))


def test_a_missing_point_is_named():
    with pytest.raises(ValueError, match="prefix: no point gone/"):
        summary.over_seeds({"real/0": {}}, "gone", float)


def test_the_record_is_at_paper_scale():
    settings, values = recorded()["settings"], recorded()["values"]
    assert settings["dim"] >= 64
    assert settings["n_tokens"] >= 256
    assert values["constants"]["kept"] > 0.9
    for name in (*LADDER, "mean", *(f"rare/{d}" for d in settings["rare_digits"])):
        assert len(summary.seeds_of(values, name)) >= 3


def test_the_record_starts_at_the_closed_form():
    values, mixture = recorded()["values"], recorded_mixture()
    formula = oracle_risk(mixture, SCHEDULE) + formulas.start_risk(mixture, SCHEDULE)
    assert values["predicted"]["loss"][0] == pytest.approx(formula, rel=2e-3)
    for name in ("theory", "means", "covariances", "fitted"):
        for seed in summary.seeds_of(values, name):
            loss, error = values[f"{name}/{seed}"]["loss"][0]
            assert abs(loss - formula) < 4 * error + 0.002 * formula
    # Real losses are measured on other images than those that the moments belong to.
    real, _ = summary.over_seeds(values, "real", lambda point: point["loss"][0][0])
    assert real == pytest.approx(formula, rel=0.03)


def test_the_record_agrees_with_the_theory_about_the_theorys_mixture():
    settings, values = recorded()["settings"], recorded()["values"]
    predicted = run.predicted_curve(
        recorded_mixture(),
        SCHEDULE,
        settings["records"],
        relative_step_size=settings["relative_step_size"],
        n_points=512,
        seed=1,
    )
    assert predicted["gain"][1:] == pytest.approx(values["predicted"]["gain"][1:], rel=0.02)
    for place in range(1, len(settings["records"])):
        gain, error = summary.over_seeds(
            values, "theory", lambda point, place=place: point["gain"][place][0]
        )
        assert abs(gain / predicted["gain"][place] - 1) < 0.05 + 4 * error / gain


def test_what_the_chapter_says_of_the_recorded_run():
    found = summary.summary(recorded()["values"], range(10))
    assert 0.95 < found["gain of theory / predicted"] < 1.05
    assert found["gain of real / predicted"] > 3
    assert found["gain of real / eventually predicted"] > 1.5
    assert found["gain of means / real"] < 0.5
    assert 0.85 < found["gain of covariances / real"] < 1.1
    assert 0.85 < found["gain of fitted / real"] < 1.1
    assert found["first step, general"] > 0.99
    assert 0.97 < found["first step, general_size"] < 1.03
    assert found["first step, patterns"] < 0.95
    above = [found[f"{name} above fitted mixture"] for name in ("head", "isotropic", "start")]
    assert above == sorted(above)
    assert above[0] > 0.05
    assert found["least delay of a rare digit"] > 1.3
    assert found["least delay behind the other digits"] > 1.3
    assert found["largest final share of a rare digit"] < 0.95


def test_the_empirical_optimum_of_the_record_memorises():
    levels = recorded()["values"]["levels"]
    for row in levels["train"]:
        best = min(row[name]["loss"][0] for name in ("head", "isotropic", "fitted"))
        assert row["empirical"]["loss"][0] < 1.02 * best
    low, high = levels["test"][0], levels["test"][-1]
    assert low["empirical"]["loss"][0] > 100 * low["fitted"]["loss"][0]
    assert high["empirical"]["loss"][0] == pytest.approx(high["fitted"]["loss"][0], rel=0.1)
