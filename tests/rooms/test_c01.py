"""Chapter 1: the closed forms against enumeration and quadrature."""

from itertools import combinations, product

import pandas as pd
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf_book.c01_multi_token_gmm import run, summary


@pytest.mark.parametrize("n_active", [2, 3])
def test_expected_distinct_patterns_against_all_label_sequences(n_active):
    pi = [0.2, 0.3, 0.5]
    law = MultiTokenGMM(
        n_patterns=3, dim=3, n_tokens=4, radius=1.0, sigma=1.0, weights=pi, n_active=n_active
    )
    sets = list(combinations(range(3), n_active))
    expected = 0.0
    for chosen in sets:
        mass = sum(pi[u] for u in chosen)
        for labels in product(chosen, repeat=4):
            probability = 1 / len(sets)
            for u in labels:
                probability *= pi[u] / mass
            expected += probability * len(set(labels))
    assert run.expected_distinct(law) == pytest.approx(expected, rel=1e-12)
    drawn = run.drawn_distinct(law, 4000, torch.Generator().manual_seed(0))
    assert drawn.errors_from(expected) < 4


@pytest.mark.parametrize("ratio", [0.3, 2.0, 4.0])
def test_the_error_of_the_nearest_pattern_against_adaptive_quadrature(ratio):
    right, _ = quad(lambda g: norm.pdf(g) * norm.cdf(ratio + g) ** 7, -12, 12, epsabs=1e-12)
    found = run.nearest_error(torch.tensor([ratio], dtype=torch.float64), 8)
    assert float(found) == pytest.approx(1 - right, abs=1e-9)


def test_drawn_label_errors_agree_with_the_exact_ones():
    errors = run.label_errors(3, [3, 12], 4000, torch.Generator().manual_seed(1))
    numbers = summary.labels(errors)
    assert len(errors) == 10
    assert numbers["error-deviation"] < 4.5
    assert numbers["error-at-4"] == 100 * numbers["nearest-error"]


def test_the_coherence_bound_is_that_of_the_corollary():
    found = run.coherence(5, [50], torch.Generator().manual_seed(0), delta=0.1)
    bound = float(found.bound[0])
    assert 25 * torch.exp(torch.tensor(-50 * bound**2 / 2)) == pytest.approx(0.1)
    assert 0 < found.largest[0] < bound


def test_the_covariance_tells_one_law_from_another():
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=8, radius=2.0, sigma=0.5, weights=[0.3, 0.7])
    tokens = law.sample(4000, torch.Generator().manual_seed(0), torch.float64).x_0
    assert summary.covariance_deviation(law, tokens) < 4.5
    assert summary.covariance_deviation(law, 1.05 * tokens) > 6


def test_deviations_without_an_error_are_left_out():
    drawn = [Estimate(2.0, 0.5), Estimate(1.0, 0.0)]
    numbers = summary.distinct(pd.DataFrame({"expected": [1.0, 3.0], "drawn": drawn}))
    assert numbers == {"distinct-deviation": 2.0, "distinct-count": 1}


def test_as_many_normal_numbers_as_entries_are_counted_beyond_the_worst():
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=8, radius=2.0, sigma=0.5)
    tokens = law.sample(100, torch.Generator().manual_seed(0), torch.float64).x_0
    found = summary.rotation(law, law, tokens)
    inside = norm.cdf(found["covariance-deviation"]) - norm.cdf(-found["covariance-deviation"])
    assert found["entries"] == 6
    assert found["beyond"] == pytest.approx(6 * (1 - inside))
