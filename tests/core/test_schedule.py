"""Noise schedules against diffusers' schedulers, the published formulas and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from gmmtf import NoiseSchedule


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(
    ("n_steps", "first", "last"), [(1000, 1e-4, 0.02), (37, 1e-3, 0.2), (1, 1e-4, 0.02)]
)
def test_linear_schedule_is_that_of_diffusers(n_steps, first, last):
    theirs = DDPMScheduler(
        num_train_timesteps=n_steps, beta_start=first, beta_end=last, beta_schedule="linear"
    )
    ours = NoiseSchedule.linear(n_steps, first, last)
    assert ours.n_steps == n_steps
    np.testing.assert_allclose(ours.betas, theirs.betas.double(), rtol=1e-6)
    # Their ᾱ is a float32 product: its rounding, not ours, decides the tolerance at the end.
    np.testing.assert_allclose(ours.alpha_bars, theirs.alphas_cumprod.double(), rtol=2e-5)
    exact = np.cumprod(1 - np.linspace(first, last, n_steps))
    np.testing.assert_allclose(ours.alpha_bars, exact, rtol=1e-12)
    np.testing.assert_allclose(ours.alphas, 1 - ours.betas, rtol=1e-15)


def test_lists_keep_the_precision_of_their_numbers():
    betas = [0.1, 0.2, 1 / 3]
    assert NoiseSchedule(betas).betas.tolist() == betas
    assert NoiseSchedule(tuple(betas)).betas.tolist() == betas
    assert NoiseSchedule(np.array(betas)).betas.tolist() == betas


def test_defaults_are_those_of_ddpm():
    schedule = NoiseSchedule.linear()
    assert schedule.n_steps == 1000
    assert float(schedule.betas[0]) == pytest.approx(1e-4, rel=1e-12)
    assert float(schedule.betas[-1]) == pytest.approx(0.02, rel=1e-12)
    assert schedule.betas.dtype == schedule.alpha_bars.dtype == torch.float64


@pytest.mark.parametrize("n_steps", [1, 10, 1000])
def test_cosine_schedule_follows_its_formula(n_steps):
    def signal(s: float) -> float:
        return math.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [
        min(1 - signal((i + 1) / n_steps) / signal(i / n_steps), 0.999) for i in range(n_steps)
    ]
    ours = NoiseSchedule.cosine(n_steps)
    np.testing.assert_allclose(ours.betas, expected, rtol=1e-9)
    theirs = DDPMScheduler(num_train_timesteps=n_steps, beta_schedule="squaredcos_cap_v2")
    np.testing.assert_allclose(ours.betas, theirs.betas.double(), rtol=1e-6)
    # Apart from the capped last step, ᾱ is the squared cosine itself.
    closed = [signal((i + 1) / n_steps) / signal(0) for i in range(n_steps - 1)]
    np.testing.assert_allclose(ours.alpha_bars[:-1], closed, rtol=1e-9)


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 2, 8, 8), (5,)])
def test_add_noise_is_that_of_diffusers(shape):
    theirs = DDPMScheduler(num_train_timesteps=1000)
    x_0, noise = normal(*shape, dtype=torch.float32), normal(*shape, seed=1, dtype=torch.float32)
    t = torch.tensor([0, 1, 250, 600, 999])
    ours = NoiseSchedule.linear().add_noise(x_0, t, noise)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs.add_noise(x_0, noise, t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [NoiseSchedule.linear, NoiseSchedule.cosine])
def test_forward_process_in_numpy_and_round_trips(make):
    schedule = make(50)
    t = torch.tensor([0, 7, 48])
    x_0, noise = normal(3, 4, 5), normal(3, 4, 5, seed=1)
    abar = np.cumprod(1 - schedule.betas.numpy())[t][:, None, None]
    x_t = schedule.add_noise(x_0, t, noise)
    expected = np.sqrt(abar) * x_0.numpy() + np.sqrt(1 - abar) * noise.numpy()
    np.testing.assert_allclose(x_t, expected, rtol=1e-12)
    np.testing.assert_allclose(schedule.noise_to_x0(x_t, t, noise), x_0, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(schedule.x0_to_noise(x_t, t, x_0), noise, rtol=1e-8, atol=1e-9)
    score = schedule.noise_to_score(noise, t)
    np.testing.assert_allclose(score, -noise.numpy() / np.sqrt(1 - abar), rtol=1e-12)
    np.testing.assert_allclose(schedule.score_to_noise(score, t), noise, rtol=1e-12)


def test_one_step_schedule():
    schedule = NoiseSchedule.linear(1, beta_start=0.3, beta_end=0.9)
    assert schedule.alpha_bars.tolist() == pytest.approx([0.7])
    x_t = schedule.add_noise(torch.ones(2, 3), torch.zeros(2, dtype=torch.long), torch.ones(2, 3))
    torch.testing.assert_close(x_t, torch.full((2, 3), math.sqrt(0.7) + math.sqrt(0.3)))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8, torch.int64])
def test_integer_times_of_any_width(dtype):
    schedule = NoiseSchedule.linear(100)
    t = torch.tensor([3, 99], dtype=dtype)
    assert torch.equal(schedule.alpha_bar(t), schedule.alpha_bars[[3, 99]])
    x = normal(2, 3, 4)
    assert torch.equal(schedule.add_noise(x, t, x), schedule.add_noise(x, t.long(), x))


def test_alpha_bar_takes_times_of_any_shape():
    schedule = NoiseSchedule.linear(100)
    t = torch.tensor([[0, 1], [2, 99]])
    assert torch.equal(schedule.alpha_bar(t), schedule.alpha_bars[t])
    assert schedule.alpha_bar(torch.tensor(5)).shape == ()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_keep_the_dtype_of_the_data(dtype):
    schedule, t = NoiseSchedule.linear(10), torch.tensor([1, 2])
    x = normal(2, 3, dtype=dtype)
    for method in (schedule.add_noise, schedule.noise_to_x0, schedule.x0_to_noise):
        assert method(x, t, x).dtype == dtype
    for convert in (schedule.noise_to_score, schedule.score_to_noise):
        assert convert(x, t).dtype == dtype


BAD_TIMES = {
    "negative": torch.tensor([0, -1]),
    "too large": torch.tensor([0, 10]),
    "float": torch.tensor([0.0, 1.0]),
    "bool": torch.tensor([False, True]),
    "too many": torch.tensor([0, 1, 2]),
    "scalar": torch.tensor(1),
    "python integer": 1,
}


@pytest.mark.parametrize("name", BAD_TIMES)
@pytest.mark.parametrize(
    "method", ["add_noise", "noise_to_x0", "x0_to_noise", "noise_to_score", "score_to_noise"]
)
def test_bad_times_are_named(method, name):
    x = torch.ones(2, 3)
    arguments = (x, BAD_TIMES[name], x) if "score" not in method else (x, BAD_TIMES[name])
    with pytest.raises(ValueError, match=r"^t: "):
        getattr(NoiseSchedule.linear(10), method)(*arguments)


@pytest.mark.parametrize("t", [3, 0.5, torch.tensor([10]), torch.tensor([-1]), torch.ones(2)])
def test_alpha_bar_names_bad_times(t):
    with pytest.raises(ValueError, match=r"^t: "):
        NoiseSchedule.linear(10).alpha_bar(t)


@pytest.mark.parametrize(
    ("method", "named"), [("add_noise", "noise"), ("noise_to_x0", "noise"), ("x0_to_noise", "x_0")]
)
@pytest.mark.parametrize("shape", [(2, 4), (2, 1), (3,), (1, 2, 3)])
def test_bad_shapes_are_named(method, named, shape):
    schedule, t = NoiseSchedule.linear(10), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=rf"^{named}: "):
        getattr(schedule, method)(torch.ones(2, 3), t, torch.ones(shape))


def test_integer_data_are_refused_instead_of_truncated():
    pixels = torch.full((2, 3), 200)
    with pytest.raises(ValueError, match=r"^x_0: "):
        NoiseSchedule.linear(10).add_noise(pixels, torch.tensor([0, 9]), torch.ones_like(pixels))


@pytest.mark.parametrize(
    "betas",
    [
        [],
        [[0.1]],
        [0.0],
        [1.0],
        [0.1, -0.1],
        [0.1, 0.0],
        [0.1, 2.0],
        [float("nan")],
        [float("inf")],
    ],
)
def test_bad_betas_are_named(betas):
    with pytest.raises(ValueError, match=r"^betas: "):
        NoiseSchedule(torch.tensor(betas))


@pytest.mark.parametrize("n_steps", [0, -3, 2.5])
@pytest.mark.parametrize("make", [NoiseSchedule.linear, NoiseSchedule.cosine])
def test_bad_number_of_steps_is_named(make, n_steps):
    with pytest.raises(ValueError, match=r"^n_steps: "):
        make(n_steps)


def test_times_are_all_of_them_or_the_one_asked_for():
    schedule = NoiseSchedule.linear(10)
    assert schedule.times().tolist() == list(range(10))
    assert schedule.times(3).tolist() == [3]
    quantiles = torch.tensor([0.0, 0.35, 0.999, 1.0])
    assert schedule.times_at(quantiles).tolist() == [0, 3, 9, 9]
    assert schedule.times_at(quantiles, 4).tolist() == [4, 4, 4, 4]
    for wrong in (10, -1, 2.5, True):
        with pytest.raises(ValueError, match="t: expected an integer from 0 to 9"):
            schedule.times(wrong)


def test_a_small_noise_level_survives_float32():
    """1 - ᾱ taken in float32 would put the noise off by 0.7 %."""
    schedule = NoiseSchedule(torch.tensor([1e-6], dtype=torch.float64))
    x_0, noise = torch.zeros(1, 2), torch.ones(1, 2)
    x_t = schedule.add_noise(x_0, torch.tensor([0]), noise)
    torch.testing.assert_close(x_t, torch.full((1, 2), 1e-3), rtol=1e-6, atol=0)


def test_the_signal_to_noise_ratio_is_that_of_diffusers():
    """Their training scripts weight losses by (√ᾱ/√(1-ᾱ))²."""
    alpha_bars = np.cumprod(1 - np.linspace(1e-4, 0.02, 50))
    expected = (np.sqrt(alpha_bars) / np.sqrt(1 - alpha_bars)) ** 2
    np.testing.assert_allclose(NoiseSchedule.linear(50).snr.numpy(), expected, rtol=1e-12)
