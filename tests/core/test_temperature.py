"""Noise that is scaled: what it does to a Gaussian, exactly, and where there is none to scale."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from gmmtf import NoiseSchedule
from gmmtf.sampling import ancestral, ddim, dpm_solver

SCHEDULE = NoiseSchedule.linear(1000)
SHAPE = (40, 50, 10)
MEAN, SPREAD = 0.7, 0.5
NOISY = {
    "ancestral": ancestral,
    "ddim": partial(ddim, n_calls=500, eta=1.0),
    "solver": partial(dpm_solver, n_calls=200, stochastic=True),
}


def gaussian(x_t, t):
    """E[noise | x_t] for data that are normal with mean MEAN and standard deviation SPREAD."""
    alpha_bar = SCHEDULE.alpha_bar(t)[:, None, None].to(x_t)
    beside = x_t - alpha_bar.sqrt() * MEAN
    return (1 - alpha_bar).sqrt() * beside / (alpha_bar * SPREAD**2 + 1 - alpha_bar)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("which", NOISY)
@pytest.mark.parametrize("temperature", [1.0, 0.8, 0.5])
def test_a_gaussian_is_drawn_with_so_many_times_its_standard_deviation(which, temperature):
    """dv/dσ = 4σ v/(s² + σ²) - 2σ τ² from σ = ∞ to 0, of the variance v, ends at τ² s²."""
    x = NOISY[which](gaussian, SCHEDULE, SHAPE, temperature=temperature, generator=seeded())
    error = SPREAD / math.sqrt(x.numel())
    assert float(x.mean()) == pytest.approx(MEAN, abs=5 * error)
    assert float(x.std()) == pytest.approx(temperature * SPREAD, abs=5 * error, rel=0.02)


@pytest.mark.parametrize("which", NOISY)
def test_one_changes_nothing(which):
    shape = (2, 3, 4)
    plain, one = (
        NOISY[which](gaussian, SCHEDULE, shape, generator=seeded(), **extra)
        for extra in ({}, {"temperature": 1})
    )
    assert torch.equal(plain, one)


def test_ddim_with_all_steps_and_eta_one_is_ancestral_at_any_temperature():
    schedule = NoiseSchedule.linear(25)
    options = {"temperature": 0.6, "dtype": torch.float64}
    first = ancestral(lambda x, t: x.tanh(), schedule, (2, 3, 4), generator=seeded(), **options)
    other = ddim(
        lambda x, t: x.tanh(), schedule, (2, 3, 4),
        n_calls=25, eta=1.0, generator=seeded(), **options,
    )  # fmt: skip
    torch.testing.assert_close(first, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("which", NOISY)
@pytest.mark.parametrize("temperature", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_a_temperature_out_of_range_is_refused(which, temperature):
    with pytest.raises(ValueError, match=r"^temperature: expected a number.*, got"):
        NOISY[which](gaussian, SCHEDULE, (1, 1, 1), temperature=temperature)


@pytest.mark.parametrize(
    "flow", [partial(ddim, n_calls=5), partial(dpm_solver, n_calls=5)], ids=["ddim", "solver"]
)
def test_a_flow_has_no_noise_to_scale(flow):
    with pytest.raises(ValueError, match=r"temperature: expected 1 where no noise is added"):
        flow(gaussian, SCHEDULE, (1, 1, 1), temperature=0.9)
    assert flow(gaussian, SCHEDULE, (1, 1, 1), temperature=1.0).shape == (1, 1, 1)
