"""Schedules from diffusers' schedulers, and our denoisers on diffusers' schedulers."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, optimal_denoiser
from gmmtf.diffusers_model import DiffusersModel, check_scheduler, draw
from gmmtf.fidelity import measure as fidelity
from gmmtf.parametrisation import from_noise

diffusers = pytest.importorskip("diffusers")

LAW = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=4, radius=3.0, sigma=0.4, weights=[0.3, 0.7])
SCHEDULE = NoiseSchedule.linear(1000)
BAYES = optimal_denoiser(LAW, SCHEDULE)
CONFIG = {
    "beta_schedule": "scaled_linear", "num_train_timesteps": 9, "beta_start": 0.01, "beta_end": 0.1
}  # fmt: skip
BETAS = {"trained_betas": SCHEDULE.betas.tolist(), "num_train_timesteps": 1000}


def model(prediction="noise", law=LAW):
    return DiffusersModel(
        optimal_denoiser(law, SCHEDULE), SCHEDULE, law.n_tokens, law.dim, prediction
    )


def quietly(make, *args, **options):
    """Call what hands tensors to numpy in a way that numpy 2 deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return make(*args, **options)


@pytest.mark.parametrize("name", [
    "DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler",
    "HeunDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler",
])  # fmt: skip
@pytest.mark.parametrize("kind", ["linear", "scaled_linear", "squaredcos_cap_v2", "trained"])
def test_a_schedule_is_that_of_the_scheduler(name, kind):
    options = {"num_train_timesteps": 200, "beta_start": 2e-4, "beta_end": 0.03}
    options |= {"trained_betas": [0.1, 0.2]} if kind == "trained" else {"beta_schedule": kind}
    options["num_train_timesteps"] = 2 if kind == "trained" else 200
    scheduler = quietly(getattr(diffusers, name), **options)
    for given in (scheduler, scheduler.config, dict(scheduler.config)):
        found = NoiseSchedule.from_diffusers(given)
        torch.testing.assert_close(found.betas, scheduler.betas.double(), rtol=2e-5, atol=1e-9)
        assert found.n_steps == options["num_train_timesteps"]
    assert torch.equal(
        NoiseSchedule.from_diffusers(diffusers.DDPMScheduler()).betas, SCHEDULE.betas
    )


def test_an_option_that_is_not_set_changes_nothing():
    found = NoiseSchedule.from_diffusers(CONFIG | {"snr_shift_scale": None})
    assert torch.equal(found.betas, NoiseSchedule.from_diffusers(CONFIG).betas)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: diffusers.DDIMScheduler(rescale_betas_zero_snr=True), "rescale_betas_zero_snr"),
        (lambda: diffusers.FlowMatchEulerDiscreteScheduler(), "expected trained_betas"),
        (lambda: diffusers.EDMEulerScheduler(), "expected trained_betas"),
        (lambda: diffusers.DDPMScheduler(beta_schedule="sigmoid"), r"'sigmoid'.*scheduler\.betas"),
        (lambda: diffusers.UniPCMultistepScheduler(use_flow_sigmas=True), "use_flow_sigmas"),
        (lambda: {"beta_schedule": "linear", "num_train_timesteps": 5}, "beta_start, beta_end"),
        (lambda: {"beta_schedule": "linear", "snr_shift_scale": 3.0}, "snr_shift_scale"),
        (lambda: {"trained_betas": "x"}, "trained_betas"),
        (lambda: {"beta_schedule": ["linear"]}, "expected trained_betas"),
        (lambda: {"beta_schedule": "squaredcos_cap_v2"}, "expected num_train_timesteps beside"),
        (lambda: CONFIG | {"num_train_timesteps": 2.5}, "num_train_timesteps: expected"),
        (lambda: CONFIG | {"beta_start": -1e-4}, "beta_start: expected"),
        (lambda: CONFIG | {"beta_end": "much"}, "beta_end: expected"),
        (lambda: 3, "expected a scheduler of diffusers"),
    ],
)
def test_schedulers_without_such_betas_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^config: .*{message}|^config: {message}"):
        NoiseSchedule.from_diffusers(quietly(make))


SAMPLERS = {
    "DDPMScheduler": (250, {"clip_sample": False}),
    "DDIMScheduler": (120, {"clip_sample": False}),
    "PNDMScheduler": (60, {}),
    "EulerDiscreteScheduler": (120, {}),
    "HeunDiscreteScheduler": (60, {}),
    "DPMSolverMultistepScheduler": (60, {}),
    "UniPCMultistepScheduler": (60, {}),
    "LMSDiscreteScheduler": (60, {}),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_have_the_moments_of_the_law(name):
    n_calls, options = SAMPLERS[name]
    scheduler = quietly(getattr(diffusers, name), **BETAS, **options)
    generator = torch.Generator().manual_seed(2)
    x = draw(model(), scheduler, 600, n_calls=n_calls, generator=generator)
    found = fidelity(x, LAW, LAW.sample(600, torch.Generator().manual_seed(3)).x_0)
    assert x.shape == (600, 4, 3)
    assert found.frequency < 4 * math.sqrt(0.3 * 0.7 / 2400)
    # Discretisation narrows the components by up to a tenth.
    assert found.offset.value == pytest.approx(1, abs=0.13)
    assert found.scatter.value == pytest.approx(1, abs=0.13)
    assert found.covariance < 0.15


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_the_model_predicts_what_the_scheduler_expects(prediction):
    made = model(prediction)
    scheduler = diffusers.DDIMScheduler(
        **BETAS, clip_sample=False, prediction_type=made.config.prediction_type
    )

    def run(one, its):
        source = torch.Generator().manual_seed(1)
        return draw(one, its, 5, n_calls=20, generator=source, dtype=torch.float64)

    plain = diffusers.DDIMScheduler(**BETAS, clip_sample=False)
    torch.testing.assert_close(run(made, scheduler), run(model(), plain), rtol=1e-4, atol=1e-4)


def test_times_are_numbers_and_may_lie_between_two():
    x = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0))
    made = model()
    expected = BAYES(x, torch.full((3,), 20))
    for t in (20, 20.0, torch.tensor(20), torch.tensor(20.0), torch.full((3,), 20)):
        assert torch.equal(made(x, t).sample, expected)
    assert torch.equal(made(x, 20, return_dict=False)[0], expected)
    assert torch.equal(made(x[:, None], 20).sample, expected[:, None])
    between = torch.lerp(expected, BAYES(x, torch.full((3,), 21)), 0.25)
    torch.testing.assert_close(made(x, 20.25).sample, between)
    velocity = from_noise(expected, SCHEDULE, x, torch.full((3,), 20), prediction="v")
    assert torch.equal(model("v")(x, 20).sample, velocity)


def test_a_pipeline_draws_with_the_model():
    small = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=4, radius=0.5, sigma=0.08)
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False)
    pipeline = diffusers.DDIMPipeline(model(law=small), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        batch_size=200, num_inference_steps=250, output_type="pt",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    assert images.shape == (200, 1, 4, 3)
    x = (2 * images[:, 0] - 1).float()
    found = fidelity(x, small, small.sample(200).x_0)
    assert found.offset.value == pytest.approx(1, abs=0.2)
    assert found.scatter.value == pytest.approx(1, abs=0.2)
    assert found.frequency < 0.08


def test_what_ruins_samples_is_said():
    with pytest.warns(UserWarning, match=r"^scheduler: clip_sample=True clips"):
        check_scheduler(diffusers.DDIMScheduler(**BETAS), model())
    with pytest.raises(ValueError, match=r"^scheduler: expected the betas"):
        check_scheduler(diffusers.DDIMScheduler(beta_end=0.03, clip_sample=False), model())
    with pytest.raises(ValueError, match=r"^scheduler: expected prediction_type='epsilon'"):
        check_scheduler(
            diffusers.DDIMScheduler(**BETAS, clip_sample=False, prediction_type="sample"), model()
        )


@pytest.mark.parametrize("bad", ["score", "edm", "other"])
def test_bad_input_is_named(bad):
    with pytest.raises(ValueError, match=r"^prediction: "):
        model(bad)
    with pytest.raises(ValueError, match=r"^sample: expected \[batch, 4, 3\]"):
        model()(torch.ones(2, 3, 4), 5)
    with pytest.raises(ValueError, match=r"^t: expected indices from 0 to 999"):
        model()(torch.ones(2, 4, 3), 1000)
