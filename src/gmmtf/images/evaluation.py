"""How good generated digits are, digit by digit: the fraction recognised, and FID (F3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf import sampling
from gmmtf.images import patches
from gmmtf.images.features import DigitClassifier, recognise
from gmmtf.images.fid import fid
from gmmtf.images.mnist import check_digits
from gmmtf.images.transformer import DiT


@dataclass(frozen=True)
class Quality:
    """Quality of a set of images of each digit: recognised fraction and FID."""

    recognised: dict[int, float]
    fid: dict[int, float]


def class_indices(labels: Tensor, digits: Sequence[int]) -> Tensor:
    """Turn digits into positions in the list ``digits``, the class indices of the network.

    Raises
    ------
    ValueError
        If ``labels`` holds a digit that the list does not.
    """
    chosen = torch.tensor(check_digits(digits))
    matches = labels[:, None] == chosen
    if not bool(matches.any(1).all()):
        unknown = sorted(set(labels.tolist()) - set(digits))
        raise ValueError(f"labels: expected digits among {list(digits)}, got {unknown}")
    return matches.long().argmax(1)


def by_digit(images: Tensor, labels: Tensor, digits: Sequence[int]) -> dict[int, Tensor]:
    """Split labelled images into one tensor for each digit."""
    return {digit: images[labels == digit] for digit in check_digits(digits)}


def generate(
    model: DiT,
    digits: Sequence[int],
    n_each: int,
    *,
    n_steps: int = 50,
    seed: int = 0,
) -> dict[int, Tensor]:
    """Draw images of each digit with DDIM.

    Parameters
    ----------
    model
        A model with one class for each digit.
    digits
        In the order of the model's classes.
    n_each
        Number of images of each digit.
    n_steps
        Number of DDIM steps.
    seed
        Of the initial noise, which is drawn on the model's device.

    Returns
    -------
    dict
        For each digit, pixels in [-1, 1], ``[n_each, 28, 28]``.

    Raises
    ------
    ValueError
        If the number of digits is not the model's number of classes, or ``n_each`` is not positive.
    """
    chosen = check_digits(digits)
    if len(chosen) != model.settings.n_classes:
        raise ValueError(
            f"digits: expected one for each of the model's {model.settings.n_classes} classes, "
            f"got {chosen}"
        )
    if n_each < 1:
        raise ValueError(f"n_each: expected at least 1, got {n_each}")
    device = next(model.parameters()).device
    classes = torch.arange(len(chosen), device=device).repeat_interleave(n_each)
    tokens = sampling.ddim(
        model.of_class(classes),
        model.schedule,
        (len(classes), model.settings.n_tokens, model.settings.dim),
        n_steps=n_steps,
        generator=torch.Generator(device).manual_seed(seed),
        clip=1.0,
    )
    images = patches.to_images(tokens, model.settings.patch)
    return dict(zip(chosen, torch.split(images, n_each), strict=True))


def quality(
    classifier: DigitClassifier,
    generated: Mapping[int, Tensor],
    reference: Mapping[int, Tensor],
) -> Quality:
    """Compare generated digits with real ones.

    Parameters
    ----------
    classifier
        Recognises digits and gives the features, see
        :func:`gmmtf.images.features.load_classifier`.
    generated
        For each digit, pixels in [-1, 1], ``[n, 28, 28]``.
    reference
        The same for real digits; a different number of images may be given.

    Returns
    -------
    Quality

    Raises
    ------
    ValueError
        If a digit has no reference, or images do not fit.
    """
    missing = sorted(set(generated) - set(reference))
    if missing:
        raise ValueError(f"reference: no images of the digits {missing}")
    recognised, distances = {}, {}
    for digit, images in generated.items():
        hits = recognise(classifier, images) == digit
        recognised[digit] = float(hits.double().mean())
        distances[digit] = fid(classifier, reference[digit], images)
    return Quality(recognised, distances)
