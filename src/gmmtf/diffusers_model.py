"""Our denoisers as models of diffusers, for its schedulers and pipelines."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import TqdmWarning, tqdm

from gmmtf.arguments import checked, count, shown
from gmmtf.denoisers import Denoiser
from gmmtf.parametrisation import from_noise, resolve_prediction
from gmmtf.randomness import standard_normal
from gmmtf.schedule import NoiseSchedule

try:
    with warnings.catch_warnings():
        # diffusers asks tqdm for widgets, which warns in a notebook that has none.
        warnings.simplefilter("ignore", TqdmWarning)
        from diffusers import ModelMixin
        from diffusers.configuration_utils import ConfigMixin
except ImportError as error:
    raise ImportError("models of diffusers need diffusers: pip install 'gmmtf[images]'") from error

_PREDICTIONS = {"noise": "epsilon", "x0": "sample", "v": "v_prediction"}


class ModelOutput(NamedTuple):
    """What a model returns: ``sample``, the prediction, of the shape of the input."""

    sample: Tensor


class DiffusersModel(ModelMixin, ConfigMixin):
    """A denoiser of this library as a model of diffusers: ``model(sample, timestep).sample``.

    Times may be a number, and between two integers, as Euler's schedulers have them: the noise is
    then interpolated linearly. Tokens are ``[batch, N, d]``, or images of one channel, ``[batch, 1,
    N, d]``, as unconditional pipelines such as ``DDIMPipeline`` draw them; these also clip what
    they return to [-1, 1]. It has a configuration, but cannot be loaded from one.

    Parameters
    ----------
    denoise
        ``denoise(x_t, t) -> noise``.
    schedule
        The schedule on which the scheduler is to run; ``trained_betas=schedule.betas.tolist()``
        makes any scheduler of diffusers have it.
    n_tokens, dim
        N and d.
    prediction
        What the model is to return: ``"noise"``, ``"x0"`` or ``"v"``, or diffusers' names.

    Raises
    ------
    ValueError
        If the prediction is unknown; when called, if shapes or times do not fit.
    """

    config_name: Any = "config.json"

    @checked
    def __init__(
        self,
        denoise: Denoiser,
        schedule: NoiseSchedule,
        n_tokens: int,
        dim: int,
        prediction: str = "noise",
    ) -> None:
        start: Any = super().__init__  # diffusers has no types
        start()
        n_tokens, dim = count("n_tokens", n_tokens, 1), count("dim", dim, 1)
        self.kind = resolve_prediction(prediction)
        if self.kind not in _PREDICTIONS:
            raise ValueError(
                f"prediction: diffusers has {', '.join(_PREDICTIONS)}, got {prediction!r}"
            )
        register: Any = self.register_to_config
        register(
            in_channels=1, sample_size=[n_tokens, dim], prediction_type=_PREDICTIONS[self.kind]
        )
        self.denoise = denoise
        self.schedule = schedule
        # Pipelines draw on the model's device and in its type, which its tensors tell.
        parameter = next(denoise.parameters(), None) if isinstance(denoise, nn.Module) else None
        like = torch.zeros((), device="cpu") if parameter is None else parameter
        self.register_buffer("placed", torch.zeros_like(like, requires_grad=False))

    def forward(
        self, sample: Tensor, timestep: Tensor | float, return_dict: bool = True
    ) -> ModelOutput | tuple[Tensor]:
        """Predict; with ``return_dict=False`` a plain tuple, as models of diffusers."""
        config: Any = self.config
        shape = tuple(config.sample_size)
        if sample.shape[1:] not in (shape, (1, *shape)):
            raise ValueError(
                f"sample: expected [batch, {shape[0]}, {shape[1]}], or with one channel, "
                f"got {shown(sample)}"
            )
        x_t = sample.reshape(len(sample), *shape)
        at = torch.as_tensor(timestep, dtype=torch.float64, device="cpu").expand(len(x_t))
        before, after = at.floor().long().to(x_t.device), at.ceil().long().to(x_t.device)
        noise = self.denoise(x_t, before)
        if not torch.equal(before, after):
            share = (at - at.floor()).to(x_t)[:, None, None]
            noise = torch.lerp(noise, self.denoise(x_t, after), share)
        # Between two times their mean noise level is as good as the interpolated noise.
        nearest = at.round().long().to(x_t.device)
        predicted = from_noise(noise, self.schedule, x_t, nearest, prediction=self.kind)
        output = predicted.reshape(sample.shape)
        return ModelOutput(output) if return_dict else (output,)


@checked
def check_scheduler(scheduler: Any, model: DiffusersModel) -> None:
    """Raise ``ValueError`` unless a scheduler is one for the model, and warn if it clips.

    Its betas and its ``prediction_type`` must be the model's. Schedulers with ``clip_sample=True``
    or ``thresholding=True``, the former the default of some, clip estimates of x_0 to [-1, 1],
    which ruins the samples of a law whose data are larger.
    """
    its = NoiseSchedule.from_diffusers(scheduler)
    ours = model.schedule
    if its.n_steps != ours.n_steps or not torch.allclose(its.betas, ours.betas, rtol=1e-5, atol=0):
        raise ValueError(
            "scheduler: expected the betas of the model's schedule; make it with "
            "trained_betas=schedule.betas.tolist(), num_train_timesteps=schedule.n_steps"
        )
    kind, wanted = scheduler.config.get("prediction_type", "epsilon"), _PREDICTIONS[model.kind]
    if kind != wanted:
        raise ValueError(f"scheduler: expected prediction_type={wanted!r}, got {kind!r}")
    for name in ("clip_sample", "thresholding"):
        if scheduler.config.get(name):
            warnings.warn(
                f"scheduler: {name}=True clips estimates of the data to [-1, 1], which ruins "
                f"samples of data that are larger; make the scheduler with {name}=False",
                stacklevel=3,
            )


@checked
@torch.no_grad()
def draw(
    model: DiffusersModel,
    scheduler: Any,
    n: int,
    *,
    n_calls: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Sample ``n`` data points with any scheduler of diffusers that has fixed betas.

    Parameters
    ----------
    n_calls
        Steps of the scheduler; some call the model twice a step.
    generator
        Source of the randomness; the sample lives on its device.

    Returns
    -------
    Tensor
        Tokens ``[n, N, d]``.

    Raises
    ------
    ValueError
        As :func:`check_scheduler`, or if a number is out of range.
    """
    check_scheduler(scheduler, model)
    n, n_calls = count("n", n, 1), count("n_calls", n_calls, 1)
    predict: Any = model
    x = standard_normal((n, *predict.config.sample_size), generator, dtype)
    takes = inspect.signature(scheduler.step).parameters
    options = {"generator": generator} if "generator" in takes else {}
    with warnings.catch_warnings():
        # diffusers hands tensors to numpy in ways that numpy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        scheduler.set_timesteps(n_calls, device=x.device)
        x = x * float(scheduler.init_noise_sigma)
        for t in tqdm(scheduler.timesteps, desc="sampling", leave=False):
            seen = scheduler.scale_model_input(x, t).to(dtype)
            x = scheduler.step(predict(seen, t).sample, t, x, **options).prev_sample
    return x.to(dtype)
