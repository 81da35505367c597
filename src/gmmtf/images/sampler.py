"""Drawing digits with a trained image transformer: samplers, and guidance by a second network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor

from gmmtf import sampling
from gmmtf.arguments import checked, count, fitted
from gmmtf.denoisers import Denoiser
from gmmtf.images import patches
from gmmtf.images.mnist import check_digits
from gmmtf.images.transformer import DiT
from gmmtf.temperature import Positive, tempered

SAMPLERS = ("dpm-solver++", "sde-dpm-solver++", "ddim", "ancestral")
"""DPM-Solver++, without and with noise in its steps, and DDIM in ``n_calls`` steps; and DDPM's own
process in all T."""
SOLVERS = ("dpm-solver++", "sde-dpm-solver++")
"""Those whose times can be spaced in another way than evenly."""


CPU_IMAGES = 200
"""Images that a processor denoises at a time: with more, the tensors leave its caches, and two
thousand at once take twice as long."""

SPREAD = 8.0
"""That of :func:`gmmtf.temperature.tempered` for images, in pixels from -1 to 1: under noise that
is larger than this, what a digit looks like is still open."""

LARGEST_WEIGHT = 1e30
"""Weights of a guide are below this: float32 holds them."""

Weight = Annotated[float, "checked by check_guidance"]
Model = Annotated[DiT, "checked by _network, as what torch.compile makes of one is none"]


def _network(name: str, model: Any) -> Any:
    """Return an image transformer, or what ``torch.compile`` made of one."""
    fitted(name, getattr(model, "_orig_mod", model), DiT)
    return model


@checked
def check_guidance(guidance: Weight) -> float:
    """Return the weight of a guide, or raise ``ValueError`` unless it is a number from 0 on."""
    weight = fitted("guidance", guidance, float) if guidance == guidance else math.nan
    if not 0 <= weight < LARGEST_WEIGHT:
        raise ValueError(f"guidance: expected a number from 0 on, got {guidance}")
    return float(weight)


@checked
def guided(model: Model, labels: Tensor, guide: Model, guidance: Weight) -> Denoiser:
    """Return the denoiser f_guide + w (f_model - f_guide), classifier-free guidance.

    After Ho and Salimans (2022), with a network of its own in place of dropped labels. With w = 1
    it is the model; larger w move away from what is likely without the class.

    Parameters
    ----------
    model
        A model with classes; as it is or compiled, like the guide.
    labels
        Class indices ``[batch]``.
    guide
        A model without classes, of the same patches and schedule.
    guidance
        The weight w.

    Raises
    ------
    ValueError
        If the guide has classes or does not fit, or the weight is negative or not finite.
    """
    mine, other = _network("model", model).settings, _network("guide", guide).settings
    if other.n_classes != 0:
        raise ValueError(f"guide: expected a model without classes, got one with {other.n_classes}")
    same = (mine.patch, mine.image_size, model.schedule.n_steps)
    theirs = (other.patch, other.image_size, guide.schedule.n_steps)
    if same != theirs:
        raise ValueError(
            f"guide: expected patch, image size and schedule steps {same}, got {theirs}"
        )
    if not torch.equal(model.schedule.betas, guide.schedule.betas):
        raise ValueError("guide: expected the schedule of the model, got another of its length")
    weight = check_guidance(guidance)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        without: Tensor = guide(x_t, t)
        return torch.lerp(without, model(x_t, t, labels), weight)

    return denoise


@checked
def check_sampler(sampler: str, n_calls: int, n_steps: int, spacing: str = "even") -> int:
    """Return ``n_calls`` if a sampler can draw with so many calls, before any work.

    Raises
    ------
    ValueError
        If the sampler is unknown, takes another number of calls on a schedule of ``n_steps``, or
        has no such spacing of its times.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler: expected one of {SAMPLERS}, got {sampler!r}")
    spacings = sampling.SPACINGS if sampler in SOLVERS else ("even",)
    if spacing not in spacings:
        raise ValueError(f"spacing: expected one of {spacings} for {sampler}, got {spacing!r}")
    n_calls = count("n_calls", n_calls, 2 if sampler in SOLVERS else 1)
    most = {"ddim": n_steps, "ancestral": n_calls}.get(sampler, n_steps - 1)
    if n_calls > most:
        raise ValueError(f"n_calls: expected at most {most} for {sampler}, got {n_calls}")
    return n_calls


@contextmanager
def _plain_defaults() -> Iterator[None]:
    """Let solvers make their times and coefficients as if the caller had set no defaults."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


def _in_parts(of: Callable[[Tensor | None], Denoiser], labels: Tensor | None, n: int) -> Denoiser:
    """Return a denoiser of many images that calls those of at most ``n`` of them in turn."""
    if labels is None:
        whole = of(None)
        return lambda x_t, t: torch.cat(
            [whole(x, times) for x, times in zip(x_t.split(n), t.split(n), strict=True)]
        )
    parts = [of(each) for each in labels.split(n)]
    return lambda x_t, t: torch.cat(
        [part(x, s) for part, x, s in zip(parts, x_t.split(n), t.split(n), strict=True)]
    )


@checked
def draw(
    model: Model,
    labels: Tensor | None,
    n_images: int,
    *,
    sampler: str = "dpm-solver++",
    n_calls: int = 15,
    spacing: str = "even",
    temperature: Positive = 1.0,
    seed: int = 0,
    guide: Model | None = None,
    guidance: Weight = 1.0,
) -> Tensor:
    """Draw images.

    Parameters
    ----------
    model
        The image transformer, as it is or compiled by ``torch.compile``.
    labels
        Class indices ``[n_images]``, or None for a model without classes.
    n_images
        Number of images.
    sampler
        One of `SAMPLERS`. From one seed all of them start at the same noise.
    n_calls
        Number of calls of the model; not used by ``"ancestral"``, which takes all T.
    spacing
        How a solver's times are spaced, see :func:`gmmtf.sampling.dpm_solver`; the others have
        ``"even"`` only.
    temperature
        Below 1 images vary less; see :func:`gmmtf.temperature.tempered`, with the spread `SPREAD`.
    seed
        Of the noise, which is drawn on the model's device.
    guide, guidance
        See :func:`guided`; without a guide there is none.

    Returns
    -------
    Tensor
        Pixels in [-1, 1], ``[n_images, 28, 28]``.

    Raises
    ------
    ValueError
        As :func:`check_sampler`, :func:`guided` and :func:`gmmtf.temperature.tempered`, or if
        ``n_images`` is not positive, the labels are not as many, or a model without classes is to
        be guided.
    """
    n_images = count("n_images", n_images, 1)
    n_steps = _network("model", model).schedule.n_steps
    n_calls = check_sampler(sampler, n_calls, n_steps, spacing)
    solver = partial(sampling.dpm_solver, n_calls=n_calls, spacing=spacing)
    samplers: dict[str, Callable[..., Tensor]] = {
        "dpm-solver++": solver,
        "sde-dpm-solver++": partial(solver, stochastic=True),
        "ddim": partial(sampling.ddim, n_calls=n_calls),
        "ancestral": sampling.ancestral,
    }
    device = next(model.parameters()).device
    classes = labels if labels is None else labels.to(device)
    if classes is not None and classes.shape != (n_images,):
        raise ValueError(
            f"labels: expected class indices of shape [{n_images}], got {list(classes.shape)}"
        )
    if guide is not None and classes is None:
        raise ValueError("guide: only a model with classes can be guided")

    def of(labels: Tensor | None) -> Denoiser:
        if guide is None or labels is None:
            # A compiled model's own method would call the network that it was made of.
            plain: Denoiser = DiT.of_class(model, labels)
        else:
            plain = guided(model, labels, guide, guidance)
        return tempered(plain, model.schedule, temperature, SPREAD)

    denoise = _in_parts(of, classes, n_images if device.type != "cpu" else CPU_IMAGES)
    shape = (n_images, model.settings.n_tokens, model.settings.dim)
    generator = torch.Generator(device).manual_seed(count("seed", seed, 0))
    with _plain_defaults():
        tokens = samplers[sampler](denoise, model.schedule, shape, generator=generator, clip=1.0)
    # The last step of a multistep solver may overshoot by rounding.
    return patches.to_images(tokens.clamp(-1, 1), model.settings.patch)


@checked
def generate(
    model: Model,
    digits: Sequence[int],
    n_each: int,
    *,
    sampler: str = "dpm-solver++",
    n_calls: int = 15,
    spacing: str = "even",
    temperature: Positive = 1.0,
    seed: int = 0,
    guide: Model | None = None,
    guidance: Weight = 1.0,
) -> dict[int, Tensor]:
    """Draw images of each digit with a model that has classes.

    Parameters that are not listed are as in :func:`draw`.

    Parameters
    ----------
    digits
        One for each class of the model, in their order.
    n_each
        Number of images of each digit.

    Returns
    -------
    dict
        For each digit, pixels in [-1, 1], ``[n_each, 28, 28]``.

    Raises
    ------
    ValueError
        As :func:`draw`, or if the number of digits is not the model's number of classes.
    """
    chosen = check_digits(digits)
    if len(chosen) != _network("model", model).settings.n_classes:
        raise ValueError(
            f"digits: expected one for each of the model's {model.settings.n_classes} classes, "
            f"got {chosen}"
        )
    n_each = count("n_each", n_each, 1)
    classes = torch.arange(len(chosen), device="cpu").repeat_interleave(n_each)
    options: dict[str, Any] = {
        "sampler": sampler, "n_calls": n_calls, "spacing": spacing,
        "temperature": temperature, "seed": seed,
    }  # fmt: skip
    images = draw(model, classes, len(classes), **options, guide=guide, guidance=guidance)
    return dict(zip(chosen, torch.split(images, n_each), strict=True))
