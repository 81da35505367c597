"""The numbers of chapter 13 that follow from the points of a run, from made-up points."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gmmtf import Estimate
from gmmtf.record import Recording
from gmmtf_book.c13_landscape import PLANS, Study
from rooms.curves import made_curve


def made_starts(**excesses: list[list[float]]) -> Recording:
    """Descents from other starts with these excess risks at steps 0, 10, 20, ..., by start.

    The simulated end is half a standard error off, and twice two for ``large``.
    """
    record = Recording(None, {})
    for name, descents in {"zero": [[4.0, 2.0, 1.5, 1.0, 0.5]], **excesses}.items():
        for seed, values in enumerate(descents):
            excess = [Estimate(value, 0.3) for value in values]
            path = made_curve([1.0 + seed] * len(values))
            path = replace(path, steps=[10 * k for k in range(len(values))], excess=excess)
            off = 1.0 if name == "large" else 0.25
            labels = {"seed": seed} if name.startswith("random") else {}
            value = path.as_json() | {"check": Estimate(values[-1] - off, 0.4)}
            record.add(value, 0.0, kind="start", start=name.replace("_", " "), **labels)
    return record


PLAN = replace(PLANS["smoke"], starts_steps=30)
STARTS = {
    "large": [[1.3, 1.3, 1.2, 1.15, 1.11]],
    "permuted": [[9.0, 1.5, 1.05, 0.8]],
    "random_10": [[5.0, 5.0, 5.0, 5.0, 3.0, 1.09], [2.0, 1.1, 1.0, 0.9]],
}


def test_arrivals_are_where_the_level_of_the_descent_from_zero_is_reached():
    """Its excess is 1 after 30 steps: the level is 1.1."""
    found = Study(made_starts(**STARTS), PLAN).arrivals()
    assert found["start"].tolist() == ["zero", "large", "permuted", "random 10", "random 10"]
    assert found["first"].tolist() == [4, 1.3, 9, 5, 2]
    assert found["early"].tolist() == pytest.approx([1, 1.15, 0.8, 5, 0.9])
    assert found["arrived"].tolist() == [30, math.inf, 20, 50, 10]
    assert found["check"].tolist() == pytest.approx([0.5, 2, 0.5, 0.5, 0.5])


def test_descents_from_random_starts_are_in_the_order_of_their_seeds():
    record = made_starts(random_10=[[1.0] * 4] * 3)
    record.points[:] = [record.points[k] for k in (3, 0, 2, 1)]
    found = Study(record, PLAN).starts()
    assert list(found) == ["zero", "random 10"] or list(found) == ["random 10", "zero"]
    assert [float(path.products[0, 0, 0]) for path, _ in found["random 10"]] == [1, 2, 3]


def test_the_numbers_of_the_landscape():
    record = made_starts(**STARTS)
    for place, smallest, largest in (("zero", -0.5, 4.0), ("end", 0.02, 8.0), ("plateau", 9, 10)):
        bent = {"gradient": 1.0, "smallest": smallest, "largest": largest, "direction": []}
        record.add(bent, 0.0, kind="curvature", place=place)
    assert Study(record, PLAN).landscape_numbers() == {
        "check": pytest.approx(2.0),
        "missing": 1,
        "smallest_at_zero": -0.125,
        "smallest_at_end": 0.005,
        "early zero": 1,
        "early large": 1.15,
        "early permuted": 0.8,
        "early random 10": 5,
        "worst_early": 1,
    }
