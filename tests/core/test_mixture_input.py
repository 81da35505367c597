"""Impossible mixtures are refused with the name of the argument at fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM

GOOD = {"n_patterns": 3, "dim": 5, "n_tokens": 4, "radius": 2.0, "sigma": 0.5}
NAN, INF = float("nan"), float("inf")


def test_the_unchanged_arguments_are_good():
    MultiTokenGMM(**GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_patterns", 0),
        ("n_patterns", -1),
        ("n_patterns", 2.0),
        ("n_patterns", "3"),
        ("n_patterns", True),
        ("n_patterns", None),
        ("dim", 2),
        ("dim", 0),
        ("dim", 5.0),
        ("dim", True),
        ("n_tokens", 1),
        ("n_tokens", 0),
        ("n_tokens", 4.5),
        ("n_tokens", True),
        ("n_active", 4),
        ("n_active", 0),
        ("n_active", -2),
        ("n_active", 1.5),
        ("n_active", True),
        ("sigma", 0.0),
        ("sigma", -1.0),
        ("sigma", NAN),
        ("sigma", INF),
        ("sigma", "0.3"),
        ("sigma", None),
        ("sigma", True),
        ("radius", 0.0),
        ("radius", -2.0),
        ("radius", NAN),
        ("radius", INF),
        ("radius", "big"),
        ("radius", True),
        ("radius", None),
        ("weights", [0.5, 0.5]),
        ("weights", [0.25] * 4),
        ("weights", [[0.2, 0.3, 0.5]]),
        ("weights", [0.5, 0.3, 0.1]),
        ("weights", [0.5, 0.5, 0.5]),
        ("weights", [0.5, 0.5, 0.0]),
        ("weights", [0.7, 0.5, -0.2]),
        ("weights", [0.5, 0.5, NAN]),
        ("weights", [INF, 0.5, 0.5]),
        ("weights", []),
    ],
)
def test_bad_argument_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: "):
        MultiTokenGMM(**{**GOOD, name: value})


def test_what_came_and_what_was_expected_are_told():
    with pytest.raises(ValueError, match=r"at most n_patterns = 3, got 7"):
        MultiTokenGMM(**GOOD, n_active=7)
    with pytest.raises(ValueError, match=r"at least 3, got 2"):
        MultiTokenGMM(**{**GOOD, "dim": 2})
    with pytest.raises(ValueError, match=r"sum of 1, got 0\.9"):
        MultiTokenGMM(**GOOD, weights=[0.5, 0.3, 0.1])


def test_radius_and_patterns_exclude_each_other():
    with pytest.raises(ValueError, match=r"radius.*patterns"):
        MultiTokenGMM(**GOOD, patterns=torch.eye(3, 5))
    with pytest.raises(ValueError, match=r"radius.*patterns"):
        MultiTokenGMM(n_patterns=3, dim=5, n_tokens=4, sigma=0.5)


@pytest.mark.parametrize(
    "patterns",
    [
        torch.ones(3),
        torch.ones(1, 3, 3),
        torch.tensor([[1.0, NAN], [0.0, 1.0]]),
        torch.tensor([[INF, 0.0], [0.0, 1.0]]),
    ],
)
def test_bad_patterns_are_named(patterns):
    with pytest.raises(ValueError, match=r"^patterns: "):
        MultiTokenGMM.from_patterns(patterns, n_tokens=2, sigma=1.0)


def test_patterns_must_have_the_declared_shape():
    with pytest.raises(ValueError, match=r"^patterns: "):
        MultiTokenGMM(n_patterns=3, dim=5, n_tokens=4, sigma=0.5, patterns=torch.eye(3, 4))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_bad_batch_size_is_named(batch_size):
    with pytest.raises(ValueError, match=r"^batch_size: "):
        MultiTokenGMM(**GOOD).sample(batch_size)


@pytest.mark.parametrize(
    "weights",
    [
        (0.2, 0.3, 0.5),
        np.array([0.2, 0.3, 0.5]),
        torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64),
        torch.tensor([0.2, 0.3, 0.5]),
        torch.full((3,), 1 / 3),  # float32: the sum misses one by 3e-8
    ],
)
def test_weights_of_any_usual_kind(weights):
    mixture = MultiTokenGMM(**GOOD, weights=weights)
    np.testing.assert_allclose(mixture.probabilities, np.asarray(weights, float), rtol=1e-6)
    assert mixture.probabilities.dtype == torch.float64


def test_the_mixture_is_frozen():
    with pytest.raises(AttributeError):
        MultiTokenGMM(**GOOD).sigma = 2.0


@pytest.mark.parametrize("given", [np.eye(3, 5), torch.eye(3, 5, dtype=torch.float64)])
def test_patterns_are_a_copy_of_the_callers(given):
    mixture = MultiTokenGMM.from_patterns(given, n_tokens=4, sigma=0.5)
    given[:] = 7
    assert torch.equal(mixture.means, torch.eye(3, 5, dtype=torch.float64))
