"""Better heads: the study's parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, ReducedWeight, risk
from gmmtf.estimate import Estimate
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf.risks.head import HeadScalars
from gmmtf_book.c08_better_heads import heads, summary, tilt
from gmmtf_book.c08_better_heads.best_head import KINDS, best_head, clean_context_excess
from gmmtf_book.c08_better_heads.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c08_better_heads.summary import Study

PLAN = Plan(
    n_patterns=3, dim=16, n_tokens=48, radius=6.0, steps=3, batch_size=4, eval_samples=16,
    n_points=32, seeds=(0, 1),
)  # fmt: skip
SMALL = PLAN.mixture
RAW = Path(__file__).parents[2] / "data" / "results" / "08_better_heads.json"


@pytest.fixture(scope="module")
def recorded() -> Study:
    return Study.recorded()


def test_the_best_head_is_no_worse_than_its_neighbours_and_than_kinds_with_less():
    mixture = MultiTokenGMM(n_patterns=4, dim=64, n_tokens=512, radius=8.0, sigma=0.3)
    found = {name: best_head(KINDS[name], mixture, SCHEDULE) for name in ("plain", "skip", "value")}
    plain = found["plain"]
    assert {best.method for best in found.values()} == {"expansion"}
    assert found["skip"].excess.value < plain.excess.value
    assert found["value"].excess.value < 0.5 * plain.excess.value
    for factor in (0.7, 1.4):
        other = ReducedWeight(factor * plain.weight.pattern, plain.weight.complement)
        near = risk(other, mixture, SCHEDULE, n_points=1024, seed=1).excess_risk
        assert near.value > plain.excess.value


def test_where_the_expansion_does_not_hold_the_integral_is_minimised():
    found = best_head(KINDS["value, tilt"], SMALL, SCHEDULE, 300, n_points=16)
    value = best_head(KINDS["value"], SMALL, SCHEDULE, 300, n_points=16)
    assert found.method == "integral"
    assert found.scalars.tilt_correction == 1
    assert found.excess.value < 1.5 * value.excess.value


def test_best_head_refuses_unequal_patterns():
    unequal = MultiTokenGMM(
        n_patterns=2, dim=4, n_tokens=8, radius=2.0, sigma=0.3, weights=[0.3, 0.7]
    )
    with pytest.raises(ValueError, match="weights"):
        best_head(KINDS["plain"], unequal, SCHEDULE)


@pytest.mark.parametrize("name", [*KINDS, *heads.DEEPER])
def test_every_kind_can_be_built_and_trained(name):
    point = heads.trained(replace(PLAN, level_times=(300,)), name, 0)
    assert 0 < point["excess"].value < formulas.start_risk(SMALL, SCHEDULE)
    assert len(point["levels"]) == 1


def test_build_refuses_unknown_names():
    with pytest.raises(ValueError, match="name"):
        heads.build("three heads", SMALL)


def test_the_points_of_a_run_are_kept_and_summed_up(monkeypatch, tmp_path):
    path = tmp_path / "points.json"
    monkeypatch.setattr(heads, "KINDS", {name: KINDS[name] for name in ("plain", "skip")})
    monkeypatch.setattr(heads, "DEEPER", ())
    found = Study(heads.run(PLAN, path), PLAN)
    for name in ("predicted", "trained"):
        monkeypatch.setattr(heads, name, lambda *_: pytest.fail("computed again"))
    again = Study(heads.run(PLAN, path), PLAN)
    assert again.reductions() == found.reductions()
    assert len(again.record.points) == 2 + 2 * 2
    assert found.reductions()["plain"] == summary.Reduction(Estimate(1.0), 1.0)
    assert set(found.reductions()) == {"plain", "skip"}


def test_the_recorded_run_is_complete(monkeypatch, tmp_path):
    path = tmp_path / RAW.name
    path.write_bytes(RAW.read_bytes())
    for module, names in {
        heads: ("predicted", "trained", "retuned"),
        tilt: ("excess", "best"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("computed again"))
    heads.run(PLANS["paper"], path)
    assert path.read_bytes() == RAW.read_bytes()


def test_summary_on_made_points(monkeypatch):
    record = Recording(None, {})
    for head, excess, levels in (("plain", 2.0, [3.0, 1.0]), ("skip", 1.0, [1.0, 1.0])):
        value = {"excess": Estimate(excess), "levels": levels}
        record.add(value, 0, kind="predicted", head=head)
    for head, seed, excess in (
        ("plain", 0, 2.2), ("plain", 1, 1.8), ("skip", 0, 1.32), ("skip", 1, 0.9),
    ):  # fmt: skip
        value = {"excess": Estimate(excess), "levels": [Estimate(1.0), Estimate(1.0)]}
        record.add(value, 0, kind="trained", head=head, seed=seed)
    for t in (1, 2):
        record.add({"excess": Estimate(1.0)}, 0, kind="retuned", head="plain", t=t)
    two = {name: KINDS[name] for name in ("plain", "skip")}
    monkeypatch.setattr(summary, "KINDS", two)
    monkeypatch.setattr(summary, "RETUNED", ("plain",))
    monkeypatch.setattr(summary, "SHOWN", ("plain", "skip"))
    study = Study(record, replace(PLAN, level_times=(1, 2)))
    found = study.reductions()["skip"]
    assert found.measured.value == pytest.approx(0.55)
    assert found.measured.standard_error == pytest.approx(0.05)
    assert found.predicted == 0.5
    assert study.worst() == pytest.approx((0.1, 0.11))
    assert study.retuned()["plain"] == pytest.approx(0.5)


def test_the_clean_context_lies_between_its_limits():
    excess = clean_context_excess(SMALL, SCHEDULE)
    most = formulas.mean_denoising_excess(SMALL, SCHEDULE)
    assert most / SMALL.n_patterns < excess < most
    far = MultiTokenGMM(n_patterns=3, dim=16, n_tokens=48, radius=1e4, sigma=0.3)
    readable = formulas.mean_denoising_excess(far, SCHEDULE)
    assert clean_context_excess(far, SCHEDULE) == pytest.approx(readable, rel=0.01)
    with pytest.raises(ValueError, match="n_active"):
        clean_context_excess(
            MultiTokenGMM(n_patterns=3, dim=4, n_tokens=8, radius=2.0, sigma=0.3, n_active=2),
            SCHEDULE,
        )


def test_floor_curves_agree_with_simulation():
    for strength in (tilt.FIXED_STRENGTH, tilt.bayes_strength()):
        exact = tilt.excess(strength, 60, True, 16)["excess"]
        assert tilt.simulated(strength, 60, True, 60).errors_from(exact) < 4.5


def test_the_centred_weight_is_better_than_the_scaled_identity():
    """The part along 11ᵀ moves the scores of all patterns alike and only adds to the tilt."""
    found = tilt.best(1000, True, 16)
    identity = tilt.excess(found["strength"], 1000, True, 32)["excess"]
    assert found["excess"].value < identity.value


def test_recorded_reductions_are_the_predicted_ones(recorded):
    """With the prediction computed here for the kinds that are cheap."""
    mixture = recorded.plan.mixture
    assert mixture.dim >= 256
    assert mixture.n_tokens >= 512
    found = recorded.reductions()
    plain = best_head(KINDS["plain"], mixture, SCHEDULE).excess.value
    for name in ("tilt", "skip"):
        here = best_head(KINDS[name], mixture, SCHEDULE).excess.value / plain
        assert found[name].measured.value == pytest.approx(here, rel=0.03)
        assert found[name].predicted == pytest.approx(here, rel=0.01)
    for name in ("value", "value, tilt"):
        point = recorded.best(name)
        own = point["same"] - point["different"]
        pattern = point["different"] + own * torch.eye(mixture.n_patterns)
        kappa = point["gamma"] * (mixture.dim - mixture.n_patterns) ** 0.5
        square = mixture.radius**2
        weight = ReducedWeight(pattern / square, torch.tensor(kappa / square))
        scalars = HeadScalars(**{key: point[key] for key in vars(HeadScalars())})
        exact = risk(
            weight, mixture, SCHEDULE, head=scalars, method="integral", n_points=64, seed=5
        ).excess_risk
        assert found[name].measured.value == pytest.approx(exact.value / plain, rel=0.1)
    assert len(recorded.trained()) >= 3


def test_recorded_summary_gives_what_the_chapter_claims():
    found = summary.recorded()
    assert found["worst reduction"] < 0.1
    assert found["worst excess"] < 0.1
    assert found["reduction/value"] < 0.3
    assert found["reduction/tilt"] > 1
    assert found["reduction/depth 2"] < 1
    assert found["reduction/two heads"] < found["reduction/value"]
    assert found["retuned/value"] < 0.8


def test_numbers_of_the_summary_straight_from_the_file():
    """Without any code of the room: a reduction, the retuned ratio and the floor."""
    points = json.loads(RAW.read_text())["points"]

    def values(**wanted):
        return [
            p["value"] for p in points if all(p["labels"].get(k) == v for k, v in wanted.items())
        ]

    def trained(head):
        found = [v["excess"]["value"] for v in values(kind="trained", head=head)]
        assert len(found) == 3
        return np.array(found)

    found = summary.recorded()
    ratio = np.mean(trained("value") / trained("plain"))
    assert found["reduction/value"] == pytest.approx(ratio)
    own = [v["excess"]["value"] for v in values(kind="retuned", head="value")]
    (one,) = values(kind="predicted", head="value")
    assert found["retuned/value"] == pytest.approx(sum(own) / sum(one["levels"]))
    (limit,) = values(kind="floor", curve="limit", N=10**6)
    assert found["floor limit"] == limit["excess"]["value"]


def test_recorded_floor(recorded):
    floor = recorded.floor()
    for n in (1000, 10**6):
        for name in ("plain", "corrected"):
            again = tilt.excess(*(tilt.CURVES[name][0], n, tilt.CURVES[name][1]), 64)["excess"]
            assert again.errors_from(floor.loc[n, name]) < 4.5
    assert floor.loc[10**6, "limit"].value == pytest.approx(0.43, abs=0.05)
    last = floor.loc[10**12]
    assert last["best corrected"].value < 0.02 * last["best plain"].value
