"""Denoisers at a temperature: exact for normal laws, with any sampler, and what they refuse."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from gmmtf import NoiseSchedule
from gmmtf.sampling import ancestral, ddim, dpm_solver
from gmmtf.temperature import tempered

SCHEDULE = NoiseSchedule.linear(1000)
SHAPE = (40, 50, 10)
MEAN, SPREAD = 0.7, 0.5
SAMPLERS = {
    "ancestral": ancestral,
    "ddim": partial(ddim, n_calls=500),
    "solver": partial(dpm_solver, n_calls=100),
    "noisy solver": partial(dpm_solver, n_calls=200, stochastic=True),
}


def normal(x_t, t, spread=SPREAD, mean=MEAN):
    """E[noise | x_t] for data that are normal."""
    alpha_bar = SCHEDULE.alpha_bar(t).view(-1, *[1] * (x_t.ndim - 1)).to(x_t)
    beside = x_t - alpha_bar.sqrt() * mean
    return (1 - alpha_bar).sqrt() * beside / (alpha_bar * spread**2 + 1 - alpha_bar)


def pair(x_t, t, spread=SPREAD, share=0.2, far=8.0):
    """E[noise | x_t] for two normal laws, one far from the other and less likely."""
    alpha_bar = SCHEDULE.alpha_bar(t).view(-1, *[1] * (x_t.ndim - 1)).to(x_t)
    variance = alpha_bar * spread**2 + 1 - alpha_bar
    logits = [
        math.log(p) - (x_t - alpha_bar.sqrt() * mean) ** 2 / (2 * variance)
        for p, mean in ((share, far), (1 - share, 0.0))
    ]
    first = torch.sigmoid(logits[0] - logits[1])
    return first * normal(x_t, t, spread, far) + (1 - first) * normal(x_t, t, spread, 0.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
@pytest.mark.parametrize("temperature", [0.3, 0.9, 2.0])
def test_of_a_normal_law_it_is_the_exact_one_of_another_variance(temperature, shape):
    x = torch.randn(shape, generator=seeded(), dtype=torch.float64)
    t = torch.tensor([0, 10, 300, 600, 999])
    found = tempered(normal, SCHEDULE, temperature, SPREAD)(x, t)
    torch.testing.assert_close(found, normal(x, t, SPREAD * temperature**0.5), rtol=1e-6, atol=0)


@pytest.mark.parametrize("which", SAMPLERS)
def test_samplers_draw_with_the_new_variance_around_the_same_mean(which):
    denoise = tempered(normal, SCHEDULE, 0.5, spread=SPREAD)
    x = SAMPLERS[which](denoise, SCHEDULE, SHAPE, generator=seeded())
    error = SPREAD / math.sqrt(x.numel())
    assert float(x.mean()) == pytest.approx(MEAN, abs=5 * error)
    assert float(x.std()) == pytest.approx(0.5**0.5 * SPREAD, abs=5 * error, rel=0.02)


@pytest.mark.parametrize("which", SAMPLERS)
def test_components_far_apart_keep_their_shares(which):
    shares, spreads = [], []
    for temperature in (1.0, 0.5):
        denoise = tempered(pair, SCHEDULE, temperature, SPREAD)
        x = SAMPLERS[which](denoise, SCHEDULE, SHAPE, generator=seeded(1))
        shares.append(float((x > 4).double().mean()))
        spreads.append(float(x[x > 4].std()))
    error = math.sqrt(0.2 * 0.8 / x.numel())
    assert shares == pytest.approx([0.2, 0.2], abs=5 * error + 0.01)
    assert spreads[1] / spreads[0] == pytest.approx(0.5**0.5, rel=0.04)


def test_a_large_spread_acts_at_high_noise_too():
    x, t = torch.ones(1000, 1, 1, dtype=torch.float64), torch.arange(1000)
    sigma = ((1 - SCHEDULE.alpha_bars) / SCHEDULE.alpha_bars).sqrt().double()
    for spread in (0.5, 4.0):
        factor = (tempered(normal, SCHEDULE, 0.5, spread)(x, t) / normal(x, t)).flatten()
        half = (1 + 1) / (0.5 + 1)  # where the noise is as large as the spread
        near = (sigma / spread).log().abs().argmin()
        assert float(factor[near]) == pytest.approx(half, rel=0.01)
        assert bool((factor.diff() < 0).all())
        assert float(factor[0]) == pytest.approx(2, rel=0.01)


def test_one_is_the_denoiser_itself():
    assert tempered(normal, SCHEDULE, 1, 3.0) is normal


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), 1e7, "low", None])
@pytest.mark.parametrize("name", ["temperature", "spread"])
def test_numbers_out_of_range_are_refused(name, wrong):
    with pytest.raises(ValueError, match=f"^{name}: expected a number between 1e-06 and 1e"):
        tempered(normal, SCHEDULE, **{"temperature": 0.9, name: wrong})
