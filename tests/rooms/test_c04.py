"""The study of gradient descent: its parts at a small size, and its recorded run against theory."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.risks import formulas
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf_book import RESULTS
from gmmtf_book.c04_training import BOUNDS, descent, growth, paper, summary
from gmmtf_book.c04_training.record import Points, labels_of, name_of

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=3, dim=12, n_tokens=24, radius=6.0, sigma=0.3)


def made_curve(excess: list[float], error: float = 0.1) -> descent.Curve:
    count = len(excess)
    return {
        "step": list(range(count)),
        "excess": [[value, error] for value in excess],
        "score": [[2 * value, error] for value in excess],
        "products": [[[value, 0.0], [0.0, value]] for value in excess],
        "complement": [0.0] * count,
    }


def test_steps_are_spread_from_the_first_to_the_last():
    steps = descent.spread_steps(100, 10)
    assert steps[:2] == [0, 1]
    assert steps[-1] == 100
    assert steps == sorted(set(steps))
    assert descent.spread_steps(1, 5) == [0, 1]


@pytest.mark.parametrize(("arguments", "name"), [((0, 3), "last"), ((3, 0), "count")])
def test_no_steps_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        descent.spread_steps(*arguments)


def test_simulated_and_predicted_curves_start_at_the_closed_form_and_agree():
    rate, at = natural_step_size(SMALL), [0, 2, 8]
    simulated = descent.simulated_curve(
        SMALL, SCHEDULE, at, lr=rate, seed=1, batch_size=32, eval_samples=512
    )
    predicted = descent.predicted_curve(SMALL, SCHEDULE, at, lr=rate, n_points=1024)
    gap = oracle_risk(SMALL, SCHEDULE) - float(bayes_risk(SMALL, SCHEDULE))
    start = formulas.start_risk(SMALL, SCHEDULE) + gap
    for curve in (simulated, predicted):
        assert curve["step"] == at
        value, error = curve["excess"][0]
        assert abs(value - start) < 4 * error + 0.005 * start
        assert curve["products"][0] == torch.zeros(3, 3).tolist()
    assert descent.deviation(simulated, predicted) < 0.15
    found, expected = (torch.tensor(c["products"][-1]) for c in (simulated, predicted))
    assert (found - expected).abs().max() < 0.15 * expected.max()


def test_the_first_steps_may_have_batches_of_their_own_size():
    def end(**sizes: int) -> Any:
        return descent.simulated_curve(
            SMALL, SCHEDULE, [0, 1], lr=1e-3, seed=0, batch_size=4, eval_samples=2, **sizes
        )["products"][-1]

    assert end(first_steps=1, first_batch_size=4) == end()
    assert end(first_steps=1, first_batch_size=8) != end()


def test_a_walk_outside_the_family_is_told_from_a_drift():
    generator = torch.Generator().manual_seed(0)
    inside = ReducedWeight(torch.eye(3), torch.tensor(0.5)).to_full(SMALL)
    steps = torch.randn(200, 12, 12, generator=generator, dtype=torch.float64) / 100
    weights = [inside * 0, *(inside + part for part in steps.cumsum(0))]
    norms, walk = descent.outside_family(weights, SMALL)
    assert norms[0] == walk[0] == 0
    assert 0.8 < norms[-1] / walk[-1] < 1.2
    direction = torch.zeros(12, 12, dtype=torch.float64)
    direction[0, 7] = 0.1
    drift, unaware = descent.outside_family([k * direction for k in range(101)], SMALL)
    assert drift[-1] == pytest.approx(10 * unaware[-1])
    assert descent.outside_family([inside], SMALL)[0][0] == pytest.approx(0, abs=1e-12)


def test_the_mean_of_runs_has_smaller_errors():
    mean = descent.mean_curve([made_curve([4.0, 1.0]), made_curve([2.0, 0.5])])
    assert mean["excess"] == [
        [3.0, pytest.approx(0.1 / 2**0.5)],
        [0.75, pytest.approx(0.0707, 1e-2)],
    ]
    assert descent.kept(mean) == 0.25
    assert descent.deviation(made_curve([4.0, 1.1]), made_curve([4.0, 1.0])) == pytest.approx(0.1)


@pytest.mark.parametrize("curves", [[], [made_curve([1.0]), made_curve([1.0, 2.0])]])
def test_runs_that_cannot_be_averaged_are_refused(curves):
    with pytest.raises(ValueError, match="curves: expected"):
        descent.mean_curve(curves)


def test_the_summary_needs_simulated_runs():
    with pytest.raises(ValueError, match="simulated/"):
        descent.descent_summary({"predicted": made_curve([1.0])})


def test_measured_growth_rates_are_those_of_the_closed_form():
    law = MultiTokenGMM(
        n_patterns=3, dim=12, n_tokens=32, radius=6.0, sigma=0.3, weights=[0.1, 0.3, 0.6]
    )
    found = growth.growth_rates(law, SCHEDULE, n_batches=24, batch_size=32, seed=0)
    rate, error = torch.tensor(found["rate"]), torch.tensor(found["error"])
    expected = torch.tensor(growth.predicted_rates(law, SCHEDULE), dtype=torch.float32)
    assert ((rate - expected).abs() < 4.5 * error).all()
    assert (error < 0.2 * expected.abs().max()).all()
    ratio, spread = growth.rate_ratio([found], 2, 0)
    assert abs(ratio - expected[2, 2] / expected[0, 0]) < 4 * spread
    with pytest.raises(ValueError, match="n_batches: expected at least 2, got 1"):
        growth.growth_rates(law, SCHEDULE, n_batches=1, batch_size=2, seed=0)


@cache
def recorded() -> tuple[dict[str, Any], dict[str, Any]]:
    points = paper()
    return points.values, points.settings


def recorded_law(**changes: Any) -> MultiTokenGMM:
    _, settings = recorded()
    names = ("n_patterns", "dim", "n_tokens", "radius", "sigma")
    return MultiTokenGMM(**({name: settings[name] for name in names} | changes))


def unequal_law() -> MultiTokenGMM:
    _, settings = recorded()
    weights = settings["rare_weights"]
    return recorded_law(
        n_patterns=len(weights), n_tokens=settings["rare_n_tokens"], weights=weights
    )


def test_the_recorded_run_is_at_paper_scale():
    values, settings = recorded()
    assert settings["dim"] >= 256
    assert min(settings["n_tokens"], settings["rare_n_tokens"]) >= 512
    assert min(settings["rare_weights"]) == 0.01
    for prefix in ("simulated/", "products/", "rates/"):
        assert len(descent.runs(values, prefix)) >= 3


def test_the_recorded_descent_follows_a_prediction_made_anew():
    """F2A: below 3 % of the start, and within 5 % of the predicted curve from end to end."""
    values, settings = recorded()
    law = recorded_law()
    rate = settings["relative_step_size"] * natural_step_size(law)
    mean = descent.mean_curve(descent.runs(values, "simulated/"))
    predicted = descent.predicted_curve(
        law, SCHEDULE, mean["step"], lr=rate, n_points=1024, seed=settings["seed"] + 17
    )
    assert mean["step"][0] == 0
    assert mean["step"][-1] == settings["steps"]
    assert descent.deviation(mean, predicted) < 0.05
    assert descent.deviation(values["predicted"], predicted) < 0.02
    assert descent.kept(mean) < 0.03
    assert mean["excess"][-1][1] < 0.02 * mean["excess"][-1][0]


def test_the_recorded_products_follow_a_prediction_made_anew():
    """F4: the growth rates at the start, and the curves of the products."""
    values, settings = recorded()
    law = unequal_law()
    expected = growth.predicted_rates(law, SCHEDULE)
    assert values["rates"] == pytest.approx(torch.tensor(expected).numpy(), rel=1e-5)
    ratio, error = growth.rate_ratio(descent.runs(values, "rates/"), 3, 0)
    assert abs(ratio / (expected[3][3] / expected[0][0]) - 1) < 0.1
    assert error < 0.05 * ratio
    rate = settings["rare_relative_step_size"] * natural_step_size(law)
    mean = descent.mean_curve(descent.runs(values, "products/"))
    predicted = descent.predicted_curve(law, SCHEDULE, mean["step"], lr=rate)
    found, theory = (torch.tensor(curve["products"]) for curve in (mean, predicted))
    assert (found - theory).abs().max() < 0.15


def test_the_summaries_say_what_the_chapter_claims():
    values, settings = recorded()
    run = descent.descent_summary(values)
    assert run["kept"] < 0.03
    assert run["kept_score"] < 0.03
    assert run["deviation"] < 0.05
    assert run["deviation"] <= run["deviation_one_seed"]
    pairs = growth.growth_summary(values, settings["rare_weights"])
    assert pairs["ratio_deviation"] < 0.1
    assert pairs["rarest_same_end"] > 2
    assert pairs["commonest_same_end"] > 2
    assert pairs["commonest_different_highest"] <= 0
    assert pairs["rarest_different_end"] < 0.05 < pairs["rarest_different_highest"]
    assert 0.5 < values["full"]["outside"][-1] / values["full"]["walk"][-1] < 1.2


def test_the_recorded_numbers_are_those_of_the_file():
    stored = json.loads((RESULTS / "04_training.json").read_text(encoding="utf-8"))["points"]
    seeds = [p["value"]["excess"] for p in stored if p["labels"].get("law") == "equal"
             and p["labels"]["kind"] == "simulated"]  # fmt: skip
    ends, starts = (sum(run[at]["value"] for run in seeds) for at in (-1, 0))
    numbers = summary.recorded()
    assert len(seeds) == 3
    assert numbers["kept"] == pytest.approx(ends / starts)
    bent = next(p["value"] for p in stored
                if p["labels"] == {"kind": "curvature", "place": "zero"})  # fmt: skip
    assert numbers["smallest_at_zero"] == pytest.approx(bent["smallest"] / bent["largest"])
    for bound in BOUNDS:
        assert bound.run == "live" or bound.holds(numbers[bound.number])


def test_the_recorded_run_computes_nothing(tmp_path):
    def fail() -> Any:
        raise AssertionError("computed")

    points = paper()
    copy = tmp_path / "record.json"
    copy.write_bytes((RESULTS / "04_training.json").read_bytes())
    again = Points(copy, points.settings)
    for name, value in points.values.items():
        assert name_of(labels_of(name)) == name
        assert again.point(name, fail) == value


def test_points_are_recorded_as_they_are_returned():
    rates = {"rate": [[1.0, 2.0], [3.0, 4.0]], "error": [[0.1, 0.2], [0.3, 0.4]]}
    made = {
        "simulated/0": made_curve([2.0, 1.0]),
        "start/zero": made_curve([2.0, 1.0]) | {"check": [1.0, 0.1]},
        "rates": rates["rate"],
        "rates/0": rates,
        "best": {"excess": [0.5, 0.1], "products": rates["rate"], "complement": 0.0},
        "line/-1.0": [0.5, 0.1],
    }
    points = Points(None, {})
    for name, value in made.items():
        assert points.point(name, lambda value=value: value) == value
    assert points.values == made
    with pytest.raises(KeyError, match="no point of this chapter"):
        name_of({"kind": "other"})
