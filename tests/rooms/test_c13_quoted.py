"""What the prose of chapter 13 quotes, from made-up points of a recorded run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from gmmtf import Estimate
from gmmtf.record import Recording
from gmmtf_book.c13_landscape import PLANS, Run, Study, quoted
from gmmtf_book.c13_landscape.family import starting_points
from rooms.curves import made

PLAN = PLANS["smoke"]
RUN = Run(PLAN, None, torch.device("cpu"))
GIVEN = tuple(starting_points(PLAN.mixture))
RANDOM = ("random 5", "random 10")
CAUGHT = (0, 1, 10, 70, 100)
"""Steps of the descents from other starts; 70 of them are looked at."""


def descent(seed: int, values: Sequence[float]) -> dict[str, Any]:
    """A made-up descent with these excess risks."""
    excess = [Estimate(value, 0.01) for value in values]
    path = made(seed, CAUGHT[: len(values)], size=4)
    return replace(path, excess=excess).as_json() | {"check": excess[-1] + 0.03}


@pytest.fixture(scope="module")
def paper() -> Study:
    """A study that holds all kinds of points, all made up."""
    record = Recording(None, {})
    excesses = {"zero": [0.4, 0.3, 0.2, 0.1, 0.05], "negative": [0.8, 0.6, 0.2, 0.109],
                "different": [0.8, 0.3, 0.11, 0.105], "permuted": [1.2, 0.9, 0.6, 0.107],
                "large": [0.8, 0.7, 0.6, 0.5, 0.2]}  # fmt: skip
    for k, (name, values) in enumerate(excesses.items()):
        record.add(descent(80 + k, values), 0.0, kind="start", start=name)
    for seed, late in ((1, 0.4), (0, 0.2), (2, 0.1)):  # not in the order of their seeds
        for name in RANDOM:
            values = [0.8 + seed / 100, 0.6, 0.4, late if name == "random 10" else 0.108, 0.051]
            record.add(descent(90 + seed, values), 0.0, kind="start", start=name, seed=seed)
    for k, place in enumerate(("zero", "plateau", "end")):
        bent = {"gradient": 10.0 + k, "smallest": 20.0 + k, "largest": 30.0 + k, "direction": []}
        record.add(bent, 0.0, kind="curvature", place=place)
    return Study(record, replace(PLAN, starts_steps=70))


def test_numbers_of_the_slice_are_relative_to_the_first_start():
    paths = {"(0, 0)": made(2), "(6, 11)": made(4), "(21, 4)": made(1)}
    ends = [path.excess[-1].value for path in paths.values()]
    sames = [float(path.products[-1].diagonal().mean()) for path in paths.values()]
    assert quoted.valley(RUN, paths) == pytest.approx(
        {
            "slice-worst": max(ends) / ends[0],
            "slice-least": min(ends) / ends[0],
            "slice-same-low": min(sames),
            "slice-same-high": max(sames),
            "slice-steps": 10,
        }
    )
    assert sames[0] not in (min(sames), max(sames))
    assert ends[0] not in (min(ends), max(ends))


def test_the_table_of_starts_has_a_row_for_each_with_median_and_largest(paper):
    table = quoted.starts_table(paper)
    assert {name: row.tolist() for name, row in table.iterrows()} == {
        "zero": [1, "0.40", "1.00", "70"],
        "negative": [1, "0.80", "1.09", "70"],
        "different": [1, "0.80", "1.05", "10"],
        "permuted": [1, "1.20", "1.07", "70"],
        "large": [1, "0.80", "5.00", "inf"],
        "random 5": [3, "0.81 (0.82)", "1.08 (1.08)", "70 (70)"],
        "random 10": [3, "0.81 (0.82)", "2.00 (4.00)", "100 (100)"],
    }
    assert list(table.columns) == [
        "descents", "excess there", "after 70 steps, over that from zero",
        "steps until it has arrived",
    ]  # fmt: skip
    assert table.index.name == "start"
    assert tuple(table.index) == (*GIVEN, *RANDOM)


def test_the_table_of_curvatures_names_its_places(paper):
    table = quoted.curvature_table(paper)
    assert list(table.columns) == ["gradient", "smallest", "largest eigenvalue"]
    assert {name: row.tolist() for name, row in table.iterrows()} == {
        "W = 0": ["1.0e+01", "2.0e+01", "3.0e+01"],
        "step 70 from zero": ["1.2e+01", "2.2e+01", "3.2e+01"],
        "step 70 from random 10": ["1.1e+01", "2.1e+01", "3.1e+01"],
    }
    assert table.index.name == "Hessian at"


def test_numbers_of_the_starts(paper):
    found = quoted.starts({2: 0.1, 4: -0.4}, paper)
    hills = paper.landscape_numbers()
    rows = made(90, CAUGHT, size=4).products[3].tolist()  # of seed 0, after 70 steps
    wrong = sum(row.index(max(row)) != u for u, row in enumerate(rows))
    at_end = made(90, CAUGHT, size=4).products[-1].argmax(dim=1)
    assert wrong != sum(int(best) != u for u, best in enumerate(at_end))
    columns = list(zip(*rows, strict=True))
    assert wrong != sum(column.index(max(column)) != u for u, column in enumerate(columns))
    assert found == pytest.approx(
        {
            "bend-2": 0.1,
            "bend-4": -0.4,
            "bend-paper": hills["smallest_at_zero"],
            "easy-worst": 1.09,  # of negative
            "random-median": 100,
            "random-largest": 100,
            "random-soon": 1,
            "seeds": 3,
            "random-early": 4,
            "large-early": 5,
            "large-arrived": math.inf,
            "arrived-percent": 10,
            "starts-steps": 70,
            "starts": 10,
            "wrong": wrong,
            "gradient-drop": 10 / 11,
        }
    )


def test_live_numbers_have_the_names_of_their_bounds():
    paths = {name: made(seed) for name, seed in (("(0, 0)", 2), ("(6, 11)", 4), ("(21, 4)", 1))}
    zero, first, second = (path.excess for path in paths.values())
    worst = max(first[-1].value, second[-1].value) / zero[-1].value
    line = {0.0: Estimate(1.0, 0.3), 8.0: Estimate(2.0, 0.3)}
    simulated = {0.0: Estimate(1.5, 0.4), 8.0: Estimate(1.0, 0.4), 100.0: Estimate(9.0, 0.4)}
    found = quoted.live({2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}, paths, line, simulated)
    assert found == pytest.approx(
        {
            "live_bend_4": 0.4,
            "live_bend_5": 0.5,
            "live_line": 2.0,
            "live_bend_2": 0.2,
            "live_slice_worst": worst,
            "live_from_zero": zero[-1].value / zero[0].value,
        }
    )
    assert worst not in (first[0].value / zero[-1].value, 1)
