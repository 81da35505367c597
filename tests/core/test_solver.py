"""The multistep solver against the exact probability flow of a Gaussian, and against DDIM."""

from __future__ import annotations

import sys

import pytest
import torch

from gmmtf import NoiseSchedule
from gmmtf.randomness import standard_normal
from gmmtf.sampling import SPACINGS, ddim, dpm_solver, karras_times

SCHEDULE = NoiseSchedule.linear(1000)
SHAPE = (8, 4, 3)
SPREAD = 0.5


def gaussian(x_t, t):
    """E[noise | x_t] for data that are normal with mean zero and standard deviation SPREAD."""
    alpha_bar = SCHEDULE.alpha_bar(t)[:, None, None].to(x_t)
    return (1 - alpha_bar).sqrt() * x_t / (alpha_bar * SPREAD**2 + 1 - alpha_bar)


def flow_end(x):
    """Where the probability flow carries x: its variance goes from that at T-1 to that of x_0."""
    alpha_bar = float(SCHEDULE.alpha_bars[-1])
    return x * SPREAD / (alpha_bar * SPREAD**2 + 1 - alpha_bar) ** 0.5


def error(n_calls, order):
    made = dpm_solver(
        gaussian,
        SCHEDULE,
        SHAPE,
        n_calls=n_calls,
        order=order,
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64,
    )
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return float((made - flow_end(start)).norm() / flow_end(start).norm())


def test_the_error_falls_with_the_steps_and_the_order():
    assert error(100, 2) < 0.01
    assert error(20, 2) < error(10, 2)
    assert error(20, 2) < 0.5 * error(20, 1)


def test_order_one_is_ddim_on_the_same_times():
    """Both end at the denoiser's x_0 of the last time; DDIM's times differ by rounding alone."""
    options = {"generator": None, "dtype": torch.float64}
    made = {}
    for name, sample, extra in (("solver", dpm_solver, {"order": 1}), ("ddim", ddim, {})):
        options["generator"] = torch.Generator().manual_seed(2)
        made[name] = sample(gaussian, SCHEDULE, SHAPE, n_calls=200, **options, **extra)
    torch.testing.assert_close(made["solver"], made["ddim"], rtol=0.01, atol=0.005)


def test_the_denoiser_is_called_once_a_step_and_every_state_is_shown():
    times, seen = [], []

    def denoise(x_t, t):
        times.append(int(t[0]))
        return gaussian(x_t, t)

    x = dpm_solver(
        denoise, SCHEDULE, SHAPE, n_calls=7, on_step=lambda t, state: seen.append((t, state))
    )
    assert len(times) == 7
    assert times == sorted(times, reverse=True)
    assert times[0] == 999
    assert [t for t, _ in seen] == [*times, -1]
    assert seen[-1][1] is x
    assert x.dtype == torch.float32


def test_clipping_bounds_the_sample():
    def large(x_t, t):
        return -3 * x_t

    made = dpm_solver(large, SCHEDULE, SHAPE, n_calls=10, clip=1.0)
    assert float(made.abs().max()) <= 1 + 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_calls": 1}, "n_calls: expected 2 to 999, got 1"),
        ({"n_calls": 1000}, "n_calls: expected 2 to 999, got 1000"),
        ({"n_calls": 2.5}, "n_calls: expected an integer"),
        ({"n_calls": 10, "order": 4}, "order: expected 1, 2 or 3"),
        ({"n_calls": 10, "spacing": "log"}, "spacing: expected one of"),
        ({"n_calls": 400, "spacing": "karras"}, "n_calls: expected fewer times than 400"),
        ({"n_calls": 10, "clip": 0.0}, "clip: expected a positive number"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dpm_solver(gaussian, SCHEDULE, SHAPE, **arguments)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"needs diffusers: pip install 'gmmtf\[images\]'"):
        dpm_solver(gaussian, SCHEDULE, SHAPE, n_calls=10)


def test_the_solver_follows_the_given_schedule():
    """For a single data point c every state is √ᾱ c + √(1-ᾱ) ε with one and the same ε."""
    schedule, c = NoiseSchedule.cosine(200, max_beta=0.5), 0.7
    seen = []

    def denoise(x_t, t):
        return schedule.x0_to_noise(x_t, t, torch.full_like(x_t, c))

    def note(t, x_t):
        if t >= 0:
            times = torch.full(x_t.shape[:1], t)
            seen.append(schedule.x0_to_noise(x_t, times, torch.full_like(x_t, c)))

    dpm_solver(
        denoise,
        schedule,
        (4, 2, 3),
        n_calls=8,
        generator=torch.Generator().manual_seed(0),
        on_step=note,
    )
    assert len(seen) == 8
    for noise in seen[1:]:
        torch.testing.assert_close(noise, seen[0], rtol=0, atol=2e-3)


def test_karras_times_are_spaced_in_a_power_of_the_noise():
    times = karras_times(SCHEDULE, 15)
    assert (times[0], times[-1]) == (999, 0)
    assert times == sorted(times, reverse=True)
    signals = SCHEDULE.alpha_bars[times].double()
    noise = ((1 - signals) / signals).sqrt()
    gaps = (noise ** (1 / 7)).diff()
    assert float(gaps.max()) < 0  # and nearly alike, where the schedule is fine enough
    torch.testing.assert_close(gaps[:10], gaps[:10].mean().expand(10), rtol=0.05, atol=0)
    few, many = karras_times(SCHEDULE, 8), karras_times(SCHEDULE, 8, rho=1.0)
    assert few[4] < many[4]  # a larger power goes on to low noise sooner


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_calls": 1}, "n_calls: expected 2 to 1000, got 1"),
        ({"n_calls": 1001}, "n_calls: expected 2 to 1000, got 1001"),
        ({"n_calls": 9, "rho": 0.0}, "rho: expected a finite positive number"),
        ({"n_calls": 500}, "too coarse at low noise"),
    ],
)
def test_bad_karras_times_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        karras_times(SCHEDULE, **arguments)


def test_karras_times_are_those_of_the_calls_and_solve_the_flow():
    seen = []
    start = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = dpm_solver(
        gaussian, SCHEDULE, SHAPE, n_calls=10, spacing="karras",
        generator=torch.Generator().manual_seed(1), dtype=torch.float64,
        on_step=lambda t, _: seen.append(t),
    )  # fmt: skip
    assert seen == [*karras_times(SCHEDULE, 10), -1]
    assert float((made - flow_end(start)).norm() / flow_end(start).norm()) < 0.7 * error(10, 2)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_stochastic_solver_draws_the_law_and_repeats_from_its_seed(spacing):
    shape = (4000, 2, 2)

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        return dpm_solver(
            gaussian, SCHEDULE, shape, n_calls=40, spacing=spacing, stochastic=True,
            generator=generator,
        )  # fmt: skip

    first = drawn(0)
    assert torch.equal(first, drawn(0))
    assert float(first.std()) == pytest.approx(SPREAD, rel=0.04)
    assert float(first.mean()) == pytest.approx(0, abs=5 * SPREAD / first.numel() ** 0.5)
    start = standard_normal(shape, torch.Generator().manual_seed(0), torch.float32)
    together = float(torch.corrcoef(torch.stack([first.flatten(), start.flatten()]))[0, 1])
    assert abs(together) < 0.2
    generator = torch.Generator().manual_seed(0)
    flow = dpm_solver(gaussian, SCHEDULE, shape, n_calls=40, generator=generator)
    assert float(torch.corrcoef(torch.stack([flow.flatten(), start.flatten()]))[0, 1]) > 0.99
