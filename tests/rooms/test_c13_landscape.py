"""The study of the landscape: its parts at a small size, and its recorded points."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.curve import Curve
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import DescentRecord, descend, gradient
from gmmtf.risks import formulas
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf_book import RESULTS
from gmmtf_book.c13_landscape import (
    BOUNDS,
    PLANS,
    Run,
    Study,
    convergence,
    family,
    figures,
    runs,
    summary,
)  # fmt: skip
from gmmtf_book.c13_landscape.plan import Plan

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=24, n_tokens=48, radius=8.0, sigma=0.3)


def test_a_weight_is_read_back_from_a_curve():
    weight = ReducedWeight(
        torch.tensor([[0.1, 0.2, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.1]]), torch.tensor(0.7)
    )
    risks = risk(weight, SMALL, SCHEDULE, method="integral", n_points=8)
    record = DescentRecord(**vars(risks), step=3, weight=weight)
    again = Curve.from_json(Curve.from_records([record], SMALL).as_json()).weight(SMALL)
    assert torch.allclose(again.pattern, weight.pattern)
    assert torch.allclose(again.complement, weight.complement)


def test_the_surface_and_the_line_agree_with_the_closed_form_at_zero():
    gap = oracle_risk(SMALL, SCHEDULE) - float(bayes_risk(SMALL, SCHEDULE))
    start = formulas.start_risk(SMALL, SCHEDULE) + gap

    def simulated(same: float, different: float) -> float:
        generator = torch.Generator().manual_seed(0)
        return family.excess_risk(
            SMALL, same, different, method="simulation", n_samples=256, generator=generator,
            bayes=Estimate(0.0),
        ).value  # fmt: skip

    zero, lower = (family.excess_risk(SMALL, s, method="integral") for s in (0.0, 6.0))
    assert simulated(0, 0) == pytest.approx(start, rel=0.05)
    assert abs(zero.value - start) < 4 * zero.standard_error + 1e-3 * start
    assert simulated(6, 0) == pytest.approx(lower.value, rel=0.15)
    assert simulated(0, -6) < simulated(0, 0)


@cache
def curvature_at_zero(n_patterns: int) -> dict[str, Any]:
    law = law_of(n_patterns)
    return family.curvature(ReducedWeight.zero(law), law, n_points=64)


def law_of(n_patterns: int) -> MultiTokenGMM:
    return MultiTokenGMM(n_patterns=n_patterns, dim=64, n_tokens=64, radius=8.0, sigma=0.3)


def test_curvature_is_that_of_the_objective():
    """The second difference of the risk along the eigenvector is the eigenvalue."""
    weight = family.symmetric_weight(SMALL, 3.0, -1.0)
    found = family.curvature(weight, SMALL, n_points=64)
    slope = gradient(weight, SMALL, SCHEDULE, method="integral", n_points=64)
    norm = (slope.pattern.square().sum() + slope.complement**2).sqrt() / 64
    assert found["gradient"] == pytest.approx(float(norm))
    assert found["smallest"] < found["largest"]
    law = law_of(4)
    at_zero = curvature_at_zero(4)
    direction = torch.tensor(at_zero["direction"], dtype=torch.float64)
    assert float(direction.norm()) == pytest.approx(1, abs=0.01)
    below, centre, above = (
        risk(
            family.weight_with(law, k * direction),
            law,
            SCHEDULE,
            method="integral",
            n_points=32,
        ).excess_risk.value
        for k in (-0.5, 0.0, 0.5)
    )
    assert at_zero["smallest"] < 0
    assert (below + above - 2 * centre) / 0.25 == pytest.approx(at_zero["smallest"], rel=0.3)


@pytest.mark.parametrize(("n_patterns", "bent"), [(2, False), (3, False), (4, True)])
def test_the_objective_bends_down_at_the_start_from_four_patterns_on(n_patterns, bent):
    found = curvature_at_zero(n_patterns)
    share = found["smallest"] / found["largest"]
    assert share < -0.1 if bent else share > -0.01


def test_a_descent_made_in_pieces_is_the_descent_in_one():
    start = family.symmetric_weight(SMALL, -2.0, 1.0)
    rate = natural_step_size(SMALL)
    path = runs.descent(SMALL, [0, 1, 3], method="integral", start=start, lr=rate, n_points=8)
    whole = list(
        descend(
            SMALL,
            SCHEDULE,
            3,
            lr=rate,
            start=start,
            method="integral",
            n_points=8,
            record_every=1,
        )
    )
    assert path.steps == [0, 1, 3]
    for step, products in zip(path.steps, path.products, strict=True):
        assert torch.allclose(products, 64 * whole[step].weight.pattern)
    assert path.excess[-1].value < path.excess[0].value


def test_starts_differ():
    starts = [*family.starting_points(SMALL).values()]
    starts += [family.random_point(SMALL, 5, seed) for seed in range(3)]
    assert len(starts) == 8
    patterns = [weight.pattern for weight in starts]
    assert all(not torch.equal(a, b) for i, a in enumerate(patterns) for b in patterns[:i])
    assert all(float(weight.complement) == 0 for weight in starts)


def test_starts_are_as_they_are_named():
    starts = {n: 64 * w.pattern for n, w in family.starting_points(SMALL).items()}
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.equal(starts["zero"], 0 * eye)
    for name in ("negative", "different", "permuted"):  # attention to another pattern
        assert (starts[name].argmax(dim=1) != torch.arange(3)).all()
    # Adding the same number to all products of a query changes no attention.
    torch.testing.assert_close(starts["different"] - starts["negative"], torch.full_like(eye, 5))
    torch.testing.assert_close(starts["large"], 100 * eye)


def test_random_starts_have_their_size_and_are_the_same_again():
    small, large = (family.random_point(SMALL, size, 3).pattern for size in (5, 10))
    torch.testing.assert_close(large, 2 * small)
    assert torch.equal(family.random_point(SMALL, 5, 3).pattern, small)
    products = torch.stack([64 * family.random_point(SMALL, 5, s).pattern for s in range(300)])
    assert float(products.std()) == pytest.approx(5, rel=0.05)
    assert float(products.mean(0).abs().max()) < 4 * 5 / 300**0.5


def test_a_descent_ends_where_it_reaches_the_level():
    options = {"lr": natural_step_size(SMALL), "n_points": 8}
    start = family.symmetric_weight(SMALL, 1.0)
    at = [0, 1, 2, 4, 5]
    whole = family.descend_to(0.0, start, SMALL, at, **options)
    assert whole.steps == at
    values = [excess.value for excess in whole.excess]
    assert values == sorted(values, reverse=True)
    for level, least, end in ((values[1], 0, 2), (values[1], 3, 4), (9.0, 0, 1), (9.0, 5, 5)):
        path = family.descend_to(level, start, SMALL, at, least=least, **options)
        assert path.steps == at[:end]
        assert path.excess == whole.excess[:end]
        assert torch.equal(path.products, whole.products[:end])


def test_descents_from_other_starts_have_their_start_and_seed_as_labels(monkeypatch):
    """The one from zero goes on to its end; the others end at a level, or at the end."""
    monkeypatch.setattr(runs, "ZERO_STEPS", 40)
    monkeypatch.setattr(runs, "N_RANDOM", 2)
    monkeypatch.setattr(family, "curvature", lambda weight, *_, **__: {
        "gradient": float(weight.pattern.norm()), "smallest": 1.0, "largest": 2.0, "direction": [],
    })  # fmt: skip
    asked = []

    def descent(
        level: float, start: ReducedWeight, law: MultiTokenGMM, at: list[int], **options: Any
    ) -> Curve:
        asked.append((level, at, options))
        excess = [Estimate(1.0 / (1 + step), 0.1) for step in at]
        products = torch.stack([64 * start.pattern * (1 + step) for step in at])
        assert products.shape[1:] == (law.n_patterns,) * 2
        return Curve(at, excess, excess, products, torch.zeros(len(at)))

    monkeypatch.setattr(family, "descend_to", descent)
    plan = replace(PLANS["smoke"], starts_steps=30)
    run = Run(plan, None, torch.device("cpu"))
    run.from_starts()
    labels = [point.labels for point in run.study.record.select(kind="start")]
    random = [{"start": f"random {size}", "seed": seed} for size in (5, 10) for seed in (0, 1)]
    given = [{"start": name} for name in ("negative", "different", "permuted", "large")]
    assert labels == [{"kind": "start", **each} for each in ({"start": "zero"}, *given, *random)]
    early = {*runs.spread_steps(30, 20), 0, 20, 40}
    options = {"lr": plan.step_size, "n_points": 128, "seed": 0, "least": 30}
    assert asked[0] == (0.0, sorted(early), options)
    for level, at, given_options in asked[1:]:
        assert level == pytest.approx(1.1 / 31)
        assert at == sorted({*early, *range(0, runs.MOST_STEPS + 1, 20)})
        assert given_options == options
    starts = run.study.starts()
    first = starts["random 10"][0][0].products[0]
    torch.testing.assert_close(
        first, 64 * family.random_point(plan.mixture, 10, 0).pattern, atol=1e-4, rtol=0
    )
    assert starts["zero"][0][1].value > 0
    # The curvature is taken at the step that is looked at: 31 times the start.
    bent = run.study.curvature()["gradient"]
    assert bent["zero"] == 0
    assert bent["plateau"] == pytest.approx(31 * float(first.norm()) / 64, rel=1e-4)
    before = len(asked)
    run.from_starts()
    assert len(asked) == before


def test_coordinates_of_a_path_are_means_over_pairs():
    products = torch.tensor(
        [[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], [[3.0, 0, 0], [6, 6, 0], [0, 0, 0]]]
    )
    path = Curve([0, 1], [Estimate(1.0)] * 2, [Estimate(1.0)] * 2, products, torch.zeros(2))
    same, different = figures.coordinates(path)
    assert same.tolist() == [5, 3]
    assert different.tolist() == [5, 1]


def test_the_surface_has_a_row_for_each_product_of_different_patterns():
    run = Run(PLANS["smoke"], None, torch.device("cpu"))
    found = run.surface([0.0, 6.0, 12.0], [-6.0, 2.0])
    assert [len(row) for row in found] == [3, 3]
    for different, row in zip((-6.0, 2.0), found, strict=True):
        for same, value in zip((0.0, 6.0, 12.0), row, strict=True):
            assert value == run.simulated(same, different, n_samples=24).value
    assert found[0][1] < found[1][1]
    # All points of a slice are simulated on the same data.
    assert run.simulated(3.0).value == run.simulated(3.0).value


def test_the_recorded_landscape_says_what_the_chapter_claims():
    paper = Study.recorded()
    numbers, law = paper.landscape_numbers(), paper.plan.mixture
    found = paper.arrivals()
    by_start = found.groupby("start")["arrived"]
    assert by_start.size()[["random 5", "random 10"]].tolist() == [10, 10]
    assert numbers["missing"] == 0
    for name in ("negative", "different", "permuted", "random 5"):
        assert 0.9 < numbers[f"early {name}"] <= numbers["worst_early"] < 1.25
    assert numbers["early zero"] == 1
    assert numbers["early random 10"] > 5
    assert numbers["early large"] > 2
    late = by_start.get_group("random 10")
    assert (late > paper.plan.starts_steps).sum() == 6
    assert by_start.max()["random 10"] < by_start.max()["large"]
    assert numbers["check"] < 4
    assert numbers["smallest_at_zero"] < -0.05
    assert numbers["smallest_at_end"] > -1e-3
    for name in ("permuted", "random 10"):
        path, _ = paper.starts()[name][0]
        again = risk(path.weight(law), law, SCHEDULE, method="integral", n_points=32, seed=5)
        assert again.excess_risk.errors_from(path.excess[-1]) < 4


def test_the_recorded_line_has_all_strengths():
    line = Study.recorded().line()
    assert tuple(line) == runs.STRENGTHS
    law = Study.recorded().plan.mixture
    again = family.excess_risk(law, 8, method="integral", n_points=8, seed=3)
    assert again.errors_from(line[8]) < 4


def test_the_recorded_run_is_large_and_its_numbers_lie_within_their_bounds():
    paper = Study.recorded()
    assert paper.record.settings["dim"] >= 256
    assert paper.record.settings["n_tokens"] >= 512
    assert 1 < paper.record.settings["grid_active"] <= 4
    assert paper.plan.grid.n_patterns >= 32
    stored = json.loads((RESULTS / "13_landscape.json").read_text(encoding="utf-8"))["points"]
    bent = next(p["value"] for p in stored
                if p["labels"] == {"kind": "curvature", "place": "zero"})  # fmt: skip
    numbers = summary.recorded()
    assert numbers["smallest_at_zero"] == pytest.approx(bent["smallest"] / bent["largest"])
    for bound in BOUNDS:
        assert bound.run == "live" or bound.holds(numbers[bound.number])


def test_the_recorded_run_computes_nothing(tmp_path, monkeypatch):
    def fail(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("computed")

    monkeypatch.setattr(runs, "risk", fail)
    for name in ("curvature", "descend_to"):
        monkeypatch.setattr(family, name, fail)
    for name in ("steps_in_the_limit", "excess_at"):
        monkeypatch.setattr(convergence, name, fail)
    recorded = RESULTS / "13_landscape.json"
    copy = tmp_path / "record.json"
    copy.write_bytes(recorded.read_bytes())
    run = Run(PLANS["paper"], copy, torch.device("cpu"))
    monkeypatch.setattr(family, "excess_risk", lambda *_, n_points, **__: fail()
                        if n_points == 32 else Estimate(0.0))  # fmt: skip
    run.converge()
    run.exact_line()
    run.from_starts()
    assert copy.read_bytes() == recorded.read_bytes()


def test_the_laws_of_the_plan():
    plan = Plan(n_tokens=9, n_patterns=3, grid_patterns=5, grid_active=2)
    assert (plan.mixture.n_patterns, plan.mixture.k, plan.mixture.n_tokens) == (3, 3, 9)
    assert (plan.with_patterns(6).n_patterns, plan.with_patterns(6).k) == (6, 6)
    assert (plan.grid.n_patterns, plan.grid.k, plan.grid.n_tokens) == (5, 2, 9)
    assert plan.step_size == plan.relative_step_size * natural_step_size(plan.mixture)
