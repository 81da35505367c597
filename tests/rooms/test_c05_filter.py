"""The best head beside the best linear filter: cells, where they are level, what is recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gmmtf import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.risks.head_risk import ExpansionFailed
from gmmtf_book.c05_tokens_and_patterns import against_filter, filter_numbers, summary
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, SCHEDULE
from gmmtf_book.c05_tokens_and_patterns.summary import Study

SIZES = replace(PLANS["live"], dim=64, radius=8.0)


@pytest.fixture(scope="module")
def study():
    return Study.recorded()


@pytest.fixture(scope="module")
def numbers():
    return summary.recorded()


@pytest.fixture(scope="module")
def mapped(study):
    return filter_numbers.cells(study)


def test_with_one_pattern_a_cell_is_a_closed_form():
    """Uniform attention is perfect selection: (1-ᾱ)/(τ²N), over (c²/d)(M-1)sτ²/(s+τ²)."""
    law = against_filter.law(SIZES, 1, 24)
    level = noise_level(law, SCHEDULE, SCHEDULE.times())
    alpha_bar = SCHEDULE.alpha_bar(SCHEDULE.times())
    s, tau = alpha_bar * 64 / 16, level.variance
    head = ((1 - alpha_bar) / tau).mean() / 24
    linear = (level.gain**2 / 64 * 15 * s * tau / (s + tau)).mean()
    found = against_filter.cell(law)
    assert found == {"ratio": pytest.approx(float(head / linear), rel=0.01), "simulated": False}


@pytest.mark.parametrize(("k", "n"), [(2, 16), (16, 32)])
def test_a_simulated_cell_agrees_with_the_map(k, n):
    law = against_filter.law(SIZES, k, n)
    found = against_filter.simulated(law, 0, "cpu")
    assert found.value == pytest.approx(against_filter.cell(law)["ratio"], rel=0.05)
    assert 0 < found.standard_error < 0.02 * found.value
    assert against_filter.simulated(law, 1, "cpu") != found


def test_where_the_expansion_fails_a_cell_is_simulated(monkeypatch):
    """On other data than the weight was found on, and with nearly the same result."""
    few = against_filter.cell(against_filter.law(SIZES, 16, 2))
    assert few["simulated"]
    assert few["ratio"] > 3
    law = against_filter.law(SIZES, 2, 16)
    by_expansion = against_filter.cell(law)

    def fail(*_, **__):
        raise ExpansionFailed("n_tokens")

    seeds = []
    real = against_filter.draw_in_chunks

    def draw(mixture, schedule, times, generator):
        seeds.append(generator.initial_seed())
        return real(mixture, schedule, times, generator)

    monkeypatch.setattr(against_filter, "best_weight", fail)
    monkeypatch.setattr(against_filter, "draw_in_chunks", draw)
    found = against_filter.cell(law)
    assert len(set(seeds)) == len(seeds) == 2
    assert found["simulated"]
    assert not by_expansion["simulated"]
    assert found["ratio"] == pytest.approx(by_expansion["ratio"], rel=0.03)


def test_level_is_where_the_ratio_is_one():
    """Linear between logarithms, in units of the boundary, for each K by itself."""
    rows = [(k, n, k * 8 / n) for k in (2, 4) for n in (8, 32, 64)]
    table = pd.DataFrame(rows, columns=["K", "N", "ratio"])
    table["beyond"] = table["N"] * 15 / (table["K"] * 256)
    # Level at N = 8 K, that is at 8 * 15/256 of the boundary, whatever K.
    assert filter_numbers.level(table).to_dict() == pytest.approx({2: 0.46875, 4: 0.46875})


def test_disagreement_is_the_largest():
    found = pd.DataFrame({"found": [Estimate(1.02, 1e-3), Estimate(3.3, 1e-3)], "ratio": [1, 3]})
    assert filter_numbers.disagreement(found) == pytest.approx(2)


def test_the_map_is_complete_and_at_paper_scale(study, mapped):
    assert len(mapped) == 8 * 15
    assert np.isfinite(mapped["ratio"]).all()
    assert not mapped.loc[mapped["beyond"] >= 1, "simulated"].any()
    assert PLANS["paper"].dim == 256
    row = mapped[(mapped["K"] == 2) & (mapped["N"] == 64)].iloc[0]
    assert not row["simulated"]
    assert (row["K/M"], row["N/d"]) == (0.125, 0.25)
    assert row["beyond"] == pytest.approx(64 / (2 * 256 / 15))
    again = against_filter.cell(against_filter.law(study.plan, 2, 64))
    assert row["ratio"] == pytest.approx(again["ratio"], rel=1e-3)


def test_every_recorded_cell_that_was_simulated_agrees(study, mapped):
    found = filter_numbers.checked(study, mapped)
    assert len(found) >= 10
    for row in found.itertuples():
        assert row.found.value == pytest.approx(row.ratio, rel=0.05)
        three = study.record.select(kind="filter check", K=row.K, N=row.N)
        assert len(three) == 3
        assert row.found.value == pytest.approx(sum(p.value.value for p in three) / 3)


def test_the_summary_says_which_side_wins(study, mapped, numbers):
    short, beyond = mapped[mapped["beyond"] <= 1], mapped[mapped["beyond"] >= 3]
    assert numbers["filter short"] == short["ratio"].min() > 1.2
    assert numbers["filter beyond"] == beyond["ratio"].max() < 0.8
    assert 1.6 < numbers["filter level least"] < 1.8
    assert 2.1 < numbers["filter level most"] < 2.3
    assert numbers["filter disagreement"] <= 1
    said = filter_numbers.quoted(study)
    assert said["filter-cells"] == 120
    at = mapped[mapped["N"] == 256].set_index("K")["ratio"]
    assert (said["filter-few"], said["filter-all"]) == (at[2], at[16])
    # At K = 1 the estimate of the head is exact, and they are level furthest from the boundary.
    assert filter_numbers.level(mapped).loc[1] == said["filter-high"]
