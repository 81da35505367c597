"""Drawing digits with a trained image transformer, by any of the samplers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from gmmtf import sampling, solver
from gmmtf.images import patches
from gmmtf.images.mnist import check_digits
from gmmtf.images.transformer import DiT

SAMPLERS = ("dpm-solver++", "ddim", "ancestral")
"""DPM-Solver++ and DDIM in ``n_steps`` steps, and DDPM's own process in all T."""


def draw(
    model: DiT,
    labels: Tensor | None,
    n_images: int,
    *,
    sampler: str = "dpm-solver++",
    n_steps: int = 25,
    seed: int = 0,
) -> Tensor:
    """Draw images.

    Parameters
    ----------
    model
        The image transformer.
    labels
        Class indices ``[n_images]``, or None for a model without classes.
    n_images
        Number of images.
    sampler
        One of `SAMPLERS`. From one seed all of them start at the same noise.
    n_steps
        Number of calls of the model; not used by ``"ancestral"``, which takes all T.
    seed
        Of the noise, which is drawn on the model's device.

    Returns
    -------
    Tensor
        Pixels in [-1, 1], ``[n_images, 28, 28]``.

    Raises
    ------
    ValueError
        If the sampler is unknown, or ``n_images`` is not positive.
    """
    if n_images < 1:
        raise ValueError(f"n_images: expected at least 1, got {n_images}")
    samplers: dict[str, Callable[..., Tensor]] = {
        "dpm-solver++": partial(solver.dpm_solver, n_steps=n_steps),
        "ddim": partial(sampling.ddim, n_steps=n_steps),
        "ancestral": sampling.ancestral,
    }
    if sampler not in samplers:
        raise ValueError(f"sampler: expected one of {SAMPLERS}, got {sampler!r}")
    device = next(model.parameters()).device
    tokens = samplers[sampler](
        model.of_class(labels if labels is None else labels.to(device)),
        model.schedule,
        (n_images, model.settings.n_tokens, model.settings.dim),
        generator=torch.Generator(device).manual_seed(seed),
        clip=1.0,
    )
    # The last step of a multistep solver may overshoot by rounding.
    return patches.to_images(tokens.clamp(-1, 1), model.settings.patch)


def generate(
    model: DiT,
    digits: Sequence[int],
    n_each: int,
    *,
    sampler: str = "dpm-solver++",
    n_steps: int = 25,
    seed: int = 0,
) -> dict[int, Tensor]:
    """Draw images of each digit with a model that has classes.

    Parameters
    ----------
    digits
        One for each class of the model, in their order.
    n_each
        Number of images of each digit.

    Other parameters as in :func:`draw`.

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
    if len(chosen) != model.settings.n_classes:
        raise ValueError(
            f"digits: expected one for each of the model's {model.settings.n_classes} classes, "
            f"got {chosen}"
        )
    if n_each < 1:
        raise ValueError(f"n_each: expected at least 1, got {n_each}")
    classes = torch.arange(len(chosen)).repeat_interleave(n_each)
    images = draw(model, classes, len(classes), sampler=sampler, n_steps=n_steps, seed=seed)
    return dict(zip(chosen, torch.split(images, n_each), strict=True))
