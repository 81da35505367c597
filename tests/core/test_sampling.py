"""Reverse steps against diffusers' schedulers and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from gmmtf import NoiseSchedule, sampling

SHAPE = (3, 4, 5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Something nonlinear that depends on the time."""
    return torch.tanh(x_t) * (0.5 + 0.01 * t.to(x_t).view(-1, *[1] * (x_t.ndim - 1)))


def normal(source: torch.Generator, shape=SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=source, dtype=torch.float64)


def theirs(cls, schedule: NoiseSchedule, **options):
    """Their scheduler with our betas, in float64 so that only the formulas are compared."""
    scheduler = cls(
        num_train_timesteps=schedule.n_steps,
        trained_betas=schedule.betas.tolist(),
        prediction_type="epsilon",
        **{"clip_sample": False, **options},
    )
    scheduler.betas = torch.tensor(schedule.betas.tolist(), dtype=torch.float64)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    scheduler.one = torch.ones((), dtype=torch.float64)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
    return scheduler


@pytest.mark.parametrize("make", [NoiseSchedule.linear, NoiseSchedule.cosine])
@pytest.mark.parametrize("clip", [None, 1.0, 0.3])
@pytest.mark.parametrize("n_steps", [1, 2, 30])
def test_ancestral_is_diffusers_ddpm(n_steps, clip, make):
    schedule = make(n_steps)
    options = {} if clip is None else {"clip_sample": True, "clip_sample_range": clip}
    scheduler = theirs(DDPMScheduler, schedule, variance_type="fixed_small", **options)
    source = generator(3)
    x = normal(source)
    for t in reversed(range(n_steps)):
        noise = denoise(x, torch.full((3,), t))
        x = scheduler.step(noise, t, x, generator=source).prev_sample
    found = sampling.ancestral(
        denoise, schedule, SHAPE, generator=generator(3), dtype=torch.float64, clip=clip
    )
    torch.testing.assert_close(found, x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("total", "n_calls", "eta", "clip"),
    [
        (21, 6, 0.0, None),
        (21, 6, 0.0, 0.5),
        (21, 6, 0.7, None),
        (21, 6, 1.0, 0.5),
        (31, 4, 0.3, None),
        (12, 12, 0.0, None),
        (12, 12, 1.0, None),
    ],
)
def test_ddim_is_that_of_diffusers(total, n_calls, eta, clip):
    schedule = NoiseSchedule.linear(total, 1e-3, 0.3)
    stride = (total - 1) // (n_calls - 1)
    options = {} if clip is None else {"clip_sample": True, "clip_sample_range": clip}
    scheduler = theirs(DDIMScheduler, schedule, **options)
    scheduler.num_inference_steps = total // stride  # their previous time is t - T // this
    assert total // scheduler.num_inference_steps == stride
    source = generator(5)
    x = normal(source)
    for t in range(total - 1, -1, -stride):
        x = scheduler.step(
            denoise(x, torch.full((3,), t)), t, x,
            eta=eta if t > 0 else 0.0,
            use_clipped_model_output=True,
            variance_noise=normal(source) if eta > 0 and t > 0 else None,
        ).prev_sample  # fmt: skip
    found = sampling.ddim(
        denoise, schedule, SHAPE,
        n_calls=n_calls, eta=eta, generator=generator(5), dtype=torch.float64, clip=clip,
    )  # fmt: skip
    torch.testing.assert_close(found, x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", [NoiseSchedule.linear, NoiseSchedule.cosine])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_ddim_with_all_steps_and_eta_one_is_ancestral(make, clip):
    schedule, shared = make(25), {"dtype": torch.float64, "clip": clip}
    ancestral = sampling.ancestral(denoise, schedule, SHAPE, generator=generator(2), **shared)
    ddim = sampling.ddim(
        denoise, schedule, SHAPE, n_calls=25, eta=1.0, generator=generator(2), **shared
    )
    torch.testing.assert_close(ddim, ancestral, rtol=1e-8, atol=1e-8)


def test_a_step_draws_from_the_forward_posterior():
    """q(x_0 | x_1, x̂_0) by multiplying Gaussians: the ancestral step's mean and variance."""
    betas = [0.2, 0.4]
    schedule = NoiseSchedule(torch.tensor(betas, dtype=torch.float64))
    target = 0.7  # the denoiser always points to this x_0

    def towards(x_t, t):
        return schedule.x0_to_noise(x_t, t, torch.full_like(x_t, target))

    # Stop after the first of the two steps by looking at the state before t = 0.
    states = {}
    shape = (1, 1, 200_000)
    sampling.ancestral(
        towards, schedule, shape,
        generator=generator(), dtype=torch.float64, on_step=lambda t, x: states.update({t: x}),
    )  # fmt: skip
    # Prior x_0 → x_1: N(√0.8 x̂_0, 0.2); likelihood of x_2: N(√0.6 x_1, 0.4).
    precision = 1 / 0.2 + 0.6 / 0.4
    mean = (math.sqrt(0.8) * target / 0.2 + math.sqrt(0.6) * states[1] / 0.4) / precision
    residual = (states[0] - mean).numpy().ravel()
    assert abs(residual.mean()) < 5 * math.sqrt(1 / precision / residual.size)
    assert abs(residual.var() * precision - 1) < 5 * math.sqrt(2 / residual.size)
    torch.testing.assert_close(states[-1], torch.full(shape, target, dtype=torch.float64))


def samplers(schedule, **shared):
    return {
        "ancestral": lambda f, **o: sampling.ancestral(f, schedule, SHAPE, **shared, **o),
        "ddim": lambda f, **o: sampling.ddim(f, schedule, SHAPE, n_calls=4, **shared, **o),
        "noisy ddim": lambda f, **o: sampling.ddim(
            f, schedule, SHAPE, n_calls=4, eta=0.5, **shared, **o
        ),
    }


SAMPLERS = ["ancestral", "ddim", "noisy ddim"]
TIMES = {"ancestral": list(range(9, -1, -1)), "ddim": [9, 6, 3, 0], "noisy ddim": [9, 6, 3, 0]}


@pytest.mark.parametrize("which", SAMPLERS)
def test_the_denoiser_and_the_observer_see_every_state(which):
    calls, states = [], []

    def watched(x_t, t):
        assert (x_t.shape, t.shape, t.dtype) == (SHAPE, (3,), torch.long)
        assert len(set(t.tolist())) == 1
        calls.append((int(t[0]), x_t.clone()))
        return denoise(x_t, t)

    sample = samplers(NoiseSchedule.linear(10))[which](
        watched, generator=generator(), on_step=lambda t, x: states.append((t, x.clone()))
    )
    assert [t for t, _ in calls] == TIMES[which]
    assert [t for t, _ in states] == [*TIMES[which], -1]
    for (_, seen), (_, state) in zip(calls, states, strict=False):
        assert torch.equal(seen, state)
    assert torch.equal(states[-1][1], sample)


@pytest.mark.parametrize("which", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_repeatable_in_the_asked_dtype_without_a_graph(which, dtype):
    weight, before = torch.ones(1, requires_grad=True), torch.random.get_rng_state()

    def learned(x_t, t):
        return weight.to(x_t) * denoise(x_t, t)

    draw = samplers(NoiseSchedule.linear(10), dtype=dtype)[which]
    one, two, other = (draw(learned, generator=generator(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert (one.dtype, one.requires_grad, tuple(one.shape)) == (dtype, False, SHAPE)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("which", SAMPLERS)
def test_float32_follows_float64(which):
    schedule = NoiseSchedule.linear(10)
    one, two = (
        samplers(schedule, dtype=dtype)[which](denoise, generator=generator())
        for dtype in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", SAMPLERS)
def test_clipping_bounds_the_sample(which):
    wild = lambda x, t: -30 * x  # noqa: E731
    draw = samplers(NoiseSchedule.linear(10))[which]
    assert float(draw(wild, generator=generator(), clip=0.8).abs().max()) == pytest.approx(0.8)
    assert float(draw(wild, generator=generator()).abs().max()) > 10
    loose = draw(denoise, generator=generator(), clip=1e6)
    torch.testing.assert_close(loose, draw(denoise, generator=generator()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_calls", [1, 2, 3, 7, 9, 10])
def test_ddim_times_run_from_the_end_to_zero(n_calls):
    times = []
    sampling.ddim(
        denoise, NoiseSchedule.linear(10), SHAPE, n_calls=n_calls,
        generator=generator(), on_step=lambda t, x: times.append(t),
    )  # fmt: skip
    assert len(times) == n_calls + 1
    assert (times[0], times[-1]) == (9, -1)
    assert n_calls == 1 or times[-2] == 0
    gaps = -np.diff(times[:-1])
    assert n_calls == 1 or (gaps.min() > 0 and gaps.max() - gaps.min() <= 1)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n_calls": 0}, "n_calls"),
        ({"n_calls": 11}, "n_calls"),
        ({"n_calls": 2.5}, "n_calls"),
        ({"eta": -0.1}, "eta"),
        ({"eta": 1.1}, "eta"),
        ({"eta": float("nan")}, "eta"),
        ({"clip": 0.0}, "clip"),
        ({"clip": -1.0}, "clip"),
        ({"clip": float("nan")}, "clip"),
    ],
)
def test_bad_input_of_ddim_is_named(arguments, named):
    with pytest.raises(ValueError, match=rf"^{named}: "):
        sampling.ddim(denoise, NoiseSchedule.linear(10), SHAPE, **{"n_calls": 5, **arguments})


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan")])
def test_bad_clip_of_ancestral_is_named(clip):
    with pytest.raises(ValueError, match=r"^clip: "):
        sampling.ancestral(denoise, NoiseSchedule.linear(10), SHAPE, clip=clip)


@pytest.mark.parametrize("which", SAMPLERS)
def test_a_denoiser_of_another_shape_is_refused(which):
    with pytest.raises(ValueError, match="expected"):
        samplers(NoiseSchedule.linear(10))[which](lambda x, t: x[..., :2])
