"""How good generated digits are, digit by digit: the fraction recognised, FID and KID (F3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.images.features import DigitClassifier, recognise
from gmmtf.images.fid import Extractor, fid
from gmmtf.images.mnist import check_digits
from gmmtf.images.pixels import check_images


@dataclass(frozen=True)
class Quality:
    """Quality of a set of images of each digit: recognised fraction and FID."""

    recognised: dict[int, float]
    fid: dict[int, float]


@checked
def class_indices(labels: Tensor, digits: Sequence[int]) -> Tensor:
    """Turn digits into positions in the list ``digits``, the class indices of the network.

    Raises
    ------
    ValueError
        If ``labels`` holds a digit that the list does not.
    """
    chosen = torch.tensor(check_digits(digits), device=labels.device)
    if labels.ndim != 1:
        raise ValueError(f"labels: expected shape [n], got {list(labels.shape)}")
    matches = labels[:, None] == chosen
    if not bool(matches.any(1).all()):
        unknown = sorted(set(labels.tolist()) - set(digits))
        raise ValueError(f"labels: expected digits among {list(digits)}, got {unknown}")
    return matches.long().argmax(1)


@checked
def by_digit(images: Tensor, labels: Tensor, digits: Sequence[int]) -> dict[int, Tensor]:
    """Split labelled images into one tensor for each digit."""
    if labels.ndim != 1 or images.shape[:1] != labels.shape:
        raise ValueError(
            f"labels: expected shape [n], as many as images, got {list(labels.shape)} for images "
            f"{list(images.shape)}"
        )
    return {digit: images[labels == digit] for digit in check_digits(digits)}


@checked
def quality(
    classifier: DigitClassifier,
    generated: Mapping[int, Tensor],
    reference: Mapping[int, Tensor],
    extractor: Extractor | None = None,
) -> Quality:
    """Compare generated digits with real ones.

    Parameters
    ----------
    classifier
        Recognises digits, see :func:`gmmtf.images.features.load_classifier`.
    generated
        For each digit, pixels in [-1, 1], ``[n, 28, 28]``.
    reference
        The same for real digits; a different number of images may be given.
    extractor
        Gives the features of the FID, see :class:`gmmtf.images.fid.Extractor`; the classifier
        by default.

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
    for digit in generated:
        check_images(f"generated[{digit}]", generated[digit])
        check_images(f"reference[{digit}]", reference[digit])
    recognised, distances = {}, {}
    for digit, images in generated.items():
        hits = recognise(classifier, images) == digit
        recognised[digit] = float(hits.double().mean())
        distances[digit] = fid(extractor or classifier, reference[digit], images)
    return Quality(recognised, distances)


@checked
def frequencies(classifier: Callable[[Tensor], Tensor], images: Tensor) -> dict[int, float]:
    """Return the share of images ``[n, 28, 28]`` in which the classifier sees each of ten digits.

    Raises
    ------
    ValueError
        If there are no images, or they are not pixels in [-1, 1].
    """
    if len(images) == 0:
        raise ValueError("images: expected at least one, got none")
    seen = torch.bincount(recognise(classifier, images).cpu(), minlength=10)
    return {digit: int(count) / len(images) for digit, count in enumerate(seen)}
