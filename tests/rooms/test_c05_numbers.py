"""What chapter 5 prints and quotes: the limit beside its runs, tables, and numbers in the prose."""

from __future__ import annotations

import re
from dataclasses import replace

import nbformat
import pandas as pd
import pytest
import torch

from gmmtf.laws.level import noise_level
from gmmtf_book import BOOK
from gmmtf_book.c05_tokens_and_patterns import limits, quoted, summary, sweeps, tables
from gmmtf_book.c05_tokens_and_patterns.limits import Limit
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, SCHEDULE
from gmmtf_book.c05_tokens_and_patterns.summary import Study

FLAT = Limit(all=([1.0, 2.0, 4.0], [0.5, 0.25, 0.125]), rare=([1.0], [0.5]))


@pytest.fixture(scope="module")
def study():
    return Study.recorded()


def by_rows(pi, plan, mixture):
    """Excess of each pattern's tokens at the start and after the run, straight from theory."""
    level = noise_level(mixture, SCHEDULE, SCHEDULE.times())
    alpha_bar = (level.signal**2).flatten()
    scale = level.gain.flatten() ** 2 * alpha_bar * plan.radius**2 / plan.dim
    products = torch.zeros(len(pi), len(pi), dtype=torch.float64, requires_grad=True)

    def excess():
        attention = torch.softmax(alpha_bar[:, None, None] * products + pi.log(), -1)
        squares = (attention - torch.eye(len(pi))).square().sum(-1)
        return (scale[:, None] * squares).mean(0)

    begin = excess().detach()
    for _ in range(plan.record_at[-1]):
        (slope,) = torch.autograd.grad(pi @ excess(), products)
        with torch.no_grad():
            products -= len(pi) ** 2 * plan.dim / plan.radius**2 * slope
    return begin, excess().detach()


def test_the_limit_is_a_descent_on_rows_of_products(study):
    plan = replace(study.plan, rarest=(0.03,), record_at=(5,))
    (case,) = plan.families()["pi_min"][1]
    pi = torch.tensor([0.03, *[0.97 / 7] * 7], dtype=torch.float64)
    begin, end = by_rows(pi, plan, plan.mixture(case))
    found = limits.in_the_limit(Study(study.record, plan), "pi_min")
    assert found.all == ([0.03], [pytest.approx(float(pi @ end), rel=1e-6)])
    assert found.rare == ([0.03], [pytest.approx(float(end[0] / begin[0]), rel=1e-6)])
    assert found.rare[1][0] > 2 * float(end[1] / begin[1])


def test_the_limit_lies_a_little_below_the_runs(study):
    found = limits.in_the_limit(study, "K").all
    runs = study.series("K")
    assert found[0] == runs.x
    for limit, simulated in zip(found[1], runs.simulated, strict=True):
        assert 0.85 < limit / simulated.value < 0.97


def test_the_table_of_families_has_the_exponents(study):
    level = Limit(all=([1.0, 2.0, 4.0], [0.5, 0.5 - 1e-6, 0.5 - 2e-6]), rare=([1.0], [0.5]))
    table = tables.family_table(study, dict.fromkeys(study.plan.families(), FLAT) | {"N": level})
    assert list(table.index) == ["K", "K = M", "N"]
    assert table.loc["K"].tolist() == ["0.19", "-1.00", "0.74", "1.00"]
    assert table.loc["N", "trained, limit"] == "0.00"
    assert table.loc["N", "trained"] == f"{study.exponents('N')['trained'].exponent:.2f}"
    assert table.loc["K = M", "best head"] == f"{study.exponents('K = M')['best'].exponent:.2f}"


def test_the_table_of_sweeps_has_them_all_by_different_names(study):
    table = tables.sweep_table(study)
    assert len(table) == len(sweeps.SWEEPS) == table.index.nunique()
    row = table.loc["time to an excess of 0.04, against K, with M = 16"]
    counted, said = study.fitted("absolute, K of 16")
    assert row.tolist() == [f"{counted.exponent:.2f}", f"{said.exponent:.2f}"]
    assert table.loc["tokens for an excess of 0.01, against π_min", "law or first step"] == "0.00"


def test_both_runs_of_a_family_stand_beside_each_other(study):
    short = Study(study.record, replace(study.plan, rarest=(0.01, 0.05)))
    found = summary.both(study, short, "pi_min", "rare", share=True)
    assert found["recorded"] == (512, study.series("pi_min", "rare", share=True))
    assert found["live"] == (512, short.series("pi_min", "rare", share=True))
    assert found["live"][1].x == [0.01, 0.05]


def test_the_expansion_is_off_by_no_more_than_the_prose_says(study):
    said = quoted.setting(study)["dev"]
    off = [
        100 * abs(pair.simulated.value / pair.predicted - 1)
        for family in study.plan.families()
        for pair in study.points(family)
    ]
    off += [100 * pair.deviation for f in ("pi_min", "inclusion") for pair in study.rare_pairs(f)]
    for reading in ("tokens", "data"):
        counted, _ = study.learned(reading)
        numbers = zip(counted.simulated, counted.predicted, strict=True)
        off += [100 * abs(found.value / expected - 1) for found, expected in numbers]
    assert said == pytest.approx(max(off))


def test_what_is_glued_is_quoted_and_the_reverse(study):
    split = pd.DataFrame({"target": [0.04, 0.005], "law/target": [1.5, 1.0],
                          "bias share": [0.1, 0.3], "recomputed/target": [1.0, 1.0]})  # fmt: skip
    glued = set(quoted.numbers(study, split))
    glued |= set(quoted.short_patterns(study, PLANS["smoke"].theory_points // 4))
    notebook = nbformat.read(BOOK / f"{Study.chapter}.ipynb", as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert set(re.findall(r"\{glue:text\}`tok-([\w-]+)", prose)) == glued
