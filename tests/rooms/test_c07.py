"""The effective picture's study: its pieces, and the recorded run against theory."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM
from gmmtf.descent import descend
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf.risks.risk import risk
from gmmtf_book import RESULTS
from gmmtf_book.c07_effective_tokens import limits, parts, runs, search, summary
from gmmtf_book.c07_effective_tokens.plan import PLANS, SCHEDULE, SWEEPS, Plan, on_patterns
from gmmtf_book.c07_effective_tokens.runs import Study

RAW = RESULTS / "07_effective_tokens.json"

SMALL = Plan(
    dim=32,
    n_tokens=48,
    n_patterns=3,
    radius=6.0,
    sigma=0.3,
    short_patterns=2,
    short_radius=3.0,
    strength=4.0,
    time=200,
    token_counts=(24, 96),
    times=(100, 500),
    strengths=(1, 3.5),
    short_strengths=(2,),
    curve_steps=(0, 4),
    seeds=(0, 1),
    n_simulated=64,
    n_points=16,
)
FLAT = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=300, radius=3.0, sigma=0.3)
QUERY = torch.tensor([2.4, 0.5], dtype=torch.float64)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_values_lead_back_to_their_settings():
    assert [SMALL.values(kind) for kind in SWEEPS] == [(24, 96), (100, 500), (1, 3.5), (2,)]
    weight, mixture, t = SMALL.setting("strength", 3.5)
    assert t is None
    assert mixture.n_tokens == 48
    assert torch.allclose(weight.pattern * 36, 3.5 * torch.eye(3, dtype=torch.float64))
    _, mixture, t = SMALL.setting("tokens", 96)
    assert (mixture.n_tokens, t) == (96, 200)
    _, mixture, t = SMALL.setting("short", 2)
    assert (mixture.n_patterns, mixture.radius, t) == (2, 3.0, None)
    assert SMALL.setting("time", 500)[2] == 500


def test_a_file_keeps_the_settings_of_its_plan(tmp_path):
    study = Study.open(SMALL, tmp_path / "points.json")
    study.record.point(lambda: 1.0, kind="a")
    settings = Recording(tmp_path / "points.json").settings
    assert settings == Recording(None, SMALL.settings()).settings
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()} == {
        name: v for name, v in vars(SMALL).items() if name not in SMALL.unrecorded
    }


def test_a_line_has_gaps_where_the_expansion_fails():
    line = runs.expansion_line(SMALL, "short", [1, 12], n_points=64)
    exact = runs.predict(SMALL.setting("short", 1), n_points=64)["integral"]
    assert abs(line[0] - exact.value) < max(0.05 * exact.value, 4 * exact.standard_error)
    assert math.isnan(line[1])


def test_three_numbers_hold_a_symmetric_weight():
    run = list(descend(SMALL.main, SCHEDULE, 4, n_points=256, record_every=4))
    numbers = runs.three_numbers(run[-1].weight)
    again = runs.from_three_numbers(numbers, SMALL.main)
    # The net of queries is not exactly symmetric in the patterns.
    assert torch.allclose(again.pattern, run[-1].weight.pattern, atol=0.1 * numbers[0])
    assert numbers[0] > 0
    exact = runs.three_numbers(again)
    assert exact == pytest.approx(numbers)


def test_points_agree_with_each_other_and_are_computed_once(tmp_path, monkeypatch):
    path = tmp_path / "points.json"
    found = Study.open(SMALL, path)
    runs.sweeps(found)
    run = list(descend(SMALL.main, SCHEDULE, 4, n_points=256, record_every=1))
    runs.curve(found, run)
    points = found.points(*SWEEPS, "curve")
    assert len(points) == 2 + 2 + 2 + 1 + 2
    assert sorted(found.points("curve")["x"]) == [0, 4]
    for point in points.itertuples():
        assert len(point.seeds) == 2
        for exact in (point.expansion, point.integral):
            apart = exact - point.simulated
            allowed = max(0.05 * point.simulated.value, 4 * apart.standard_error)
            assert abs(apart.value) < allowed
    monkeypatch.setattr(runs, "measured", lambda *_: pytest.fail("computed again"))
    again = Study.open(SMALL, path)
    runs.sweeps(again)
    runs.curve(again, run)
    assert again.record.points == found.record.points


def test_the_simulation_averages_its_seeds():
    found = runs.simulate((on_patterns(SMALL.main, 4.0), SMALL.main, 200), (0, 1), 16)
    a, b = found["seeds"]
    error = math.hypot(a.standard_error, b.standard_error) / 2
    assert found["simulated"].value == pytest.approx((a.value + b.value) / 2)
    assert found["simulated"].standard_error == pytest.approx(error)
    assert a.value != b.value


def test_the_cloud_is_that_of_its_law():
    cloud = parts.token_cloud(replace(FLAT, n_tokens=60_000), 4.0, QUERY, 200, seeded())
    assert float(cloud.attention.sum()) + cloud.own == pytest.approx(1)
    assert torch.allclose(cloud.average, cloud.limit, atol=0.02)
    measured = 1 / float(cloud.attention.square().sum())
    assert measured == pytest.approx(cloud.effective, rel=0.05)
    assert torch.allclose(cloud.labels.sum(1), torch.ones(3, dtype=torch.float64))
    tokens = cloud.tokens
    weighted = cloud.attention[:, None] * (tokens - cloud.average) ** 2
    # Under the weights the spread about each mean stays τ; the labels add a little.
    assert float(weighted.sum(0).min()) > 0.9 * cloud.spread**2


def test_averages_scatter_as_predicted():
    averages, radius = parts.average_again(FLAT, 4.0, QUERY, 200, n_draws=2000, generator=seeded())
    limit = parts.token_cloud(FLAT, 4.0, QUERY, 200, seeded()).limit
    measured = float((averages - limit).square().sum(1).mean().sqrt())
    assert measured == pytest.approx(radius, rel=0.05)


@pytest.mark.parametrize("changed", [{"dim": 3}, {"n_patterns": 1}])
def test_the_picture_is_a_plane(changed):
    with pytest.raises(ValueError, match="mixture: expected two patterns in two dimensions"):
        parts.token_cloud(replace(FLAT, **changed), 4.0, QUERY, 200, seeded())


@pytest.mark.parametrize("t", [100, 500])
@pytest.mark.parametrize("strength", [0.0, 6.0])
def test_effective_numbers_are_those_of_the_attention(t, strength):
    mixture = replace(SMALL.main, n_tokens=256)
    weight = on_patterns(mixture, strength)
    expected = parts.effective_tokens(weight, mixture, t)
    found = parts.participating_tokens(weight, mixture, t, n_samples=32, generator=seeded())
    assert found == pytest.approx(expected, rel=0.05)
    if strength == 0:
        assert found == pytest.approx(256)


@pytest.mark.parametrize("t", [None, 300])
def test_the_parts_make_the_risk(t):
    weight = on_patterns(SMALL.main, 5.0)
    found = parts.decompose(weight, SMALL.main, t)
    total = found.pop("total")
    assert sum(found.values()) == pytest.approx(total)
    excess = risk(weight, SMALL.main, SCHEDULE, t=t).excess_risk
    assert total == pytest.approx(excess.value, rel=0.02)
    # What is not named is small, so the named parts are computed from the right moments.
    assert abs(found["rest"]) < 0.03 * total
    endless = replace(SMALL.main, n_tokens=limits.ENDLESS)
    lasting = found["wrong patterns"] + found["tilt"] + found["product"]
    assert lasting == pytest.approx(parts.decompose(weight, endless, t)["total"], rel=1e-6)


def test_the_variance_is_mean_denoising_where_attention_selects():
    mixture = replace(SMALL.main, radius=64.0, n_tokens=4096)
    found = parts.decompose(on_patterns(mixture, 20.0), mixture, 200)
    law = formulas.mean_denoising_excess(mixture, SCHEDULE, t=200)
    assert found["variance"] == pytest.approx(law, rel=0.05)
    assert found["tilt"] == pytest.approx(
        formulas.tilt_floor(on_patterns(mixture, 20.0), mixture, SCHEDULE, t=200), rel=0.01
    )


def test_best_weights_beat_a_fixed_one_and_leave_a_floor():
    fixed, counts = on_patterns(SMALL.main, 4.0), [10**4, 10**9]
    record = Recording(None, {})
    found = limits.many_tokens(record, SMALL.main, counts, fixed, n_points=512)
    for row in found.itertuples():
        assert 0 < row.best.value < row.fixed.value + 3 * row.best.standard_error
    assert found["best"][1].value < found["best"][0].value


@pytest.fixture(scope="module")
def recorded():
    return Study.recorded()


def test_the_recorded_run_is_at_paper_scale(recorded):
    plan = recorded.plan
    assert plan.dim >= 256
    assert min(plan.n_tokens, *plan.token_counts) >= 512
    assert len(plan.seeds) >= 3
    assert recorded.record.settings == Recording(None, plan.settings()).settings


def test_the_recorded_run_is_complete(monkeypatch, tmp_path):
    path = tmp_path / RAW.name
    path.write_bytes(RAW.read_bytes())

    def fail(*_, **__):
        pytest.fail("computed again")

    monkeypatch.setattr(runs, "measured", fail)
    monkeypatch.setattr(search, "compare", fail)
    for name in ("_indicator", "_best", "_excess"):
        monkeypatch.setattr(limits, name, fail)
    plan = PLANS["paper"]
    study = Study.open(plan, path)
    runs.sweeps(study)
    runs.curve(study, [SimpleNamespace(step=step, weight=None) for step in plan.curve_steps])
    assert len(limits.indicator_grid(study)) == 288
    counts = plan.many_counts
    assert len(limits.many_tokens(study.record, plan.main, counts, study.last_weight())) == 10
    assert len(limits.floor_by_dimension(study.record, plan.main, plan.floor_dims)) == 5
    assert len(search.random_cases(study)) == 2500
    sizes = sum(len(plan.values(kind)) for kind in SWEEPS) + len(plan.curve_steps)
    assert len(study.record.points) == sizes + 288 + 10 + 5 + 25
    assert path.read_bytes() == RAW.read_bytes()


def test_recorded_simulations_agree_with_theory_computed_anew(recorded):
    plan = recorded.plan
    for point in recorded.points(*SWEEPS, "curve").itertuples():
        name = f"{point.kind} {point.x}"
        if point.kind == "curve":
            setting = (runs.from_three_numbers(point.weight, plan.main), plan.main, None)
        else:
            setting = plan.setting(point.kind, point.x)
        found = runs.predict(setting, n_points=16)
        assert found["holds"] == point.holds, name
        method = "expansion" if point.holds else "integral"
        here, stored, simulated = found[method], getattr(point, method), point.simulated
        error = here.standard_error
        assert here.value == pytest.approx(stored.value, rel=0.01, abs=4 * error), name
        allowed = max(0.05 * simulated.value, 2 * (here - simulated).standard_error)
        assert abs(here.value - simulated.value) < allowed, name


def test_recorded_limits_are_those_computed_anew(recorded):
    plan, stored = recorded.plan, recorded.record.value(kind="floor", N=limits.ENDLESS)
    fixed = recorded.last_weight()
    endless = replace(plan.main, n_tokens=limits.ENDLESS)
    found = risk(fixed, endless, SCHEDULE).excess_risk.value
    assert found == pytest.approx(stored["fixed"].value, rel=0.01)
    table = limits.many_tokens(Recording(None, {}), plan.main, [limits.ENDLESS], fixed)
    assert table["best"][0].value == pytest.approx(stored["best"].value, rel=0.01)
    some = Study.open(replace(plan, grid_points=8, grid_every=23))
    grid = limits.indicator_grid(some)
    kept = recorded.record.frame(kind="grid")[::23].reset_index(drop=True)
    axes = ["radius", "sigma", "N", "K", "t", "strength"]
    assert grid[axes].equals(kept[axes])
    assert (grid.loc[kept["holds"], "error"] < 0.03).all()


def test_the_summary_says_what_the_chapter_claims():
    found = summary.recorded()
    assert found["tolerance"] <= 1
    assert found["curve_worst_error"] < 0.05
    assert found["integral_deviation"] < 4
    assert found["grid_settings"] >= 60
    assert found["grid_held"] >= 30
    assert found["grid_worst_error"] < 0.03
    assert found["grid_smallest_indicator_of_failure"] > 1
    assert 0 < found["floor_best"] < found["floor_fixed"]
    assert -0.75 < found["floor_exponent"] < -0.58


def test_numbers_of_the_summary_straight_from_the_file():
    """Without any code of the room: the curve's worst error, the grid's, and the floor's slope."""
    points = json.loads(RAW.read_text())["points"]

    def values(kind):
        return [(p["labels"], p["value"]) for p in points if p["labels"]["kind"] == kind]

    found = summary.recorded()
    curve = [v["expansion"]["value"] / v["simulated"]["value"] - 1 for _, v in values("curve")]
    assert found["curve_worst_error"] == pytest.approx(max(map(abs, curve)))
    grid = [value["error"] for _, value in values("grid") if value["holds"]]
    assert found["grid_worst_error"] == max(grid)
    floor = [(label["d"], value["best"]["value"]) for label, value in values("floor_by_dim")]
    slope = np.polyfit(*np.log(np.array(floor)).T, 1)[0]
    assert found["floor_exponent"] == pytest.approx(slope)
