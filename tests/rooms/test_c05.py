"""Chapter 5's study: its parts, and the recorded run against theory."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gmmtf import Estimate, ReducedWeight, risk
from gmmtf.laws.level import noise_level
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.record import Recording
from gmmtf.risks import first_step, formulas
from gmmtf.risks.queries import draw_queries
from gmmtf.schedule import stratified_times
from gmmtf_book.c05_tokens_and_patterns import (
    against_filter,
    checks,
    learned,
    one_pattern,
    phases,
    quoted,
    runs,
    summary,
    sweeps,
)
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, SCHEDULE, Case, Plan
from gmmtf_book.c05_tokens_and_patterns.summary import Compared, Study

RAW = Path(__file__).parents[2] / "data" / "results" / "05_tokens_and_patterns.json"

PLAN = Plan(
    dim=64,
    radius=8.0,
    sigma=0.3,
    n_patterns=4,
    n_tokens=96,
    active_counts=(2, 4),
    pattern_counts=(2, 4),
    rarest=(0.1, 0.25),
    token_counts=(96,),
    included=(0.1, 0.5),
    learned=(0.1,),
    filter_active=(),
    filter_checks=(),
    record_at=(2, 4),
    relative_step_size=1.0,
    batch_size=2,
    eval_samples=8,
    n_points=64,
    seeds=(0, 1),
    sweeps=(),
    phase_tokens=(),
)


@pytest.fixture(scope="module")
def study():
    return Study.recorded()


def test_cases_share_their_keys_where_they_are_the_same_law():
    families = PLAN.families()
    assert families["K"][1][-1] == families["K = M"][1][-1] == families["pi_min"][1][-1]
    assert families["K"][1][0].labels != families["K = M"][1][0].labels
    rare = PLAN.mixture(families["pi_min"][1][0])
    assert rare.probabilities.tolist() == pytest.approx([0.1, 0.3, 0.3, 0.3])


def test_a_study_computes_each_point_once(tmp_path, monkeypatch):
    path = tmp_path / "study.json"
    runs.run(PLAN, path)
    for name in ("simulate", "predict", "set_ambiguity"):
        monkeypatch.setattr(runs, name, lambda *_: pytest.fail("computed again"))
    pairs = Study(runs.run(PLAN, path), PLAN).points("K")
    assert len(pairs) == 4
    assert all(0 < pair.simulated.value < 1 and pair.predicted > 0 for pair in pairs)


def test_the_recorded_run_is_complete(tmp_path, monkeypatch):
    path = tmp_path / RAW.name
    path.write_bytes(RAW.read_bytes())

    def refuse(*_, **__):
        pytest.fail("computed again")

    monkeypatch.setattr(Recording, "add", refuse)
    for module, names in {
        runs: ("simulate", "predict", "set_ambiguity", "check_phase"),
        learned: ("simulate", "predict"),
        against_filter: ("simulated", "cell"),
        phases: ("after_descent", "at_best"),
        sweeps: ("steps_to_risk", "tokens_needed", "steps_needed"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    runs.run(PLANS["paper"], path)
    assert path.read_bytes() == RAW.read_bytes()


def test_the_value_of_knowing_the_set_is_that_of_its_definition():
    """Against the excess of one fixed estimate over both denoisers, on the same data."""
    mixture = PLAN.mixture(Case(4, 4, n_active=2))
    found = runs.set_ambiguity(mixture, 4000, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    times = stratified_times(SCHEDULE, 4000, generator)
    labels, active = mixture.sample_labels(4000, generator)
    noise = torch.randn((4000, 4, 4), generator=generator, dtype=torch.float64)
    level = noise_level(mixture, SCHEDULE, times).for_tokens(noise)
    tokens = level.signal * 8.0 * torch.nn.functional.one_hot(labels, 4)
    tokens = tokens + level.variance.sqrt() * noise
    blind = posterior_from_projections(mixture, 8.0 * tokens, level)
    logits = level.signal * 8.0 * tokens / level.variance
    told = torch.softmax(logits.masked_fill(~active[:, None], -math.inf), -1)
    truth = torch.nn.functional.one_hot(labels, 4)
    # Knowing the set brings the estimate closer to the truth by just its value.
    gain = ((blind - truth) ** 2 - (told - truth) ** 2).sum((1, 2)) / 4
    values = (level.gain * level.signal).flatten() ** 2 * gain * 64 / 64
    expected = Estimate.from_samples(values)
    spread = math.hypot(found.standard_error, expected.standard_error)
    assert found.value > 5 * found.standard_error
    assert abs(found.value - expected.value) < 4 * spread


def test_knowing_the_set_is_worth_nothing_if_all_patterns_are_active():
    mixture = PLAN.mixture(Case(4, 8))
    assert runs.set_ambiguity(mixture, 16).value < 1e-20


def test_patterns_share_the_simulated_excess():
    mixture = PLAN.mixture(Case(4, 32, rarest=0.1))
    weight = ReducedWeight(0.05 * torch.eye(4), torch.tensor(0.01))

    def drawn(u):
        (found,) = one_pattern.simulated_excess(
            [weight], mixture, 64, torch.Generator().manual_seed(0), pattern=u
        )
        return found.value

    whole = risk(
        weight,
        mixture,
        SCHEDULE,
        method="simulation",
        n_samples=64,
        generator=torch.Generator().manual_seed(0),
        bayes=Estimate(0.0, 0.0),
    )
    shares = sum(float(p) * drawn(u) for u, p in enumerate(mixture.probabilities))
    assert shares == pytest.approx(whole.excess_risk.value, rel=0.02)


def test_disagreement_is_one_at_the_limit_of_what_is_allowed():
    relative = Compared(Estimate(1.05, 0.001), 1.0)
    noisy = Compared(Estimate(1.2, 0.1), 1.0)
    assert relative.disagreement() == pytest.approx(1)
    assert noisy.disagreement() == pytest.approx(1)


def test_an_unknown_sweep_is_refused():
    with pytest.raises(ValueError, match="sweeps"):
        sweeps.run(Recording(None, {}), replace(PLAN, sweeps=("steps",)))


def test_the_crossover_is_where_both_terms_of_the_first_rate_are_equal():
    """With q as in a mixture of very many patterns: doubling of the quadratic term's rate."""
    mixture = sweeps.law(sweeps.MANY, ratio=1 / 64)
    star = sweeps.crossover(mixture)
    level = noise_level(mixture, SCHEDULE, torch.arange(1000))
    power = (level.gain * level.signal) ** 2
    by_signal = float((power * level.signal**2).mean()) * 16 * star**2
    by_scatter = float((power * level.variance).mean()) * star
    assert by_signal == pytest.approx(by_scatter)


def test_the_first_rate_of_a_sweep_is_that_of_the_limit():
    mixture = sweeps.law(sweeps.MANY, rarest=0.04)
    limit = float(first_step.descent_direction(mixture, SCHEDULE).products(mixture)[0, 0])
    assert sweeps.own_rate(mixture) == pytest.approx(limit, rel=1e-6)


def test_a_cell_of_the_phase_diagram_lies_on_its_side_of_the_line():
    tiny = replace(PLAN, n_points=128)
    few, many = (phases.at_best(tiny.mixture(Case(4, n)), 128) for n in (24, 4096))
    assert few is not None
    assert many is not None
    assert many < 0.5 * few
    edge_few, edge_many = phases.first_step_boundary(tiny, [16, 4096])
    assert edge_few < edge_many


def test_where_the_expansion_fails_a_cell_is_empty():
    short = replace(PLAN, radius=2.0).mixture(Case(4, 4))
    assert phases.at_best(short, 64) is None


def test_the_recorded_runs_are_at_paper_scale(study):
    plan = study.plan
    assert study.record.settings == Recording(None, plan.settings()).settings
    assert plan.dim >= 256
    assert plan.n_tokens >= 512
    assert len(plan.seeds) >= 3
    assert plan.families()["K"][0] == [2, 4, 6, 8]
    assert plan.families()["pi_min"][0][0] <= 0.01


@pytest.mark.parametrize("family", ["K", "K = M", "pi_min", "inclusion", "N"])
def test_recorded_simulations_agree_with_recorded_predictions(study, family):
    for pair in study.points(family):
        assert pair.deviation < 0.05 or pair.standard_errors < 2


@pytest.mark.parametrize(
    "case", [Case(8, 512), Case(8, 512, n_active=2), Case(8, 512, rarest=0.02), Case(16, 512)]
)
def test_recorded_simulations_agree_with_predictions_made_anew(study, case):
    """On another net of queries, and with all patterns' closed form at the start."""
    fresh = runs.predict(replace(study.plan, n_points=1024), case)
    recorded = study.record.value(kind="predicted", **case.labels)["excess"]
    assert fresh["excess"] == pytest.approx(recorded, rel=0.03)
    fresh_pair = Compared(study.compare(case).simulated, fresh["excess"][-1])
    assert fresh_pair.deviation < 0.05 or fresh_pair.standard_errors < 2


def test_the_recorded_start_is_the_closed_form(study):
    mixture = study.plan.mixture(Case(8, 512))
    queries = draw_queries(mixture, SCHEDULE, n_points=4096)
    gap = float((queries.factor * queries.gap).mean())
    start = study.record.value(kind="predicted", **Case(8, 512).labels)["excess"][0]
    assert start == pytest.approx(formulas.start_risk(mixture, SCHEDULE) - gap, rel=2e-3)


def test_recorded_sweeps_can_be_found_again(study):
    record = Recording(None, {})
    names = ("share, r^2/d", "rare, pi_min", "noticed, long")
    sweeps.run(record, replace(study.plan, sweeps=names, sweep_first=2))
    assert len(record.points) == 6
    for point in record.points:
        recorded = study.record.value(**point.labels)
        assert point.value["law"] == pytest.approx(recorded["law"], rel=1e-9)
        assert point.value["found"] == pytest.approx(recorded["found"], rel=0.01)


def test_the_summary_gives_what_the_chapter_claims():
    found = summary.recorded()
    for family in ("K", "K = M", "pi_min", "N"):
        assert found[f"{family} disagreement"] <= 1
    for name in sweeps.SWEEPS:
        assert found[f"{name} low"] <= found[f"{name} exponent"] <= found[f"{name} high"]
    for name in ("share, K = M", "share, r^2/d", "share, step size", "rare, pi_min"):
        assert abs(found[f"{name} exponent"] - found[f"{name} derived"]) < 0.1
    assert found["rare, pi_min least time over derived"] > 0.9
    assert found["rare, pi_min most time over derived"] < 1.1
    assert -1.6 < found["noticed, short exponent"] < -1.3
    assert found["hump of pi_min"] > 1.05
    assert found["phase disagreement"] <= 1


def test_numbers_of_the_summary_straight_from_the_file():
    """Without any code of the room: the hump, an exponent, and a deviation."""
    points = json.loads(RAW.read_text())["points"]

    def simulated(**wanted):
        chosen = [
            p["value"]["excess"][-1]["value"]
            for p in points
            if p["labels"]["kind"] == "simulated"
            and all(p["labels"].get(name) == value for name, value in wanted.items())
        ]
        assert len(chosen) == 3
        return np.mean(chosen)

    found = summary.recorded()
    by_pi = [simulated(M=8, K=8, N=512, pi_min=p) for p in (0.01, 0.02, 0.05, 0.125)]
    assert found["hump of pi_min"] == pytest.approx(max(by_pi) / by_pi[0])
    by_k = [simulated(M=8, K=k, N=512, pi_min=0.125) for k in (2, 4, 6, 8)]
    slope = np.polyfit(np.log([2, 4, 6, 8]), np.log(by_k), 1)[0]
    assert found["K simulated exponent"] == pytest.approx(slope)
    at = {(p["labels"]["sweep"], p["labels"]["x"]): p["value"]["found"]
          for p in points if p["labels"]["kind"] == "sweep"}  # fmt: skip
    x = [0.0625, 0.125, 0.25, 0.5]
    times = [at["share, step size", each] for each in x]
    slope = np.polyfit(np.log(x), np.log(times), 1)[0]
    assert found["share, step size exponent"] == pytest.approx(slope)


def test_tokens_needed_are_found_again(study):
    point = sweeps.tokens_point("target", 0.02, 256)
    recorded = study.record.value(kind="sweep", sweep="tokens, target", x=0.02)
    assert point["found"] == pytest.approx(recorded["found"], rel=0.05)


def test_where_a_column_crosses_the_share():
    """Linear between logarithms: halfway between 0.1 and 0.025 lies 0.05."""
    column = pd.Series([0.4, 0.1, 0.025, 0.01], index=[64, 128, 256, 512])
    assert quoted.tokens_at_share(column) == pytest.approx(128 * 2**0.5)
    with pytest.raises(ValueError, match="cross"):
        quoted.tokens_at_share(column.iloc[:2])


def test_the_diagrams_hold_the_recorded_cells(study):
    found = quoted.diagrams(study)
    assert found.all.shape == (11, 10)
    assert found.best.shape == (11, 9)
    cell = study.record.value(kind="phase", N=512, pi_min=0.02)
    assert (found.all.loc[512, 0.02], found.rare.loc[512, 0.02]) == (cell["all"], cell["rare"])
    assert math.isnan(found.best.loc[64, 4.0])
    assert (0.01, 512, study.record.value(kind="check", N=512, pi_min=0.01)["rare"].value) in (
        found.marks("rare")
    )


def test_a_short_run_checks_what_it_computed():
    kept = {b.number for b in checks.bounds_of({"live rare, pi_min": -2.0})}
    assert "live rare, pi_min" in kept
    assert "live share, K = M" not in kept
    assert "K deviation" in kept
