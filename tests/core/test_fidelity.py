"""Distances of samples from the law: what they are for the law itself, and for known departures."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance_nd

from gmmtf import MultiTokenGMM, fidelity

MIXTURE = MultiTokenGMM(
    n_patterns=3, dim=6, n_tokens=20, radius=5.0, sigma=0.4, weights=[0.5, 0.3, 0.2]
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(seed: int = 0, batch: int = 200, mixture: MultiTokenGMM = MIXTURE) -> torch.Tensor:
    return mixture.sample(batch, generator(seed), torch.float64).x_0


def test_nearest_patterns_are_the_labels_where_these_are_readable():
    tokens = MIXTURE.sample(50, generator(), torch.float64)
    assert torch.equal(fidelity.nearest_patterns(tokens.x_0, MIXTURE), tokens.labels)


def test_nearest_patterns_of_unequal_means():
    patterns = torch.tensor([[1.0, 0.0, 0.0], [4.0, 0.0, 1.0], [0.0, -2.0, 0.0]])
    mixture = MultiTokenGMM.from_patterns(patterns, n_tokens=2, sigma=1.0)
    x = torch.randn(40, 2, 3, generator=generator(), dtype=torch.float64) * 3
    expected = torch.cdist(x, mixture.means[None].expand(40, -1, -1)).argmin(-1)
    assert torch.equal(fidelity.nearest_patterns(x, mixture), expected)


def test_a_sample_of_the_law_has_ratios_of_one_and_a_sliced_distance_like_another():
    found = fidelity.measure(draw(1), MIXTURE, draw(2), generator=generator(3))
    for ratio in (found.offset, found.scatter):
        assert abs(ratio.value - 1) < 4 * ratio.standard_error
        assert ratio.standard_error < 0.05
    assert found.frequency < 0.03
    assert found.covariance < 0.15
    assert found.within_active == 1
    other = fidelity.measure(draw(4), MIXTURE, draw(2), generator=generator(3))
    assert found.sliced == pytest.approx(other.sliced, rel=0.6)


def test_the_centre_has_its_closed_form():
    x = draw(5, batch=2000)
    found = fidelity.measure(x, MIXTURE, draw(6, batch=2000)).centre
    pi = MIXTURE.probabilities
    expected = (0.4**2 * 6 + 25 * (1 - float(pi.square().sum()))) / 20
    assert abs(found.value - expected) < 4 * found.standard_error


def test_known_departures_are_found():
    x = draw(7)
    labels = fidelity.nearest_patterns(x, MIXTURE)
    wide = MIXTURE.means[labels] + 1.5 * (x - MIXTURE.means[labels])
    found = fidelity.measure(wide, MIXTURE, draw(8))
    plain = fidelity.measure(x, MIXTURE, draw(8))
    assert found.scatter.value == pytest.approx(2.25 * plain.scatter.value, rel=1e-6)
    assert found.offset.value == pytest.approx(2.25 * plain.offset.value, rel=1e-6)
    assert found.frequency == plain.frequency
    shifted = fidelity.measure(x + 0.1, MIXTURE, draw(8))
    assert shifted.scatter.value == pytest.approx(plain.scatter.value, rel=1e-6)
    clusters, tokens = 3.0, 20.0
    added = tokens * 0.1**2 * 6 / (clusters * 6 * 0.4**2)
    assert shifted.offset.value - plain.offset.value == pytest.approx(added, rel=0.15)
    one = torch.where((labels == 0)[..., None], x, x[:, :1])
    assert fidelity.measure(one, MIXTURE, draw(8)).distinct.value < plain.distinct.value


def test_cluster_deviations_have_the_variance_of_a_mean():
    deviations, counts = fidelity.cluster_deviations(draw(9, batch=4000), MIXTURE)
    scaled = (counts * deviations)[counts > 0]
    assert float(scaled.mean()) == pytest.approx(6 * 0.4**2, rel=0.05)
    assert counts.sum(1).eq(20).all()


def test_clusters_of_single_tokens_have_scatter_one():
    mixture = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=2, radius=9.0, sigma=0.1)
    x = mixture.means[None].clone().repeat(3, 1, 1)
    offset, scatter = fidelity.cluster_ratios(x, mixture)
    assert scatter.tolist() == [1, 1, 1]
    assert offset.abs().max() < 1e-12


def test_within_active_counts_data_points_with_few_patterns():
    coupled = MultiTokenGMM(n_patterns=3, dim=3, n_tokens=20, radius=5.0, sigma=0.2, n_active=2)
    alone = MultiTokenGMM(n_patterns=3, dim=3, n_tokens=20, radius=5.0, sigma=0.2)
    real = draw(1, mixture=coupled)
    assert fidelity.measure(real, coupled, real).within_active == 1
    other = draw(1, mixture=alone)
    assert fidelity.measure(other, coupled, real).within_active < 0.1


def test_sliced_distance_of_a_shift_is_its_length():
    x = torch.randn(500, 8, generator=generator(), dtype=torch.float64)
    shift = torch.zeros(8, dtype=torch.float64)
    shift[2] = 3.0
    directions = fidelity.random_directions(8, 4000, generator(1))
    assert fidelity.sliced_wasserstein(x, x + shift, directions) == pytest.approx(3, rel=0.05)
    assert fidelity.sliced_wasserstein(x, x[torch.randperm(500)], directions) == 0


def test_sliced_distance_in_one_dimension_is_the_wasserstein_distance():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 1)), rng.normal(size=(6, 1)) * 2 + 1
    found = fidelity.sliced_wasserstein(
        torch.tensor(x), torch.tensor(y), torch.ones(1, 1, dtype=torch.float64)
    )
    best = min(np.mean((x[:, 0] - y[list(p), 0]) ** 2) for p in permutations(range(6)))
    assert found == pytest.approx(math.sqrt(best), rel=1e-12)
    assert found >= wasserstein_distance_nd(x, y) - 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fidelity.nearest_patterns(torch.zeros(3, 6), MIXTURE), "x: expected shape"),
        (lambda: fidelity.cluster_ratios(torch.zeros(3, 20, 5), MIXTURE), "x: expected shape"),
        (lambda: fidelity.random_directions(3, 0), "n_projections: expected"),
        (
            lambda: fidelity.sliced_wasserstein(
                torch.zeros(4, 3), torch.zeros(5, 3), torch.ones(1, 3)
            ),
            "y: expected as many",
        ),
        (
            lambda: fidelity.sliced_wasserstein(
                torch.zeros(4, 3), torch.zeros(4, 3), torch.ones(1, 2)
            ),
            "directions: expected",
        ),
        (
            lambda: fidelity.measure(torch.full((2, 20, 6), math.nan), MIXTURE, draw(batch=2)),
            "x: expected finite",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_distances_of_tokens_that_all_show_one_pattern():
    """Shares (1, 0, 0) are at half of |1 - 0.5| + 0.3 + 0.2 from the probabilities."""
    x = MIXTURE.means[0].expand(4, 20, 6)
    found = fidelity.measure(x, MIXTURE, draw(0, batch=4), generator=generator(1))
    assert found.frequency == pytest.approx(0.5)
    assert found.distinct.value == 1
    assert found.covariance == pytest.approx(1)  # the tokens do not scatter at all
    assert found.centre.value == pytest.approx(25 * (0.5**2 + 0.3**2 + 0.2**2))
