"""The denoisers of a full Gaussian mixture and of a point set are the exact posterior means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.empirical import EmpiricalDenoiser
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.laws.full import FullMixture
from gmmtf.laws.pool import TokenLaw

SCHEDULE = NoiseSchedule.linear(100, 1e-3, 0.1)
DIM, TOKENS = 5, 7


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def bent_mixture(count: int = 4) -> FullMixture:
    roots = normal(count, DIM, DIM, seed=1)
    weights = torch.linspace(1, 2, count, dtype=torch.float64)
    return FullMixture(
        weights / weights.sum(),
        2 * normal(count, DIM, seed=2),
        roots @ roots.mT / DIM + 0.05 * torch.eye(DIM, dtype=torch.float64),
        torch.arange(count) % 2,
        TOKENS,
    )


def noisy_tokens() -> tuple[torch.Tensor, torch.Tensor]:
    return 2 * normal(6, TOKENS, DIM, seed=3), torch.tensor([0, 1, 10, 40, 70, 99])


def test_bayes_is_tweedies_formula_by_automatic_differentiation():
    mixture, (x, t) = bent_mixture(), noisy_tokens()
    found = FullBayesDenoiser(mixture, SCHEDULE)(x, t)
    for row, time in enumerate(t):
        alpha_bar = SCHEDULE.alpha_bars[time]
        eye = torch.eye(DIM, dtype=torch.float64)
        law = MixtureSameFamily(
            Categorical(mixture.weights),
            MultivariateNormal(
                alpha_bar.sqrt() * mixture.means,
                alpha_bar * mixture.covariances + (1 - alpha_bar) * eye,
            ),
        )
        point = x[row].clone().requires_grad_()
        (score,) = torch.autograd.grad(law.log_prob(point).sum(), point)
        torch.testing.assert_close(found[row], -(1 - alpha_bar).sqrt() * score)


def test_one_component_is_the_wiener_filter():
    one = bent_mixture(1)
    x, t = noisy_tokens()
    found = FullBayesDenoiser(one, SCHEDULE)(x, t)
    for row, time in enumerate(t):
        a = SCHEDULE.alpha_bars[time]
        clean = one.means[0] + (x[row] - a.sqrt() * one.means[0]) @ torch.linalg.solve(
            a * one.covariances[0] + (1 - a) * torch.eye(DIM, dtype=torch.float64),
            a.sqrt() * one.covariances[0],
        )
        torch.testing.assert_close(found[row], (x[row] - a.sqrt() * clean) / (1 - a).sqrt())


def test_isotropic_components_give_the_bayes_denoiser_of_the_theory():
    mixture, (x, t) = bent_mixture(), noisy_tokens()
    isotropic = mixture.isotropic(0.49)
    theory = MultiTokenGMM.from_patterns(
        mixture.means, n_tokens=TOKENS, sigma=0.7, weights=mixture.weights
    )
    expected = BayesDenoiser(theory, SCHEDULE)(x, t)
    torch.testing.assert_close(FullBayesDenoiser(isotropic, SCHEDULE)(x, t), expected)


def test_points_are_a_mixture_of_vanishing_width():
    mixture, (x, t) = bent_mixture(), noisy_tokens()
    narrow = mixture.isotropic(1e-10)
    points = EmpiricalDenoiser(mixture.means, mixture.weights, SCHEDULE)
    torch.testing.assert_close(
        points(x, t), FullBayesDenoiser(narrow, SCHEDULE)(x, t), rtol=1e-5, atol=1e-5
    )


def test_at_low_noise_the_points_are_recalled():
    points = 3 * normal(20, DIM)
    law = EmpiricalDenoiser(points, torch.full((20,), 0.05), SCHEDULE)
    noise, t = normal(4, 5, DIM, seed=5), torch.zeros(4, dtype=torch.long)
    clean = points.view(4, 5, DIM)
    found = law(SCHEDULE.add_noise(clean, t, noise), t)
    torch.testing.assert_close(found, noise, rtol=1e-6, atol=1e-6)


def test_results_do_not_depend_on_the_chunks(monkeypatch):
    mixture, (x, t) = bent_mixture(), noisy_tokens()
    weights = torch.full((50,), 0.02, dtype=torch.float64)
    laws = (
        FullBayesDenoiser(mixture, SCHEDULE),
        EmpiricalDenoiser(normal(50, DIM), weights, SCHEDULE),
    )
    whole = [law(x, t) for law in laws]
    for module in ("full", "empirical"):
        monkeypatch.setattr(f"gmmtf.denoisers.{module}._CHUNK_ELEMENTS", 130)
    for law, expected in zip(laws, whole, strict=True):
        torch.testing.assert_close(law(x, t), expected)


@pytest.mark.parametrize("times", [[3] * 6, [0, 0, 40, 40, 40, 99], [0, 1, 10, 40, 70, 99]])
@pytest.mark.parametrize("tokens", [1, 2, TOKENS])
def test_each_token_is_denoised_at_its_own_time(times, tokens):
    """Many tokens at one time share a matrix, few do not: each equals a public library's value."""
    mixture, t = bent_mixture(), torch.tensor(times)
    x = 2 * normal(6, tokens, DIM, seed=6)
    found = FullBayesDenoiser(mixture, SCHEDULE)(x, t)
    for row, time in enumerate(times):
        abar = float(SCHEDULE.alpha_bars[time])
        covariances = abar * mixture.covariances.numpy() + (1 - abar) * np.eye(DIM)
        means = abar**0.5 * mixture.means.numpy()
        public = GaussianMixture(len(means), covariance_type="full")
        public.weights_, public.means_ = mixture.weights.numpy(), means
        public.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(covariances))
        shares = public.predict_proba(x[row].numpy())
        expected = np.zeros((tokens, DIM))
        for share, mean, covariance in zip(shares.T, means, covariances, strict=True):
            solved = np.linalg.solve(covariance, (x[row].numpy() - mean).T).T
            expected += (1 - abar) ** 0.5 * share[:, None] * solved
        np.testing.assert_allclose(found[row], expected, rtol=1e-11, atol=1e-12)


def test_tokens_of_one_time_in_parts_change_nothing(monkeypatch):
    denoise, (x, _) = FullBayesDenoiser(bent_mixture(), SCHEDULE), noisy_tokens()
    t = torch.full((6,), 20)
    whole = denoise(x, t)
    monkeypatch.setattr("gmmtf.denoisers.full._CACHE_ELEMENTS", 60)
    torch.testing.assert_close(denoise(x, t), whole, rtol=1e-12, atol=1e-13)


def test_float32_comes_back_as_float32_and_is_computed_in_float64():
    mixture, (x, t) = bent_mixture(), noisy_tokens()
    denoise = FullBayesDenoiser(mixture, SCHEDULE)
    short = x.float()
    assert denoise(short, t).dtype == torch.float32
    torch.testing.assert_close(denoise(short, t), denoise(short.double(), t).float())


def test_samples_have_the_moments_of_the_mixture():
    mixture = bent_mixture()
    drawn = mixture.sample(20_000, generator(), torch.float64)
    flat, labels = drawn.x_0.flatten(0, 1), drawn.labels.flatten()
    assert drawn.x_0.shape == (20_000, TOKENS, DIM)
    even = mixture.classes == 0
    assert abs(float((labels == 0).double().mean() - mixture.weights[even].sum())) < 0.005
    weights = mixture.weights[even] / mixture.weights[even].sum()
    mean = weights @ mixture.means[even]
    torch.testing.assert_close(flat[labels == 0].mean(0), mean, rtol=0, atol=0.05)
    centred = mixture.means[even] - mean
    covariance = (weights[:, None, None] * mixture.covariances[even]).sum(0)
    covariance = covariance + (centred * weights[:, None]).T @ centred
    torch.testing.assert_close(flat[labels == 0].T.cov(), covariance, rtol=0, atol=0.1)


def test_a_fit_recovers_well_separated_classes():
    true = FullMixture(
        torch.full((4,), 0.25, dtype=torch.float64),
        20 * torch.eye(4, DIM, dtype=torch.float64),
        torch.diag_embed(torch.tensor([0.2, 0.5, 1.0, 1.5, 2.0])).expand(4, DIM, DIM),
        torch.tensor([0, 0, 1, 1]),
        100,
    )
    drawn = true.sample(120, generator(), torch.float64)
    law = TokenLaw(drawn.x_0.flatten(0, 1), drawn.labels.flatten(), [0.9, 0.1], 100)
    fit = FullMixture.fit(law, 2)
    torch.testing.assert_close(fit.weights[:2].sum(), torch.tensor(0.9, dtype=torch.float64))
    assert fit.classes.tolist() == [0, 0, 1, 1]
    nearest = torch.cdist(true.means, fit.means)
    assert nearest.argmin(1).sort().values.tolist() == [0, 1, 2, 3]
    assert float(nearest.amin(1).max()) < 0.3
    matched = fit.covariances[nearest.argmin(1)]
    torch.testing.assert_close(matched, true.covariances, rtol=0, atol=0.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": torch.tensor([0.5, 0.6])}, "weights: expected positive numbers with sum 1"),
        ({"weights": torch.ones(3) / 3}, r"weights: expected shape \(2,\)"),
        ({"means": torch.ones(2)}, r"means: expected shape \[C, d\]"),
        ({"covariances": torch.ones(2, 3, 3)}, "covariances: expected positive definite"),
        ({"covariances": torch.eye(3).expand(2, 3, 3) + torch.ones(3, 3).triu(1)}, "symmetric"),
        ({"classes": torch.zeros(1)}, r"classes: expected shape \(2,\)"),
    ],
)
def test_a_wrong_mixture_is_refused(change, message):
    good = {
        "weights": torch.tensor([0.5, 0.5]),
        "means": torch.zeros(2, 3),
        "covariances": torch.eye(3).expand(2, 3, 3),
        "classes": torch.tensor([0, 1]),
        "n_tokens": 2,
    }
    with pytest.raises(ValueError, match=message):
        FullMixture(**(good | change))


@pytest.mark.parametrize(
    ("points", "weights", "message"),
    [
        (torch.ones(3), torch.ones(3) / 3, r"points: expected shape \[n, d\]"),
        (torch.ones(3, 2), torch.ones(2) / 2, r"weights: expected shape \[3\]"),
        (torch.ones(2, 2), torch.ones(2), "weights: expected positive numbers with sum 1"),
    ],
)
def test_wrong_points_are_refused(points, weights, message):
    with pytest.raises(ValueError, match=message):
        EmpiricalDenoiser(points, weights, SCHEDULE)


@pytest.mark.parametrize(
    ("x", "t", "message"),
    [
        (torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.long), "x_t: expected floats"),
        (torch.zeros(2, 3, DIM), torch.zeros(3, dtype=torch.long), "t: expected one time"),
        (torch.zeros(2, 3, DIM), torch.full((2,), 100), "t: expected indices from 0 to 99"),
    ],
)
def test_wrong_tokens_are_refused(x, t, message):
    with pytest.raises(ValueError, match=message):
        FullBayesDenoiser(bent_mixture(), SCHEDULE)(x, t)
