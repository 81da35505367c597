"""What the recorded chapters share: plans of runs, and records with the plan behind them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import pytest

from gmmtf.record import Recording
from gmmtf_book.study import LawPlan, Study, rounded, spread_steps

RECORDED = (
    "04_training",
    "05_tokens_and_patterns",
    "07_effective_tokens",
    "08_better_heads",
    "09_digits_as_tokens",
    "11_sampling",
    "13_landscape",
)


@dataclass(frozen=True)
class Plan(LawPlan):
    weights: tuple[float, ...] | None = None
    steps: tuple[int, ...] = (1, 2)
    drawn: int = 3

    unrecorded = frozenset({"drawn"})


def test_lists_become_tuples():
    plan = Plan(steps=[4, 5], weights=[0.25] * 4, n_patterns=4)
    assert plan.steps == (4, 5)
    assert hash(plan) == hash(Plan(steps=(4, 5), weights=(0.25,) * 4, n_patterns=4))


def test_a_record_depends_on_all_settings_but_those_that_are_named():
    expected = {"dim": 64, "n_tokens": 128, "n_patterns": 8, "radius": 8.0, "sigma": 0.3}
    assert Plan().settings() == expected | {"weights": None, "steps": (1, 2)}


def test_the_law_of_a_plan():
    law = Plan(dim=6, n_tokens=5, n_patterns=2, radius=3.0, sigma=0.1, weights=[0.3, 0.7]).mixture
    assert (law.dim, law.n_tokens, law.n_patterns, law.radius, law.sigma) == (6, 5, 2, 3.0, 0.1)
    assert law.probabilities.tolist() == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize("chapter", RECORDED)
def test_the_plan_of_a_recorded_run_is_the_one_that_its_file_holds(chapter):
    study = import_module(f"gmmtf_book.c{chapter}.summary").Study.recorded()
    assert isinstance(study, Study)
    assert study.record.path.name == f"{chapter}.json"
    assert study.record.settings == Recording(None, study.plan.settings()).settings


def test_steps_are_spread_from_the_first_to_the_last():
    steps = spread_steps(100, 10)
    assert steps[:2] == [0, 1]
    assert steps[-1] == 100
    assert steps == sorted(set(steps))
    assert spread_steps(1, 5) == [0, 1]


@pytest.mark.parametrize(("arguments", "name"), [((0, 3), "last"), ((3, 0), "n")])
def test_no_steps_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"{name}: expected an integer of at least 1, got 0"):
        spread_steps(*arguments)


def test_products_of_a_curve_are_rounded_for_a_record_and_nothing_else_is():
    path = {"products": [[[0.123456, -1.0]]], "complement": [0.123456]}
    assert rounded(path) == {"products": [[[0.1235, -1.0]]], "complement": [0.123456]}
    assert path["products"] == [[[0.123456, -1.0]]]
