"""Mixtures fitted by scikit-learn, as laws: its own densities and moments are the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from gmmtf import FullMixture, MultiTokenGMM, NoiseSchedule, bayes_risk, evaluate, optimal_denoiser

KINDS = ("full", "tied", "diag", "spherical")


def data() -> np.ndarray:
    rng = np.random.default_rng(3)
    stretched = rng.normal(size=(400, 3)) * [1.0, 0.4, 0.2] + [3, 0, 0]
    sheared = rng.normal(size=(600, 3)) @ np.array([[0.7, 0.3, 0], [0, 0.5, 0.2], [0, 0, 0.6]])
    return np.concatenate([stretched, sheared])


def fitted(kind: str, components: int = 2) -> GaussianMixture:
    return GaussianMixture(components, covariance_type=kind, random_state=0).fit(data())


def components(law: MultiTokenGMM | FullMixture) -> tuple[torch.Tensor, ...]:
    if isinstance(law, FullMixture):
        return law.weights, law.means, law.covariances
    eye = torch.eye(law.dim, dtype=torch.float64)
    return law.probabilities, law.means, (law.sigma**2 * eye).expand(law.n_patterns, -1, -1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2])
def test_the_density_is_scikit_learns(kind, size):
    gm = fitted(kind, size)
    law = MultiTokenGMM.from_sklearn(gm, n_tokens=3)
    weights, means, covariances = components(law)
    x = torch.from_numpy(data()[::50])
    normal = torch.distributions.MultivariateNormal(means, covariances)
    logs = (normal.log_prob(x[:, None]) + weights.log()).logsumexp(1)
    np.testing.assert_allclose(logs, gm.score_samples(x.numpy()), rtol=1e-6)
    assert law.n_tokens == 3
    assert law.dim == 3


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_moments_of_scikit_learns_mixture(kind):
    gm = fitted(kind)
    drawn = MultiTokenGMM.from_sklearn(gm, n_tokens=4).sample(
        25_000, torch.Generator().manual_seed(1), torch.float64
    )
    x = drawn.x_0.flatten(0, 1).numpy()
    means, weights = gm.means_, gm.weights_
    centre = weights @ means
    within = {
        "full": lambda: np.einsum("c,cij->ij", weights, gm.covariances_),
        "tied": lambda: gm.covariances_,
        "diag": lambda: np.diag(weights @ gm.covariances_),
        "spherical": lambda: (weights @ gm.covariances_) * np.eye(3),
    }[kind]()
    between = np.einsum("c,ci,cj->ij", weights, means - centre, means - centre)
    np.testing.assert_allclose(x.mean(0), centre, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), within + between, atol=0.05)
    shares = np.bincount(drawn.labels.flatten().numpy()) / len(x)
    np.testing.assert_allclose(shares, weights, atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_law_can_be_measured(kind):
    schedule = NoiseSchedule.linear(30, 1e-3, 0.3)
    law = MultiTokenGMM.from_sklearn(fitted(kind), n_tokens=4)
    found = evaluate(optimal_denoiser(law, schedule), law, schedule, n_samples=800)
    assert found.loss.errors_from(bayes_risk(law, schedule, n_points=2048)) < 4


def test_the_simplest_law_that_fits():
    assert isinstance(MultiTokenGMM.from_sklearn(fitted("spherical", 1), n_tokens=2), MultiTokenGMM)
    for kind in KINDS:
        law = MultiTokenGMM.from_sklearn(fitted(kind), n_tokens=2)
        assert isinstance(law, FullMixture)
    equal = fitted("spherical")
    equal.covariances_[:] = 0.25
    law = MultiTokenGMM.from_sklearn(equal, n_tokens=2)
    assert isinstance(law, MultiTokenGMM)
    assert law.sigma == pytest.approx(0.5)


def test_more_components_than_dimensions():
    gm = fitted("spherical", 5)
    gm.covariances_[:] = 0.04
    law = MultiTokenGMM.from_sklearn(gm, n_tokens=2)
    assert isinstance(law, MultiTokenGMM)
    assert (law.n_patterns, law.dim) == (5, 3)


@pytest.mark.parametrize("thing", [GaussianMixture(2), object(), None])
def test_what_is_not_fitted_is_named(thing):
    with pytest.raises(ValueError, match=r"^fitted: .*fit\(\)"):
        MultiTokenGMM.from_sklearn(thing, n_tokens=2)
