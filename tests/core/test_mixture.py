"""Draws from the multi-token Gaussian mixture against the moments of its law."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM

WEIGHTS = [0.5, 0.3, 0.15, 0.05]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def law(n_active: int | None = None, **changes: object) -> MultiTokenGMM:
    arguments = {"n_patterns": 4, "dim": 6, "n_tokens": 5, "radius": 3.0, "sigma": 0.4}
    arguments |= {"weights": WEIGHTS, "n_active": n_active}
    return MultiTokenGMM(**{**arguments, **changes})


def tilted_patterns() -> torch.Tensor:
    return torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [2.0, 2.0, 2.0]], dtype=torch.float64)


def set_probabilities(n_active: int) -> dict[tuple[int, ...], np.ndarray]:
    """Label probabilities given each active set: π restricted to it and renormalised."""
    table = {}
    for members in combinations(range(4), n_active):
        p = np.zeros(4)
        p[list(members)] = np.array(WEIGHTS)[list(members)]
        table[members] = p / p.sum()
    return table


def test_radius_patterns_are_orthogonal_with_norm_r():
    mixture = law()
    np.testing.assert_allclose(mixture.means @ mixture.means.T, 9 * np.eye(4), atol=1e-12)
    np.testing.assert_allclose(mixture.gram, 9 * np.eye(4), atol=1e-12)
    assert mixture.means.shape == (4, 6)
    assert mixture.means.dtype == mixture.probabilities.dtype == torch.float64
    assert mixture.probabilities.tolist() == WEIGHTS
    assert (mixture.k, law(2).k) == (4, 2)
    np.testing.assert_allclose(law(weights=None).probabilities, np.full(4, 0.25))


def test_given_patterns_are_kept():
    patterns = tilted_patterns()
    mixture = MultiTokenGMM.from_patterns(patterns, n_tokens=2, sigma=1.0)
    assert torch.equal(mixture.means, patterns)
    np.testing.assert_allclose(mixture.gram, patterns.numpy() @ patterns.numpy().T, rtol=1e-14)
    assert (mixture.n_patterns, mixture.dim) == (3, 3)
    mixture.means[0] = 0  # a caller's array must not be reachable through the mixture
    assert float(patterns[0, 0]) == 1.0


@pytest.mark.parametrize("n_active", [None, 4, 2, 1])
def test_draws_have_the_mean_and_covariance_of_their_labels(n_active):
    batch = 20_000
    mixture = law(n_active)
    x_0, labels, _ = mixture.sample(batch, generator(1), torch.float64)
    residual = (x_0 - mixture.means[labels]).reshape(-1, 6).numpy()
    n = len(residual)
    # Standard errors of a Gaussian's mean, variance and covariance from n independent rows.
    assert np.abs(residual.mean(0)).max() < 5 * 0.4 / np.sqrt(n)
    covariance = residual.T @ residual / n
    error = 0.16 * np.sqrt((1 + np.eye(6)) / n)
    assert (np.abs(covariance - 0.16 * np.eye(6)) / error).max() < 5
    # Noise of neighbouring tokens is independent.
    pairs = (x_0 - mixture.means[labels]).numpy()
    cross = np.einsum("bi,bj->ij", pairs[:, 0], pairs[:, 1]) / batch
    assert np.abs(cross).max() < 5 * 0.16 / np.sqrt(batch)


def test_marginal_moments_with_general_patterns():
    patterns, pi = tilted_patterns(), np.array([0.6, 0.3, 0.1])
    mixture = MultiTokenGMM.from_patterns(patterns, n_tokens=3, sigma=0.7, weights=pi)
    x = mixture.sample(30_000, generator(2), torch.float64).x_0.reshape(-1, 3).numpy()
    means = patterns.numpy()
    mean = pi @ means
    centred = means - mean
    covariance = centred.T @ np.diag(pi) @ centred + 0.49 * np.eye(3)
    assert (np.abs(x.mean(0) - mean) / np.sqrt(np.diag(covariance) / len(x))).max() < 5
    products = (x - mean)[:, :, None] * (x - mean)[:, None, :]
    error = products.std(0) / np.sqrt(len(x))
    assert (np.abs(products.mean(0) - covariance) / error).max() < 5


@pytest.mark.parametrize("n_active", [4, 3, 2, 1])
def test_label_frequencies_follow_the_law(n_active):
    batch = 40_000
    _, labels, active = law(n_active).sample(batch, generator(3))
    table = set_probabilities(n_active)
    members = np.stack([active.numpy()[:, u] for u in range(4)], axis=1)
    assert (members.sum(1) == n_active).all()
    for chosen, expected in table.items():
        rows = (members[:, list(chosen)].all(1)).nonzero()[0]
        share = 1 / len(table)
        assert abs(len(rows) / batch - share) <= 5 * np.sqrt(share * (1 - share) / batch)
        found = np.bincount(labels.numpy()[rows].ravel(), minlength=4) / (5 * len(rows))
        error = np.sqrt(expected * (1 - expected) / (5 * len(rows)))
        assert (np.abs(found - expected) <= 5 * error + 1e-15).all()


@pytest.mark.parametrize("n_active", [4, 2])
def test_labels_are_independent_given_the_active_set(n_active):
    batch = 40_000
    labels = law(n_active).sample(batch, generator(4)).labels.numpy()
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (labels[:, 0], labels[:, 4]), 1 / batch)
    table = set_probabilities(n_active).values()
    expected = sum(np.outer(p, p) for p in table) / len(table)
    assert (np.abs(pairs - expected) <= 5 * np.sqrt(expected / batch)).all()


@pytest.mark.parametrize("n_active", [1, 2, 3])
def test_a_data_point_uses_active_patterns_only(n_active):
    _, labels, active = law(n_active, n_tokens=40).sample(3000, generator(5))
    assert active.gather(1, labels).all()
    assert max(len(set(row)) for row in labels.tolist()) == n_active


@pytest.mark.parametrize("n_active", [None, 2])
def test_draws_repeat_with_the_generator_and_leave_the_global_one_alone(n_active):
    mixture, before = law(n_active), torch.random.get_rng_state()
    one, two = (mixture.sample(7, generator(8)) for _ in range(2))
    other = mixture.sample(7, generator(9))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.x_0, other.x_0)
    assert torch.equal(torch.random.get_rng_state(), before)
    source = generator(8)
    assert not torch.equal(mixture.sample(7, source).x_0, mixture.sample(7, source).x_0)


def test_shapes_and_dtypes():
    x_0, labels, active = law(2).sample(7, generator())
    assert (x_0.shape, labels.shape, active.shape) == ((7, 5, 6), (7, 5), (7, 4))
    assert (x_0.dtype, labels.dtype, active.dtype) == (torch.float32, torch.long, torch.bool)
    double = law(2).sample(7, generator(), torch.float64).x_0
    assert double.dtype == torch.float64
    assert torch.equal(double.float(), x_0)
    assert law().sample(2).x_0.shape == (2, 5, 6)  # no generator: PyTorch's global one


def test_labels_alone():
    labels, active = law(2).sample_labels(11, generator())
    assert (labels.shape, active.shape) == ((11, 5), (11, 4))
    assert active.gather(1, labels).all()


def test_equal_orthogonal_patterns_are_recognised():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    turned = MultiTokenGMM.from_patterns(
        torch.from_numpy(2.5 * rotation[:3]), n_tokens=2, sigma=1.0
    )
    assert turned.require_equal_orthogonal("this test") == pytest.approx(2.5, rel=1e-12)
    assert law().require_equal_orthogonal("this test") == 3.0
    for patterns in (tilted_patterns(), torch.diag(torch.tensor([1.0, 2.0, 1.0]))):
        bent = MultiTokenGMM.from_patterns(patterns, n_tokens=2, sigma=1.0)
        with pytest.raises(ValueError, match=r"^patterns: this test needs orthogonal"):
            bent.require_equal_orthogonal("this test")


def test_rounding_is_forgiven_to_orthogonal_patterns_and_an_angle_is_not():
    turned = torch.eye(3, dtype=torch.float64)
    turned[1, 0] = 1e-4
    with pytest.raises(ValueError, match="orthogonal"):
        MultiTokenGMM.from_patterns(turned, n_tokens=2, sigma=1.0).require_equal_orthogonal("this")
    turned[1, 0] = 1e-7
    mixture = MultiTokenGMM.from_patterns(2 * turned, n_tokens=2, sigma=1.0)
    assert mixture.require_equal_orthogonal("this") == pytest.approx(2)
