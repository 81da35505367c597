"""The effective picture's study: its pieces, and the recorded run against theory."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from gmmtf import MultiTokenGMM
from gmmtf.descent import descend
from gmmtf.results import Recording, load
from gmmtf.risks import formulas
from gmmtf.risks.risk import VALIDITY_LIMIT, risk
from gmmtf_book.c07_effective_tokens import limits as limits
from gmmtf_book.c07_effective_tokens import parts as parts
from gmmtf_book.c07_effective_tokens import run as study
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE, Plan, on_patterns

RECORDED = Path(__file__).parents[2] / "data" / "results" / "07_effective_tokens.json"

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


def test_keys_lead_back_to_their_settings():
    assert SMALL.keys == [
        "tokens/24", "tokens/96", "time/100", "time/500", "strength/1", "strength/3.5", "short/2",
    ]  # fmt: skip
    weight, mixture, t = SMALL.setting("strength/3.5")
    assert t is None
    assert mixture.n_tokens == 48
    assert torch.allclose(weight.pattern * 36, 3.5 * torch.eye(3, dtype=torch.float64))
    _, mixture, t = SMALL.setting("tokens/96")
    assert (mixture.n_tokens, t) == (96, 200)
    _, mixture, t = SMALL.setting("short/2")
    assert (mixture.n_patterns, mixture.radius, t) == (2, 3.0, None)
    assert SMALL.setting("time/500")[2] == 500


def test_a_plan_survives_its_record(tmp_path):
    recording = Recording(tmp_path / "points.json", asdict(SMALL))
    recording.point("a", lambda: 1.0)
    settings = load(tmp_path / "points.json")["settings"]
    assert Plan.from_settings(settings) == SMALL
    assert asdict(Plan.from_settings(settings)) == asdict(SMALL)


def test_a_line_has_gaps_where_the_expansion_fails():
    line = study.expansion_line(SMALL, "short", [1, 12], n_points=64)
    weight, mixture, t = SMALL.setting("short/1")
    exact = study.predict(weight, mixture, t, n_points=64)["integral"]
    assert abs(line[0] - exact[0]) < max(0.05 * exact[0], 4 * exact[1])
    assert math.isnan(line[1])


def test_three_numbers_hold_a_symmetric_weight():
    run = list(descend(SMALL.main, SCHEDULE, 4, n_points=256, record_every=4))
    numbers = study.three_numbers(run[-1].weight)
    again = study.from_three_numbers(numbers, SMALL.main)
    # The net of queries is not exactly symmetric in the patterns.
    assert torch.allclose(again.pattern, run[-1].weight.pattern, atol=0.1 * numbers[0])
    assert numbers[0] > 0
    exact = study.three_numbers(again)
    assert exact == pytest.approx(numbers)


def test_points_agree_with_each_other_and_are_computed_once(tmp_path):
    recording = Recording(tmp_path / "points.json", asdict(SMALL))
    found = study.measure(recording, SMALL)
    run = list(descend(SMALL.main, SCHEDULE, 4, n_points=256, record_every=1))
    curve = study.measure_curve(recording, SMALL, run)
    assert set(found) == set(SMALL.keys)
    assert set(curve) == {0, 4}
    for point in (*found.values(), *curve.values()):
        assert len(point["seeds"]) == 2
        for method in ("expansion", "integral"):
            (a, e), (b, f) = point[method], point["simulated"]
            assert abs(a - b) < max(0.05 * b, 4 * math.hypot(e, f))
    again = Recording(tmp_path / "points.json", asdict(SMALL))
    again.point = lambda key, compute: again.values[key]  # any computation would be a KeyError
    assert study.measure(again, SMALL) == found
    assert study.measure_curve(again, SMALL, run) == curve


def test_the_simulation_averages_its_seeds():
    found = study.simulate(on_patterns(SMALL.main, 4.0), SMALL.main, 200, (0, 1), 16)
    (a, e), (b, f) = found["seeds"]
    assert found["simulated"] == pytest.approx([(a + b) / 2, math.hypot(e, f) / 2])
    assert a != b


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
    mixture = SMALL.main
    found = limits.many_tokens(mixture, [10**4, 10**9], on_patterns(mixture, 4.0), n_points=512)
    for (fixed, _), (best, error) in zip(found["fixed"], found["best"], strict=True):
        assert 0 < best < fixed + 3 * error
    assert found["best"][1][0] < found["best"][0][0]


@pytest.fixture(scope="module")
def recorded():
    return load(RECORDED)


def test_the_recorded_run_is_at_paper_scale(recorded):
    plan = Plan.from_settings(recorded["settings"])
    assert plan.dim >= 256
    assert min(plan.n_tokens, *plan.token_counts) >= 512
    assert len(plan.seeds) >= 3
    curve = {f"curve/{step}" for step in plan.curve_steps}
    assert set(recorded["values"]) == {*plan.keys, *curve, "grid", "floor", "floor_by_dim"}


def test_recorded_simulations_agree_with_theory_computed_anew(recorded):
    plan = Plan.from_settings(recorded["settings"])
    for key, point in recorded["values"].items():
        if key in plan.keys:
            weight, mixture, t = plan.setting(key)
        elif key.startswith("curve/"):
            mixture, t = plan.main, None
            weight = study.from_three_numbers(point["weight"], mixture)
        else:
            continue
        found = study.predict(weight, mixture, t, n_points=16)
        simulated, error = point["simulated"]
        assert found["holds"] == point["holds"], key
        method = "expansion" if found["holds"] else "integral"
        value, own_error = found[method]
        assert value == pytest.approx(point[method][0], rel=0.01, abs=4 * own_error), key
        assert abs(value - simulated) < max(0.05 * simulated, 2 * math.hypot(error, own_error)), key


def test_recorded_limits_are_those_computed_anew(recorded):
    values = recorded["values"]
    plan = Plan.from_settings(recorded["settings"])
    last = values[f"curve/{max(plan.curve_steps)}"]["weight"]
    fixed = study.from_three_numbers(last, plan.main)
    endless = replace(plan.main, n_tokens=limits.ENDLESS)
    found = risk(fixed, endless, SCHEDULE).excess_risk.value
    assert found == pytest.approx(values["floor"]["fixed"][-1][0], rel=0.01)
    best = limits.many_tokens(plan.main, [limits.ENDLESS], fixed)["best"][0][0]
    assert best == pytest.approx(values["floor"]["best"][-1][0], rel=0.01)
    some = limits.indicator_grid(plan, n_points=8, every=23)
    for point, stored in zip(some, values["grid"][::23], strict=True):
        assert point["setting"] == stored["setting"]
        if stored["holds"]:
            assert point["error"] < 0.03


def test_the_summary_says_what_the_chapter_claims(recorded):
    found = study.summary(recorded["values"])
    assert found["tolerance"] <= 1
    assert found["curve_worst_error"] < 0.05
    assert found["integral_deviation"] < 4
    assert found["grid_settings"] >= 60
    assert found["grid_held"] >= 30
    assert found["grid_worst_error"] < 0.03
    assert found["grid_smallest_indicator_of_failure"] > VALIDITY_LIMIT
    assert 0 < found["floor_best"] < found["floor_fixed"]
    assert -0.75 < found["floor_exponent"] < -0.58
