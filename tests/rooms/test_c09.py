"""The study of real digits: its parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, TokenLaw, oracle_risk
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf_book.c09_digits_as_tokens import quoted, runs, summary, token_runs, tokens
from gmmtf_book.c09_digits_as_tokens.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c09_digits_as_tokens.setting import LADDER, Setting, initial_growth, span_share
from gmmtf_book.c09_digits_as_tokens.summary import Study

RAW = Path(__file__).parents[2] / "data" / "results" / "09_digits_as_tokens.json"
PLAN = Plan(
    dim=8, per_digit=40, n_tokens=16, records=(0, 2, 4), batch_size=2, rare_digits=(7,),
    rare_probability=0.1, n_evaluate=8, n_level=2, level_times=(0, 500), n_direction=40,
    n_predict=64,
)  # fmt: skip


@cache
def small() -> Setting:
    data = tokens.load(8, per_digit=40, digits=(0, 1, 7))
    return Setting(data, SCHEDULE, n_tokens=16, components=2)


@cache
def study() -> Study:
    return Study.recorded()


@cache
def recorded_mixture() -> MultiTokenGMM:
    constants = study().record.value(kind="constants")
    return MultiTokenGMM(
        n_patterns=10,
        dim=constants["dim"],
        n_tokens=study().plan.n_tokens,
        radius=constants["radius"],
        sigma=constants["sigma"],
    )


@cache
def small_run() -> Recording:
    return runs.run(PLAN, small(), None)[0]


def by_labels(record: Recording) -> dict[str, object]:
    return {str(sorted(point.labels.items())): point.value for point in record.points}


def test_all_points_are_made_once_and_are_the_same_again():
    kinds = [point.labels["kind"] for point in small_run().points]
    once = {"constants": 1, "direction": 1, "predicted": 2, "levels": 1, "mean": 1, "rare": 1}
    assert {kind: kinds.count(kind) for kind in set(kinds)} == once | {"curve": len(LADDER)}
    again = runs.run(PLAN, small(), None)[0]
    assert by_labels(again) == by_labels(small_run())


def test_a_run_that_was_stopped_goes_on(tmp_path):
    path = tmp_path / "points.json"
    first = Recording(path, PLAN.settings())
    for labels in (
        {"kind": "constants"}, {"kind": "direction"}, {"kind": "curve", "law": "real", "seed": 0},
    ):  # fmt: skip
        first.add(small_run().value(**labels), 0, **labels)
    second, _ = runs.run(PLAN, small(), path)
    assert by_labels(second) == by_labels(small_run())


def test_the_recorded_run_is_complete(tmp_path, monkeypatch):
    """But for the head, which is trained again to be returned, nothing is computed."""
    path = tmp_path / RAW.name
    path.write_bytes(RAW.read_bytes())
    trained = []
    monkeypatch.setattr(runs, "training_curve", lambda *_, **__: trained.append(1) or {})
    for name in ("compare", "predicted_curve", "_levels"):
        monkeypatch.setattr(runs, name, lambda *_, **__: pytest.fail("computed again"))
    monkeypatch.setattr(Setting, "direction", lambda *_, **__: pytest.fail("computed again"))
    plan = PLANS["paper"]
    runs.run(plan, Setting(tokens.load(12, per_digit=40), SCHEDULE, 16, 1), path)
    assert len(trained) == plan.n_seeds
    assert path.read_bytes() == RAW.read_bytes()


def test_the_same_noisy_tokens_measure_all_denoisers():
    setting = small()
    denoisers = setting.denoisers(setting.head())
    found = token_runs.compare(
        denoisers, setting.law("train"), SCHEDULE, 6, 1, reference="empirical", t=200
    )
    assert found["empirical"]["above"] == Estimate(0.0, 0.0)
    assert found["start"] == found["head"]  # the head at W = 0
    for name in ("start", "isotropic", "fitted"):
        above = found[name]["loss"].value - found["empirical"]["loss"].value
        assert found[name]["above"].value == pytest.approx(above, abs=1e-9)
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
    endless = TokenLaw(
        torch.full((1, 8), 1e300, dtype=torch.float64), torch.zeros(1, dtype=torch.long), [1.0], 4
    )
    noisy = token_runs.draw_noisy(small().law("test"), SCHEDULE, 2, 0)
    with pytest.raises(FloatingPointError, match=r"at step 0; .* A smaller step size"):
        token_runs.training_curve(
            small().head(), endless, noisy, records=[0, 2], relative_step_size=0.5, batch_size=2,
            seed=0,
        )  # fmt: skip


def test_a_training_curve_against_a_loop_by_hand():
    """Losses and gains at the recorded steps, with the same random numbers."""
    law, noisy = small().law("train"), token_runs.draw_noisy(small().law("test"), SCHEDULE, 6, 5)
    found = token_runs.training_curve(
        small().head(), law, noisy, records=[0, 3], relative_step_size=0.2, batch_size=2, seed=4
    )
    head = AttentionDenoiser(small().mixture, SCHEDULE)
    mixture, generator = small().mixture, torch.Generator().manual_seed(4)
    lr = 0.2 * mixture.n_patterns**2 * mixture.dim / mixture.radius**6

    def losses():
        with torch.no_grad():
            return (head(noisy.x_t, noisy.t) - noisy.noise).double().square().mean(-1)

    before = losses()
    for _ in range(3):
        x_0 = law.sample(2, generator).x_0
        t = (
            (torch.arange(2) + torch.rand(2, generator=generator, dtype=torch.float64)) * 500
        ).long()
        noise = torch.randn(x_0.shape, generator=generator, dtype=torch.float64).float()
        loss = (head(SCHEDULE.add_noise(x_0, t, noise), t) - noise).square().mean()
        (slope,) = torch.autograd.grad(loss, [head.weight])
        with torch.no_grad():
            head.weight -= lr * slope
    after = losses()
    assert found["steps"] == [0, 3]
    assert found["loss"][1].value == pytest.approx(float(after.mean()), rel=1e-6)
    assert found["gain"][1].value == pytest.approx(float((before - after).mean()), rel=1e-3)
    assert found["by_class"][1][2] == pytest.approx(
        float(after[noisy.labels == 2].mean()), rel=1e-6
    )


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
        ({"records": (1, 2)}, "records: expected increasing steps from 0 on"),
        ({"records": (0, 4, 2)}, "records: expected increasing steps from 0 on"),
        ({"n_seeds": 0}, "n_seeds: expected at least 1, got 0"),
    ],
)
def test_a_wrong_plan_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**(vars(PLAN) | change))


def test_the_record_is_at_paper_scale():
    plan = study().plan
    assert plan == PLANS["paper"]
    assert plan.dim >= 64
    assert plan.n_tokens >= 256
    assert study().record.value(kind="constants")["kept"] > 0.9
    for name in LADDER:
        assert len(study().curves(name)) >= 3
    for digit in plan.rare_digits:
        assert len(study().record.select(kind="rare", digit=digit)) >= 3


def test_the_record_starts_at_the_closed_form():
    mixture = recorded_mixture()
    formula = oracle_risk(mixture, SCHEDULE) + formulas.start_risk(mixture, SCHEDULE)
    start = study().record.value(kind="predicted", length=1)["loss"][0]
    assert start == pytest.approx(formula, rel=2e-3)
    for name in ("theory", "means", "covariances", "fitted"):
        for curve in study().curves(name):
            loss = curve["loss"][0]
            assert abs(loss.value - formula) < 4 * loss.standard_error + 0.002 * formula
    # Real losses are measured on other images than those that the moments belong to.
    assert quoted.start_measured(study()) == pytest.approx(formula, rel=0.03)


def test_the_record_agrees_with_the_theory_about_the_theorys_mixture():
    plan = study().plan
    predicted = runs.predicted_curve(
        Plan(**(vars(plan) | {"n_predict": 512})), recorded_mixture(), seed=1
    )
    recorded = study().record.value(kind="predicted", length=1)
    assert predicted["gain"][1:] == pytest.approx(recorded["gain"][1:], rel=0.02)
    for place in range(1, len(plan.records)):
        gains = np.array([curve["gain"][place].value for curve in study().curves("theory")])
        error = gains.std(ddof=1) / len(gains) ** 0.5
        assert abs(gains.mean() / predicted["gain"][place] - 1) < 0.05 + 4 * error / gains.mean()


def test_what_the_chapter_says_of_the_recorded_run():
    found = summary.recorded()
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


def test_numbers_of_the_summary_straight_from_the_file():
    """Without any code of the room: a gain, an excess, and a delay."""
    points = json.loads(RAW.read_text())["points"]

    def values(**wanted):
        return [
            p["value"] for p in points if all(p["labels"].get(k) == v for k, v in wanted.items())
        ]

    found = summary.recorded()
    (predicted,) = values(kind="predicted", length=1)
    gains = [v["gain"][-1]["value"] for v in values(kind="curve", law="real")]
    assert found["gain of real / predicted"] == pytest.approx(
        np.mean(gains) / predicted["gain"][-1]
    )
    above = [v["head"]["above"]["value"] for v in values(kind="mean")]
    assert found["head above fitted mixture"] == pytest.approx(np.mean(above))
    delays = []
    for digit in (2, 4, 7):
        for seed in range(3):
            (rare,) = values(kind="rare", digit=digit, seed=seed)
            (real,) = values(kind="curve", law="real", seed=seed)
            losses = [np.array(run["by_class"])[:, digit] for run in (rare, real)]
            full = losses[1][0] - losses[1][-1]
            # Gains rise, so the step at half of the full gain can be interpolated.
            at = [np.interp(0.5, (loss[0] - loss) / full, real["steps"]) for loss in losses]
            delays.append(at[0] / at[1])
    assert found["least delay of a rare digit"] == pytest.approx(min(delays))


def test_the_empirical_optimum_of_the_record_memorises():
    train, test = study().losses("train"), study().losses("test")
    for place, own in enumerate(train["empirical"]):
        assert own < 1.02 * min(train[name][place] for name in ("head", "isotropic", "fitted"))
    assert test["empirical"][0] > 100 * test["fitted"][0]
    assert test["empirical"][-1] == pytest.approx(test["fitted"][-1], rel=0.1)
