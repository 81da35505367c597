"""Real tokens: the projection, the law of data points, and the moments that theory is fed."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.images import mnist
from gmmtf.laws.full import FullMixture
from gmmtf.laws.pool import TokenLaw
from gmmtf.randomness import standard_normal
from gmmtf.risks import formulas
from gmmtf.risks.first_step import descent_direction
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import oracle_risk
from gmmtf_book.c09_digits_as_tokens import tokens
from gmmtf_book.c09_digits_as_tokens.moments import (
    Moments,
    first_direction,
    linear_head,
)
from gmmtf_book.c09_digits_as_tokens.projection import Projection
from gmmtf_book.c09_digits_as_tokens.tokens import class_probabilities

SCHEDULE = NoiseSchedule.linear(1000)


@cache
def real(dim: int = 20, per_digit: int = 30) -> tokens.DigitData:
    return tokens.load(dim, per_digit=per_digit, digits=(1, 2, 7))


def toy_law(n_tokens: int = 6) -> TokenLaw:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([2, 0, 1] * 20)
    stretch = torch.tensor([3.0, 1.0, 0.5, 0.2], dtype=torch.float64)
    tokens = standard_normal((60, 4), generator, torch.float64) * stretch
    return TokenLaw(tokens + labels[:, None], labels, [0.5, 0.3, 0.2], n_tokens)


def test_the_projection_is_a_principal_component_analysis():
    images, _ = mnist.load("test")
    images = images[:2000]
    projection = Projection.fit(images, 30)
    pixels = images.flatten(1).double().numpy() / 255
    values = torch.linalg.eigvalsh(torch.from_numpy(pixels).T.cov(correction=0)).flip(0)
    assert projection.kept == pytest.approx(float(values[:30].sum() / values.sum()), rel=1e-5)
    tokens = projection.tokens(images)
    assert float(tokens.square().mean()) == pytest.approx(1, rel=1e-5)
    expected = torch.diag(values[:30]) / projection.unit**2
    torch.testing.assert_close(tokens.T.cov(correction=0), expected, rtol=1e-4, atol=1e-4)
    restored = (projection.images(tokens) + 1) / 2
    lost = (restored.flatten(1) - torch.from_numpy(pixels)).square().sum(1).mean()
    assert float(lost) == pytest.approx(float(values[30:].sum()), rel=1e-4)


def test_tokens_of_images_of_tokens_are_the_tokens():
    data = real()
    pixels = (data.projection.images(data.train_tokens) + 1) / 2
    again = (pixels.flatten(1) - data.projection.centre) @ data.projection.axes
    torch.testing.assert_close(again / data.projection.unit, data.train_tokens)


def test_loading_keeps_the_first_images_of_each_digit_and_the_splits_apart():
    data = real()
    images, labels = mnist.load("train")
    first = images[labels == 2][:30]
    torch.testing.assert_close(
        data.train_tokens[data.train_labels == 1], data.projection.tokens(first)
    )
    _, test_labels = mnist.load("test", (1, 2, 7))
    assert torch.equal(torch.tensor([1, 2, 7])[data.test_labels], test_labels)
    assert float(torch.cdist(data.train_tokens, data.test_tokens).min()) > 1e-3


def test_data_points_are_drawn_from_the_pool_with_the_class_probabilities():
    law = toy_law()
    drawn = law.sample(4000, torch.Generator().manual_seed(1), torch.float64)
    shares = drawn.labels.flatten().bincount() / drawn.labels.numel()
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), rtol=0, atol=0.01)
    assert float(torch.cdist(drawn.x_0.flatten(0, 1)[:500], law.tokens).amin(1).max()) < 1e-6
    nearest = torch.cdist(drawn.x_0.flatten(0, 1), law.tokens).argmin(1)
    assert torch.equal(law.labels[nearest], drawn.labels.flatten())
    torch.testing.assert_close(
        nearest.bincount() / len(nearest), law.point_weights.float(), rtol=0, atol=0.003
    )


def test_the_same_seed_draws_the_same_data_points():
    law = toy_law()
    draws = [law.sample(3, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(draws[0].x_0, draws[1].x_0)


def test_moments_are_those_of_the_sampled_tokens():
    law = toy_law()
    moments = Moments.of(law)
    drawn = law.sample(60_000, torch.Generator().manual_seed(1), torch.float64)
    flat = drawn.x_0.flatten(0, 1)
    torch.testing.assert_close(flat.mean(0), moments.centre, rtol=0, atol=0.03)
    torch.testing.assert_close(flat.T.cov(), moments.covariance, rtol=0.03, atol=0.03)
    matched = moments.matched(6)
    trace = matched.sigma**2 * 4 + matched.require_equal_orthogonal("test") ** 2 * (
        1 - float(moments.probabilities.square().sum())
    )
    assert float(moments.covariance.trace()) == pytest.approx(trace)


def test_the_risk_at_the_start_is_that_of_the_matched_mixture():
    law = toy_law()
    moments = Moments.of(law)
    mixture = moments.matched(6)
    generator = torch.Generator().manual_seed(2)
    x_0 = law.sample(20_000, generator, torch.float64).x_0
    head = AttentionDenoiser(mixture, SCHEDULE, dtype=torch.float64)
    for t in (50, 300):
        times = torch.full((len(x_0),), t)
        noise = standard_normal(x_0.shape, generator, torch.float64)
        with torch.no_grad():
            errors = (head(SCHEDULE.add_noise(x_0, times, noise), times) - noise).square()
        samples = errors.mean((1, 2))
        expected = oracle_risk(mixture, SCHEDULE, t=t) + formulas.start_risk(mixture, SCHEDULE, t=t)
        assert abs(float(samples.mean()) - expected) < 4 * float(samples.std()) / len(x_0) ** 0.5


def test_the_first_step_reduces_to_that_of_the_theory():
    mixture = Moments.of(toy_law()).matched(6)
    centred = mixture.means - mixture.probabilities @ mixture.means
    covariance = (centred * mixture.probabilities[:, None]).T @ centred
    covariance += mixture.sigma**2 * torch.eye(4, dtype=torch.float64)
    found = mixture.means @ first_direction(covariance, mixture.sigma, SCHEDULE) @ mixture.means.T
    torch.testing.assert_close(found, descent_direction(mixture, SCHEDULE).products(mixture))


def test_the_first_step_is_minus_the_gradient_on_tokens_of_another_law():
    law = toy_law(n_tokens=300)
    moments = Moments.of(law)
    head = AttentionDenoiser(moments.matched(300), SCHEDULE, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    for _ in range(40):
        x_0 = law.sample(10, generator, torch.float64).x_0
        t = torch.arange(50, 1000, 100)
        noise = standard_normal(x_0.shape, generator, torch.float64)
        torch.autograd.backward(
            (head(SCHEDULE.add_noise(x_0, t, noise), t) - noise).square().mean() / 40
        )
    sparse = NoiseSchedule(1 - _steps(SCHEDULE.alpha_bars[50::100]))
    expected = first_direction(moments.covariance, moments.sigma, sparse)
    error = (-head.weight.grad - expected).norm() / expected.norm()
    assert float(error) < 0.05


@pytest.mark.parametrize("t", [100, 250])
def test_with_the_wiener_weight_the_head_is_the_wiener_filter(t):
    n_tokens = 2000
    covariance = torch.diag(torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64))
    law = FullMixture(
        torch.ones(1),
        torch.zeros(1, 3),
        covariance[None],
        torch.zeros(1, dtype=torch.long),
        n_tokens,
    )
    # Only d and σ of the head's mixture enter, and σ² is the mean variance, as for real tokens.
    sigma = float(covariance.trace() / 3) ** 0.5
    theory = MultiTokenGMM(n_patterns=1, dim=3, n_tokens=n_tokens, radius=1.0, sigma=sigma)
    head = AttentionDenoiser(theory, SCHEDULE, dtype=torch.float64)
    generator = torch.Generator().manual_seed(4)
    x_0 = law.sample(4, generator, torch.float64).x_0
    times = torch.full((4,), t)
    x_t = SCHEDULE.add_noise(x_0, times, standard_normal(x_0.shape, generator, torch.float64))
    wiener = FullBayesDenoiser(law, SCHEDULE)(x_t, times)
    with torch.no_grad():
        before = (head(x_t, times) - wiener).square().mean()
        head.weight.copy_(_wiener_weight(covariance, sigma, t))
        after = (head(x_t, times) - wiener).square().mean()
    assert float(after) < 0.03 * float(before)


def test_the_best_linear_head_is_a_stationary_point_between_start_and_wiener_filter():
    moments = Moments.of(toy_law())
    best = linear_head(moments.covariance, moments.sigma, SCHEDULE)
    start = formulas.start_risk(moments.matched(10**9), SCHEDULE)
    start += oracle_risk(moments.matched(10**9), SCHEDULE)
    assert linear_risk(toy_law(), SCHEDULE) < best.risk < start
    weight = best.weight.clone().requires_grad_()
    risk = _linear_risk(weight, moments)
    assert float(risk.detach()) == pytest.approx(best.risk)
    (gradient,) = torch.autograd.grad(risk, weight)
    assert float(gradient.norm()) < 1e-10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0, "per_digit": 5}, "dim: expected an integer from 1 to"),
        ({"dim": 785, "per_digit": 5}, "dim: expected an integer from 1 to"),
        ({"dim": 5, "per_digit": 1}, "per_digit: expected an integer from 2 to"),
        ({"dim": 5, "per_digit": 6000}, "per_digit: expected an integer from 2 to"),
        ({"dim": 5, "per_digit": 5, "digits": (1, 10)}, "digits: expected one or more distinct"),
    ],
)
def test_wrong_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tokens.load(**({"digits": (1, 2)} | arguments))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": [0.5, 0.6]}, "probabilities: expected positive numbers with sum 1"),
        ({"probabilities": [0.5, 0.3, 0.2]}, "labels: expected each of 0 to 2 to occur"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, r"labels: expected shape \[4\]"),
        ({"n_tokens": 1}, "n_tokens: expected an integer of at least 2"),
        ({"tokens": torch.zeros(4)}, r"tokens: expected floats \[n, d\]"),
    ],
)
def test_a_wrong_law_is_refused(change, message):
    good = {
        "tokens": torch.zeros(4, 2),
        "labels": torch.tensor([0, 1, 0, 1]),
        "probabilities": [0.5, 0.5],
        "n_tokens": 3,
    }
    with pytest.raises(ValueError, match=message):
        TokenLaw(**(good | change))


def test_class_probabilities():
    assert class_probabilities(4) == [0.25] * 4
    assert class_probabilities(3, 1, 0.1) == pytest.approx([0.45, 0.1, 0.45])
    with pytest.raises(ValueError, match="rare: give it together with rare_probability"):
        class_probabilities(3, 1)
    with pytest.raises(ValueError, match="rare: expected a class from 0 to 2, got 3"):
        class_probabilities(3, 3, 0.1)
    with pytest.raises(ValueError, match=r"rare_probability: expected a number in \(0, 1\)"):
        class_probabilities(3, 1, 1.0)


def test_a_split_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="split: expected 'train' or 'test', got 'valid'"):
        real().law("valid", [1 / 3] * 3, 4)


def _steps(alpha_bars: torch.Tensor) -> torch.Tensor:
    """α of a schedule that has exactly these ᾱ."""
    return alpha_bars / torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])


def _wiener_weight(covariance: torch.Tensor, sigma: float, t: int) -> torch.Tensor:
    """W = C⁻¹ - τ² C⁻² with C = ᾱΣ + (1-ᾱ)I: the head is the Wiener filter, as N → ∞."""
    alpha_bar = SCHEDULE.alpha_bars[t]
    inverse = torch.linalg.inv(alpha_bar * covariance + (1 - alpha_bar) * torch.eye(3).double())
    return inverse - (alpha_bar * sigma**2 + 1 - alpha_bar) * inverse @ inverse


def _linear_risk(weight: torch.Tensor, moments: Moments) -> torch.Tensor:
    """Risk of c (I - C Wᵀ) x for tokens of mean zero, from its definition."""
    total = torch.zeros((), dtype=torch.float64)
    eye = torch.eye(len(weight), dtype=torch.float64)
    for a in SCHEDULE.alpha_bars:
        noisy = a * moments.covariance + (1 - a) * eye
        gain = (1 - a).sqrt() / (a * moments.sigma**2 + 1 - a)
        head = gain * (eye - noisy @ weight.T)
        total = total + (eye - 2 * (1 - a).sqrt() * head + head @ noisy @ head.T).trace()
    return total / len(weight) / len(SCHEDULE.alpha_bars)
