"""The best linear denoiser and its exact risk."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf import FullMixture, MultiTokenGMM, NoiseSchedule, TokenLaw, draw_noisy, evaluate
from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.laws.moments import token_moments
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk, oracle_risk

SCHEDULE = NoiseSchedule.linear(1000)
EVEN = MultiTokenGMM(n_patterns=4, dim=10, n_tokens=8, radius=3.0, sigma=0.4)


def skewed() -> MultiTokenGMM:
    generator = torch.Generator().manual_seed(3)
    patterns = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    return MultiTokenGMM.from_patterns(
        patterns, n_tokens=6, sigma=0.3, weights=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    )


def full() -> FullMixture:
    generator = torch.Generator().manual_seed(4)
    roots = torch.randn(3, 5, 5, generator=generator, dtype=torch.float64)
    return FullMixture(
        torch.tensor([0.2, 0.3, 0.5]), torch.randn(3, 5, generator=generator, dtype=torch.float64),
        roots @ roots.mT / 5 + 0.1 * torch.eye(5), torch.arange(3), 6,
    )  # fmt: skip


def pool() -> TokenLaw:
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    labels = torch.arange(40) % 2
    return TokenLaw(tokens + 2 * labels[:, None], labels, (0.25, 0.75), 6)


LAWS = {
    "even": EVEN,
    "unequal": replace(EVEN, weights=(0.1, 0.2, 0.3, 0.4)),
    "some active": replace(EVEN, n_active=2),
    "some active, unequal": replace(EVEN, n_active=2, weights=(0.1, 0.2, 0.3, 0.4)),
    "rare data points": replace(EVEN, n_active=2, inclusion=(0.1, 0.4, 0.7, 0.8)),
    "one pattern": replace(EVEN, n_patterns=1),
    "more patterns than dimensions": skewed(),
    "full covariances": full(),
    "real tokens": pool(),
}


@pytest.fixture(params=LAWS, name="law")
def _law(request):
    return LAWS[request.param]


def test_moments_are_those_of_a_sample(law):
    moments = token_moments(law)
    axes = moments.axes
    identity = torch.eye(law.dim, dtype=torch.float64)
    assert axes.T @ axes == pytest.approx(torch.eye(axes.shape[1], dtype=torch.float64), abs=1e-10)
    covariance = (axes * moments.variances) @ axes.T + moments.rest * (identity - axes @ axes.T)
    tokens = law.sample(6000, torch.Generator().manual_seed(0), torch.float64).x_0[:, 0]
    centred = tokens - moments.mean
    products = centred[:, :, None] * centred[:, None, :]
    for found, expected in ((tokens, moments.mean), (products, covariance)):
        error = found.std(0) / math.sqrt(len(tokens))
        assert float(((found.mean(0) - expected) / error.clamp(min=1e-12)).abs().max()) < 5


def test_the_filter_is_the_least_squares_fit(law):
    """Regress the noise on the noisy token, at one time: the same affine map, up to sampling."""
    t = 400
    generator = torch.Generator().manual_seed(1)
    noisy = draw_noisy(law, SCHEDULE, torch.full((12_000,), t), generator, torch.float64)
    x, noise = noisy.x_t[:, 0].numpy(), noisy.noise[:, 0].numpy()
    design = np.hstack([x, np.ones((len(x), 1))])
    fitted, *_ = np.linalg.lstsq(design, noise, rcond=None)
    probe = torch.from_numpy(x[:200])[:, None]
    found = LinearDenoiser(law, SCHEDULE)(probe, torch.full((200,), t))[:, 0].numpy()
    scale = np.abs(found).mean()
    assert np.abs(design[:200] @ fitted - found).mean() < 0.05 * scale


def test_the_risk_is_that_of_the_denoiser(law):
    found = evaluate(
        LinearDenoiser(law, SCHEDULE), law, SCHEDULE, n_samples=2000, dtype=torch.float64,
        generator=torch.Generator().manual_seed(2),
    )  # fmt: skip
    expected = linear_risk(law, SCHEDULE)
    assert abs(found.loss.value - expected) < 4 * found.loss.standard_error
    best = bayes_risk(law, SCHEDULE)
    excess = expected - best.value
    spread = math.hypot(found.excess_risk.standard_error, best.standard_error)
    assert abs(found.excess_risk.value - excess) < 4 * spread + 1e-12
    assert excess > -4 * best.standard_error - 1e-12


@pytest.mark.parametrize("t", [0, 300, 999, None])
@pytest.mark.parametrize("size", [2, 4, 9])
def test_the_closed_form_of_orthogonal_patterns(size, t):
    law = replace(EVEN, n_patterns=size)
    alpha_bar = SCHEDULE.alpha_bar(SCHEDULE.times(t)).numpy()
    variance = alpha_bar * law.sigma**2 + 1 - alpha_bar
    s = alpha_bar * 9.0 / size
    excess = (1 - alpha_bar) / variance**2 / law.dim * (size - 1) * s * variance / (s + variance)
    assert linear_risk(law, SCHEDULE, t=t) == pytest.approx(
        oracle_risk(law, SCHEDULE, t=t) + excess.mean(), rel=1e-12
    )
    bound = ((1 - alpha_bar) / variance).mean() * (size - 1) / law.dim
    assert excess.mean() < bound


def test_one_gaussian_is_denoised_optimally():
    law = LAWS["one pattern"]
    assert linear_risk(law, SCHEDULE) == pytest.approx(oracle_risk(law, SCHEDULE), rel=1e-12)


def test_the_type_of_the_tokens_is_kept():
    x_t = torch.randn(2, 8, 10, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        found = LinearDenoiser(EVEN, SCHEDULE)(x_t.to(dtype), torch.tensor([3, 500]))
        assert found.dtype == dtype
        assert found.shape == x_t.shape


class Unknown:
    dim = 4
    n_tokens = 3

    def sample(self, batch_size, generator=None, dtype=torch.float32):
        raise NotImplementedError


class Known(Unknown):
    def token_moments(self):
        return token_moments(replace(EVEN, dim=4))


def test_a_law_of_ones_own_says_its_moments():
    with pytest.raises(TypeError, match="covariance of a token of a Unknown is not known"):
        LinearDenoiser(Unknown(), SCHEDULE)
    with pytest.raises(TypeError, match="token_moments"):
        linear_risk(Unknown(), SCHEDULE)
    assert linear_risk(Known(), SCHEDULE) == linear_risk(replace(EVEN, dim=4), SCHEDULE)


def test_wrong_tokens_and_times_are_refused():
    denoise = LinearDenoiser(EVEN, SCHEDULE)
    with pytest.raises(ValueError, match="x_t: expected"):
        denoise(torch.zeros(1, 8, 9), torch.tensor([1]))
    with pytest.raises(ValueError, match="t: "):
        linear_risk(EVEN, SCHEDULE, t=1000)


def test_the_oracle_of_full_covariances_shrinks_each_component_by_itself():
    law, t = full(), 300
    alpha_bar = float(SCHEDULE.alpha_bar(torch.tensor(t)))
    expected = 0.0
    for weight, covariance in zip(law.weights.tolist(), law.covariances.numpy(), strict=True):
        noisy = alpha_bar * covariance + (1 - alpha_bar) * np.eye(5)
        left = np.eye(5) - (1 - alpha_bar) * np.linalg.inv(noisy)
        expected += weight * np.trace(left) / 5
    assert oracle_risk(law, SCHEDULE, t=t) == pytest.approx(expected, rel=1e-10)
