"""The one descent: which steps it records, its optimizers, batches of any size, and its curves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from gmmtf import (
    Estimate,
    MultiTokenGMM,
    NoiseSchedule,
    ReducedWeight,
    descend,
    natural_step_size,
    risk,
)
from gmmtf.curve import Curve
from gmmtf.descent import weights
from gmmtf.jsonvalues import decode, encode
from gmmtf.randomness import derived_seed
from gmmtf.risks.simulation import HeldOutData, bayes_probabilities

SCHEDULE = NoiseSchedule.linear(1000)
MIXTURE = MultiTokenGMM(n_patterns=3, dim=16, n_tokens=32, radius=5.0, sigma=0.3)
FAST = {"n_points": 32, "batch_size": 4, "eval_samples": 8}


def run(steps: int = 6, **options: object):
    return list(descend(MIXTURE, SCHEDULE, steps, **{**FAST, **options}))


@pytest.mark.parametrize("method", ["expansion", "integral", "simulation"])
def test_records_at_chosen_steps_are_those_of_the_whole_run(method):
    whole = {r.step: r for r in run(method=method, record_every=1)}
    assert list(whole) == list(range(7))
    some = run(method=method, record_at=(1, 4))
    assert [r.step for r in some] == [1, 4]
    for record in some:
        assert record.excess_risk == whole[record.step].excess_risk
        assert torch.equal(record.weight.pattern, whole[record.step].weight.pattern)


def test_by_default_there_are_about_thirty_records():
    assert [r.step for r in run(7)] == list(range(8))
    assert len(run(90)) == 31


@pytest.mark.parametrize(
    ("optimizer", "lr"),
    [
        ("adam", None),
        (torch.optim.RMSprop, 0.002),
        (lambda p: torch.optim.Adam(p, lr=0.004), None),
        (lambda p, lr: torch.optim.SGD(p, lr=lr), 0.05),
    ],
)
def test_any_optimizer_lowers_the_risk(optimizer, lr):
    first, *_, last = run(20, optimizer=optimizer, lr=lr)
    assert last.excess_risk.value < 0.9 * first.excess_risk.value


def test_a_callable_that_makes_sgd_is_gradient_descent():
    lr = natural_step_size(MIXTURE)
    one = run(optimizer=torch.optim.SGD, lr=lr)[-1]
    assert torch.equal(one.weight.pattern, run()[-1].weight.pattern)


def test_batches_may_change_with_the_step():
    asked = []

    def size(step: int) -> int:
        asked.append(step)
        return 8 if step < 2 else 4

    changing = run(3, method="simulation", batch_size=size)
    assert asked == [0, 0, 1, 2]  # the first is asked for to check it
    large, small = (run(3, method="simulation", batch_size=n) for n in (8, 4))
    assert torch.equal(changing[2].weight.pattern, large[2].weight.pattern)
    assert not torch.equal(changing[3].weight.pattern, large[3].weight.pattern)
    assert not torch.equal(changing[1].weight.pattern, small[1].weight.pattern)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record_at": (1, 7)}, "record_at: expected steps from 0 to 6"),
        ({"record_at": ()}, "record_at: expected steps from 0 to 6"),
        ({"record_at": (1,), "record_every": 1}, "record_at: expected None"),
        ({"optimizer": torch.optim.Adam, "lr": 0.0}, "lr: expected a finite positive number"),
        ({"optimizer": 3}, "optimizer: expected .*got 3"),
        (
            {"method": "integral", "compiled": True},
            "compiled: expected False with method 'integral'",
        ),
        (
            {"method": "simulation", "batch_size": lambda step: 0},
            "batch_size: expected an integer of at least 1",
        ),
        (
            {"method": "simulation", "target": "noise"},
            r"target: expected one of \('bayes', 'oracle'\), got 'noise'",
        ),
    ],
)
def test_bad_input_is_refused_at_the_call(options, message):
    with pytest.raises(ValueError, match=message):
        descend(MIXTURE, SCHEDULE, 6, **options)


def test_records_are_evaluated_on_other_data_than_the_descent(monkeypatch):
    """Seed by seed: the generator of the records is not that of the batches."""
    asked = []

    class Noted(HeldOutData):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            asked.append((options["generator"].initial_seed(), options["n_samples"]))
            super().__init__(*arguments, **options)

    monkeypatch.setattr("gmmtf.descent.HeldOutData", Noted)
    run(2, method="simulation", seed=5, eval_samples=9)
    assert asked == [(derived_seed(5, 1), 9)]
    assert derived_seed(5, 1) != 5


@pytest.mark.parametrize("n_active", [None, 2])
def test_records_of_a_simulation_are_risks_on_the_same_data(n_active):
    """What a record says is what a simulated risk of its weight says, for each of them."""
    law = replace(MIXTURE, n_active=n_active)
    bayes = Estimate(0.2, 0.01)
    for record in descend(law, SCHEDULE, 2, method="simulation", seed=5, batch_size=4,
                          eval_samples=9, bayes=bayes, record_every=1):  # fmt: skip
        expected = risk(
            record.weight, law, SCHEDULE, method="simulation", n_samples=9, bayes=bayes,
            generator=torch.Generator().manual_seed(derived_seed(5, 1)),
        )  # fmt: skip
        assert record.excess_risk == expected.excess_risk
        assert record.score_error == expected.score_error
        assert record.loss == expected.loss


FEW = replace(MIXTURE, n_active=2)


def test_steps_may_regress_on_the_oracle():
    """The same descent but for the noise of the batches, without a posterior at any step."""
    options = {"method": "simulation", "batch_size": 64, "eval_samples": 64, "seed": 1,
               "bayes": Estimate(0.0), "record_at": [8]}  # fmt: skip
    (bayes,) = descend(FEW, SCHEDULE, 8, **options)
    (oracle,) = descend(FEW, SCHEDULE, 8, **options, target="oracle")
    assert not torch.equal(bayes.weight.pattern, oracle.weight.pattern)
    # On the same batches; what is left is the noise of what the Bayes estimate does not know.
    gap = (bayes.weight.pattern - oracle.weight.pattern).norm() / bayes.weight.pattern.norm()
    assert float(gap) < 0.1
    assert bayes.excess_risk.relative_to(oracle.excess_risk.value) < 0.05


def test_only_records_need_a_posterior_of_an_oracle_descent(monkeypatch):
    asked = []

    def noted(mixture: MultiTokenGMM, tokens: Any) -> torch.Tensor:
        asked.append(len(tokens.span))
        return bayes_probabilities(mixture, tokens)

    monkeypatch.setattr("gmmtf.risks.simulation.bayes_probabilities", noted)
    options = {"method": "simulation", "batch_size": 4, "eval_samples": 8, "record_every": 1}
    list(descend(FEW, SCHEDULE, 3, **options, bayes=Estimate(0.0), target="oracle"))
    assert asked == [8]
    list(descend(FEW, SCHEDULE, 3, **options, bayes=Estimate(0.0)))
    assert sorted(asked) == [4, 4, 4, 8, 8]


def test_a_quadratic_is_descended_by_its_own_law():
    """On ‖G - A‖²/2 + (κ - a)²/2 a step takes the share lr off the distance to the minimum."""
    goal = ReducedWeight(torch.arange(9.0).view(3, 3), torch.tensor(2.0))

    def loss(w: ReducedWeight) -> torch.Tensor:
        pattern, complement = w.pattern - goal.pattern, w.complement - goal.complement
        return (pattern.square().sum() + complement.square()) / 2

    for step, weight in weights(ReducedWeight.zero(MIXTURE), loss, 4, lr=0.25):
        left = 0.75**step
        torch.testing.assert_close(weight.pattern, (1 - left) * goal.pattern)
        torch.testing.assert_close(weight.complement, (1 - left) * goal.complement)


def test_a_curve_holds_the_records_and_comes_back_from_json():
    records = run(record_every=2)
    curve = Curve.from_records(records, MIXTURE)
    assert curve.steps == [0, 2, 4, 6]
    assert curve.excess == [r.excess_risk for r in records]
    assert curve.score == [r.score_error for r in records]
    for index, record in enumerate(records):
        again = curve.weight(MIXTURE, index)
        torch.testing.assert_close(again.pattern, record.weight.pattern)
        torch.testing.assert_close(again.complement, record.weight.complement)
        torch.testing.assert_close(curve.products[index], record.weight.products(MIXTURE))
    back = Curve.from_json(decode(json.loads(json.dumps(encode(curve.as_json())))))
    assert back.as_json() == curve.as_json()


@pytest.mark.parametrize("method", ["expansion", "integral"])
def test_a_predicted_curve_with_few_active_patterns_is_given_the_active_set(method):
    records = list(descend(FEW, SCHEDULE, 2, method=method, n_points=32))
    curve = Curve.from_records(records, FEW)
    assert curve.steps == [0, 1, 2]
    assert curve.excess == [r.excess_given_set for r in records]
    assert curve.score == [r.score_given_set for r in records]
    torch.testing.assert_close(curve.products[2], records[2].weight.products(FEW))


@pytest.mark.parametrize("method", ["simulation", "limit"])
def test_any_other_curve_with_few_active_patterns_is_of_the_excess_risk(method):
    records = list(descend(FEW, SCHEDULE, 2, method=method, batch_size=4, eval_samples=8))
    curve = Curve.from_records(records, FEW)
    assert curve.excess == [r.excess_risk for r in records]
    assert curve.score == [r.score_error for r in records]


def test_the_mean_of_curves():
    one, other = (Curve.from_records(run(seed=s, method="simulation"), MIXTURE) for s in (0, 1))
    mean = Curve.mean([one, other])
    assert mean.steps == one.steps
    assert mean.excess[3] == Estimate.mean([one.excess[3], other.excess[3]])
    assert mean.score[3] == Estimate.mean([one.score[3], other.score[3]])
    torch.testing.assert_close(mean.products, (one.products + other.products) / 2)
    torch.testing.assert_close(mean.complement, (one.complement + other.complement) / 2)


def test_bad_curves_are_refused():
    curve = Curve.from_records(run(2), MIXTURE)
    with pytest.raises(ValueError, match="curves: expected at least one"):
        Curve.mean([])
    with pytest.raises(ValueError, match="curves: expected the same steps"):
        Curve.mean([curve, Curve.from_records(run(3), MIXTURE)])
    with pytest.raises(ValueError, match="stored: expected step, excess"):
        Curve.from_json({"step": [0]})
    with pytest.raises(ValueError, match="score: expected 3 entries, got 2"):
        Curve.from_json(curve.as_json() | {"score": curve.as_json()["score"][:2]})
