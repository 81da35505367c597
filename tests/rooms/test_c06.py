"""The intervention study: its functions, and the recorded run against theory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.denoisers.replaced import map_numbers
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf_book import RESULTS
from gmmtf_book.c06_mean_denoising import BOUNDS, PLANS, Study, draws, recorded, summary, tables
from gmmtf_book.c06_mean_denoising.plan import Plan
from gmmtf_book.c06_mean_denoising.predictions import (
    blind_excess,
    foreign_mismatch,
    same_pattern_distance,
)

SCHEDULE = NoiseSchedule.linear(1000)
PLAN = Plan(
    n_patterns=3, dim=8, n_tokens=12, radius=4.0, sigma=0.3,
    steps=3, train_batch=4, relative_step_size=1.0, times=(100, 400, 900), count_times=(100, 900),
    counts=(2, 4, 8), n_samples=8, batch_size=4, n_points=4,
)  # fmt: skip
STUDY = Study(PLAN)
RECORD, LAW = recorded()
PAPER = Study(PLANS["paper"])
FILE = RESULTS / "06_mean_denoising.json"


@cache
def small_run():
    return STUDY.run([0, 1])


@cache
def paper_maps():
    return tables.maps(RECORD)


@cache
def paper_summary():
    return summary.recorded()


def point(kind: str, side: str, seed: int, t: int):
    return RECORD.value(kind=kind, side=side, seed=seed, t=t)


def stored(**labels):
    """Values of the file's points, without the recording that is under test."""
    points = json.loads(FILE.read_text(encoding="utf-8"))["points"]
    return [p["value"] for p in points if labels.items() <= p["labels"].items()]


def test_trained_head_learns_and_its_weight_is_recorded():
    head = STUDY.head(0)
    assert float(head.pattern_products().diagonal().min()) > 0.1
    found = STUDY.weight(0)
    weight = ReducedWeight.from_json(found)
    left_over = float((head.weight.detach() - weight.to_full(STUDY.mixture)).norm())
    assert left_over == pytest.approx(found["outside"], rel=1e-4)


def test_all_maps_are_drawn_for_the_same_tokens():
    generator, head = torch.Generator().manual_seed(0), STUDY.head(0)
    x_t, labels, maps = draws.attention_maps(head, 100, 4, generator)
    assert tuple(maps) == draws.MAPS
    own = head.attention(x_t, torch.full((4,), 100)).detach()
    torch.testing.assert_close(maps["trained"], own)
    torch.testing.assert_close(maps["other"][1], own[0])
    # The twin shares the labels, not the noise: at low noise it selects the same patterns.
    assert not torch.equal(maps["twin"], own)
    same = [map_numbers(maps[name], labels).same.mean() for name in ("twin", "other")]
    assert same[0] > same[1]
    with pytest.raises(ValueError, match="batch_size: expected at least 2"):
        draws.attention_maps(head, 100, 1, generator)


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


def test_means_are_over_the_data_points_of_all_batches():
    batches = [{"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([6.0])}]
    found = draws.means(batches)["a"]
    assert found.value == pytest.approx(3)
    assert found.standard_error == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))


def test_simulated_and_predicted_points_have_the_same_entries():
    simulated, predicted = (
        small_run().value(kind="maps", seed=0, t=100, side=side)
        for side in ("simulated", "predicted")
    )
    assert set(simulated["oracle"]) == set(draws.MAPS)
    assert set(predicted["oracle"]) == set(draws.MAPS)
    assert set(predicted["bayes"]) == set(draws.MAPS) - {"twin"}
    assert set(simulated["map"]) < set(predicted["map"])
    simulated, predicted = (
        small_run().value(kind="counts", seed=0, t=100, side=side)
        for side in ("simulated", "predicted")
    )
    assert simulated["count"] == predicted["count"] == [2, 4, 8]
    assert len(simulated["trained"]) == len(simulated["same"]) == len(predicted["trained"]) == 3


def fail(*arguments, **options):
    raise AssertionError("computed what was recorded")


@pytest.fixture
def idle(monkeypatch):
    """Let every computation of a study fail."""
    for name in ("head", "weight", "simulate", "predict", "simulate_counts", "predict_counts"):
        monkeypatch.setattr(Study, name, fail)


def test_run_resumes_and_needs_no_head_when_complete(tmp_path, monkeypatch):
    path = tmp_path / "points.json"
    study = replace(STUDY, plan=replace(PLAN, times=(400,), count_times=()))
    first = study.run([0], path)
    monkeypatch.setattr(Study, "head", fail)
    again = study.run([0], path)
    assert [p.value for p in again] == [p.value for p in first]
    labels = {"kind": "maps", "seed": 0, "t": 400}
    for side in ("simulated", "predicted"):
        assert first.value(**labels, side=side) == small_run().value(**labels, side=side)


def test_the_paper_run_computes_nothing_over_the_record(tmp_path, idle):
    copy = tmp_path / FILE.name
    copy.write_bytes(FILE.read_bytes())
    found = PAPER.run(range(3), copy)
    assert len(found.points) == len(RECORD.points)
    assert copy.read_bytes() == FILE.read_bytes()
    with pytest.raises(AssertionError, match="computed"):
        PAPER.run(range(4), copy)


def test_tables_average_the_seeds():
    record = small_run()
    found = tables.maps(record).loc["oracle", "trained"]
    each = {
        side: [
            record.value(kind="maps", seed=s, t=400, side=side)["oracle"]["trained"] for s in (0, 1)
        ]
        for side in ("simulated", "predicted")
    }
    assert found.index.tolist() == [100, 400, 900]
    for side, estimates in each.items():
        values = [e.value for e in estimates]
        errors = [e.standard_error for e in estimates]
        assert found[side][400].value == pytest.approx(np.mean(values))
        total = np.sqrt(np.square(errors).sum()) / 2
        assert found[side][400].standard_error == pytest.approx(total)
    with pytest.raises(ValueError, match="expected points"):
        tables.maps(Recording(None, {}))


def test_tables_of_counts_hold_the_law_of_same_pattern_attention():
    found = tables.counts(small_run())
    same = found.predicted[100, "same"].astype(float)
    assert same.to_dict() == {2: 1 / 2, 4: 1 / 4, 8: 1 / 8}
    stored = [small_run().value(kind="counts", seed=s, t=900, side="simulated") for s in (0, 1)]
    mean = np.mean([value["trained"][1].value for value in stored])
    assert found.simulated[900, "trained", 4].value == pytest.approx(mean)


def test_parts_add_up_to_the_predicted_excess():
    law = tables.maps(small_run()).predicted.astype(float)
    parts = [law["parts", name] for name in ("gap", "limit", "tokens")]
    predicted = law["oracle", "trained"]
    np.testing.assert_allclose(sum(parts), predicted, rtol=1e-10)


def test_misfit_counts_the_larger_tolerance():
    def table(simulated: float, error: float) -> pd.DataFrame:
        row = {"simulated": Estimate(simulated, error), "predicted": Estimate(1.0)}
        return pd.DataFrame([row, {"simulated": np.nan, "predicted": Estimate(9.0)}])

    assert tables.misfit(table(1.04, 0.0)) == pytest.approx(0.8)
    assert tables.misfit(table(1.3, 0.1)) == pytest.approx(1.5)
    assert tables.misfit(table(1.3, 0.1), floor=1.0) == pytest.approx(0.3)


def test_misfit_counts_the_errors_of_both_sides():
    row = {"simulated": Estimate(1.5, 0.3), "predicted": Estimate(1.0, 0.4)}
    assert tables.misfit(pd.DataFrame([row])) == pytest.approx(0.5 / (2 * 0.5))


def test_crossings_are_interpolated():
    times = [0.0, 10.0, 20.0]
    first, second = pd.Series([4.0, 2.0, 0.5], times), pd.Series(np.ones(3), times)
    assert tables.crossing(first, second) == pytest.approx(15.0)
    with pytest.raises(ValueError, match="no crossing"):
        tables.crossing(second, first + 4)
    middle = float(SCHEDULE.alpha_bars[300:302].mean())
    assert summary.time_of(middle) == pytest.approx(300.5)
    with pytest.raises(ValueError, match="alpha_bar"):
        summary.time_of(1.5)


def test_recorded_run_is_at_paper_scale():
    assert LAW.dim >= 256
    assert LAW.n_tokens >= 512
    assert len(RECORD.select(kind="weight")) >= 3
    plan = asdict(PAPER.plan)
    assert {name: plan[name] for name in ("steps", "n_points", "relative_step_size")} == {
        name: RECORD.settings[name] for name in ("steps", "n_points", "relative_step_size")
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_recorded_predictions_can_be_computed_again(seed):
    t = (100, 450, 650)[seed]
    weight = ReducedWeight.from_json(RECORD.value(kind="weight", seed=seed))
    again = replace(PAPER, plan=replace(PAPER.plan, n_points=64)).predict(weight, 7, t)
    simulated, predicted = (point("maps", side, seed, t) for side in ("simulated", "predicted"))
    for group, names in (("oracle", draws.MAPS), ("bayes", ("trained", "uniform", "same"))):
        for name in names:
            value = again[group][name].value
            assert value == pytest.approx(predicted[group][name].value, rel=0.03)
            assert value == pytest.approx(simulated[group][name].value, rel=0.06)


def test_recorded_error_given_count_can_be_computed_again():
    weight = ReducedWeight.from_json(RECORD.value(kind="weight", seed=1))
    plan = replace(PAPER.plan, counts=(2, 64), n_points=16)
    again = replace(PAPER, plan=plan).predict_counts(weight, 450)
    simulated, predicted = (point("counts", side, 1, 450) for side in ("simulated", "predicted"))
    assert again["count"] == [2, 64]
    for count, found in zip(again["count"], again["trained"], strict=True):
        k = predicted["count"].index(count)
        assert found.value == pytest.approx(predicted["trained"][k].value, rel=0.03)
        assert found.value == pytest.approx(simulated["trained"][k].value, rel=0.06)


def test_recorded_closed_forms_hold_at_every_noise_level():
    simulated = paper_maps().simulated.astype(float)
    uniform, same = simulated["oracle", "uniform"], simulated["oracle", "same"]
    for t in uniform.index.tolist():
        start = formulas.start_risk(LAW, SCHEDULE, t=t)
        perfect = formulas.mean_denoising_excess(LAW, SCHEDULE, t=t)
        assert uniform[t] == pytest.approx(start, rel=0.02)
        assert same[t] == pytest.approx(perfect, rel=0.02)
    law = same_pattern_distance(LAW, SCHEDULE, 650)
    assert simulated["bayes", "same", 650] == pytest.approx(law.value, rel=0.02)


def test_recorded_blind_maps_follow_from_the_simulated_numbers_of_the_map():
    # No quadrature here: what the head's maps look like predicts what the maps cost elsewhere.
    for t in (100, 400, 600, 999):
        for seed in (0, 1, 2):
            found = point("maps", "simulated", seed, t)
            numbers = {name: estimate.value for name, estimate in found["map"].items()}
            rho, own = numbers["concentration"], numbers["own"]
            twin = blind_excess(rho, numbers["mismatch"], LAW, SCHEDULE, t)
            foreign = foreign_mismatch(rho, own, LAW)
            other = blind_excess(rho, foreign, LAW, SCHEDULE, t)
            assert found["oracle"]["twin"].value == pytest.approx(twin, rel=0.06)
            assert found["oracle"]["other"].value == pytest.approx(other, rel=0.06)


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


def test_summary_against_the_numbers_of_the_file():
    found = paper_summary()
    low = [value["oracle"] for value in stored(kind="maps", side="simulated", t=100)]
    trained, uniform, same = (
        sum(seed[name]["value"] for seed in low) / 3 for name in ("trained", "uniform", "same")
    )
    assert found["uniform_over_trained_low"] == pytest.approx(uniform / trained)
    assert found["above_same_low"] == pytest.approx(trained / same - 1)
    high = stored(kind="maps", side="simulated", t=800)
    assert found["mass_high"] == pytest.approx(sum(v["map"]["same"]["value"] for v in high) / 3)
    columns = stored(kind="counts", side="simulated", t=100)
    counts = columns[0]["count"]
    errors = np.mean([[e["value"] for e in value["trained"]] for value in columns], 0)
    slope = np.polyfit(-np.log(counts), np.log(errors), 1)[0]
    assert found["slope_low"] == pytest.approx(slope)
    norms = [np.linalg.norm(value["pattern"]) for value in stored(kind="weight")]
    outside = max(value["outside"] for value in stored(kind="weight"))
    assert found["outside"] == pytest.approx(outside / min(norms))


def test_every_recorded_bound_has_its_number_and_holds():
    bounds = [bound for bound in BOUNDS if bound.run == "recorded"]
    assert len({bound.number for bound in BOUNDS}) == len(BOUNDS)
    for bound in bounds:
        assert bound.holds(paper_summary()[bound.number]), bound.claim
    # The bounds of the crossings are the predictions, give or take five steps.
    for bound in bounds:
        if bound.number.startswith("crossing"):
            middle = (bound.at_least + bound.at_most) / 2
            assert middle == pytest.approx(paper_summary()[f"{bound.number}_predicted"], abs=0.5)


def test_prose_gets_shares_in_percent_and_few_numbers_of_the_live_run():
    found = summary.prose({"mass_low": 0.25, "few": 2, "live_own_low": 0.5, "live_few": 3})
    assert found == {"mass-low-percent": 25, "few": 2, "live-own-low-percent": 50}


def test_gap_is_what_the_risks_say():
    gap = paper_maps().predicted["parts", "gap", 600].value
    bayes = bayes_risk(LAW, SCHEDULE, t=600).value
    assert gap == pytest.approx(bayes - oracle_risk(LAW, SCHEDULE, t=600), rel=0.01)
