"""The check of the convergence theorem: its parts at a small size, and its recorded grid."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.risks.first_step import natural_step_size
from gmmtf_book.c13_landscape import Study, convergence, runs
from gmmtf_book.c13_landscape.plan import PLANS

SCHEDULE = NoiseSchedule.linear(1000)
SMALL = MultiTokenGMM(n_patterns=6, n_active=2, dim=16, n_tokens=32, radius=8.0, sigma=0.3)


def test_steps_in_the_limit_are_those_of_the_scalar_recursion():
    """The recursion of the chapter, in plain numbers."""
    k, m = 2, 6
    alpha_bar = SCHEDULE.alpha_bar(torch.arange(1000)).tolist()
    gains = [(1 - a) / (a * 0.09 + 1 - a) ** 2 * a for a in alpha_bar]
    gap, excess, reached = 0.0, math.inf, []
    wanted = [0.2, 0.1, 0.05]
    for step in range(200):
        missed = [(k - 1) / (k - 1 + math.exp(a * gap)) for a in alpha_bar]
        excess = k / (k - 1) * sum(g * w**2 for g, w in zip(gains, missed, strict=True)) / 1000
        while wanted and excess <= wanted[0]:
            reached.append(step)
            wanted.pop(0)
        if not wanted:
            break
        slope = sum(
            g * a * w**2 * (1 - w) for g, a, w in zip(gains, alpha_bar, missed, strict=True)
        )
        gap += k * m / (m - 1) * 2 * k / (k - 1) * slope / 1000
    assert convergence.steps_in_the_limit(SMALL, [0.2, 0.1, 0.05]) == reached
    assert reached[0] > 0


def test_targets_that_take_too_long_are_refused(monkeypatch):
    monkeypatch.setattr(convergence, "_MOST_STEPS", 3)
    with pytest.raises(ValueError, match="targets: expected excess risks that 3 steps reach"):
        convergence.steps_in_the_limit(SMALL, [0.1, 1e-3])


def test_the_excess_is_that_of_a_descent_with_the_size_asked_for():
    found = convergence.excess_at(SMALL, 64, 1.5, [2, 5])
    law = replace(SMALL, dim=64, n_tokens=512, radius=8.0)
    path = runs.descent(law, [0, 2, 5], lr=natural_step_size(law), n_points=16384)
    assert found["step"] == [2, 5]
    assert found["holds"] == [True, True]
    for one, other in zip(found["excess"], path.excess[1:], strict=True):
        assert one.relative_to(other) < 0.02


def test_in_many_dimensions_with_many_tokens_it_is_that_of_the_limit():
    law, at = convergence.law_in(SMALL, 2**20, 2**40), [2, 5]
    found = convergence.excess_at(SMALL, 2**20, 2.0, at)
    limit = runs.descent(law, [0, *at], lr=natural_step_size(law), method="limit")
    for one, other in zip(found["excess"], limit.excess[1:], strict=True):
        assert one.relative_to(other) < 2e-3


def made_grid() -> pd.DataFrame:
    """At the step of ε the excess is ε times these shares, by d; the second never holds at 64."""
    shares = {16: 1.2, 64: 0.9, 256: 0.8}
    rows = [
        {
            "dim": dim,
            "tokens": name,
            "step": [2, 4, 8, 16, 128, 1024],
            "excess": [
                Estimate((2.0 if name == "√d" and (dim < 256 or e < 0.1) else share) * e)
                for e in convergence.TARGETS
            ],
            "holds": [True, dim != 64, *[True] * 4],
        }
        for dim, share in shares.items()
        for name in convergence.TOKENS
    ]
    return pd.DataFrame(rows)


def test_the_table_names_the_smallest_size_from_which_on_the_steps_suffice():
    table = convergence.table(made_grid(), n_active=4)
    assert list(table.index) == list(convergence.TARGETS)
    assert table["step"].tolist() == [2, 4, 8, 16, 128, 1024]
    assert table["slope"].tolist()[1:] == pytest.approx([1, 1, 1, 3, 3])
    assert table["d, N = d"].tolist() == [64, 256, 64, 64, 64, 64]
    assert table["d, N = d²"].tolist() == [64, 256, 64, 64, 64, 64]
    assert table["d, N = √d"].tolist()[:2] == [256, 256]
    assert table["Nε/K"].tolist()[:2] == pytest.approx([16 * 0.32 / 4, 16 * 0.16 / 4])
    assert table["Nε/K"].isna().tolist() == [False, False, True, True, True, True]


def test_the_recorded_grid_is_what_the_theorem_says():
    paper = Study.recorded()
    law = paper.plan.grid
    halves = [target / 2 for target in convergence.TARGETS]
    steps = convergence.steps_in_the_limit(law, halves[:4])
    grid = paper.record.frame(kind="grid")
    assert paper.record.value(kind="grid steps")[:4] == steps
    assert sorted(set(grid["dim"])) == list(PLANS["paper"].grid_dims)
    assert len(grid) == 3 * len(PLANS["paper"].grid_dims)
    largest = grid[(grid["dim"] == max(grid["dim"])) & (grid["tokens"] == "d²")].iloc[0]
    for excess, half in zip(largest["excess"], halves, strict=True):
        assert 0.8 * half < excess.value < 1.01 * half
    again = convergence.excess_at(law, 256, 1.0, steps)
    row = grid[(grid["dim"] == 256) & (grid["tokens"] == "d")].iloc[0]
    for found, stored in zip(again["excess"], row["excess"][:4], strict=True):
        assert found.value == pytest.approx(stored.value, rel=1e-3)
