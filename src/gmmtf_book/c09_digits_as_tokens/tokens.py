"""Data points whose tokens are real MNIST digits.

A token is one image, projected on principal axes; a data point is N tokens whose digits are drawn
independently with given probabilities. This is a multi-token mixture (C1) whose component laws are
not Gaussian and not known: they are the handwriting itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gmmtf.images import mnist
from gmmtf.laws.pool import TokenLaw
from gmmtf_book.c09_digits_as_tokens.projection import Projection


@dataclass(frozen=True, eq=False)
class DigitData:
    """Real tokens of both splits of MNIST, on axes that were fitted to the training split.

    Tokens are float64 ``[n, d]``; labels are the indices of the digits in ``digits``.
    """

    projection: Projection
    digits: tuple[int, ...]
    train_tokens: Tensor
    train_labels: Tensor
    test_tokens: Tensor
    test_labels: Tensor

    def law(self, split: str, probabilities: Sequence[float], n_tokens: int) -> TokenLaw:
        """Law of data points of the ``"train"`` or the ``"test"`` split."""
        if split == "train":
            return TokenLaw(self.train_tokens, self.train_labels, probabilities, n_tokens)
        if split == "test":
            return TokenLaw(self.test_tokens, self.test_labels, probabilities, n_tokens)
        raise ValueError(f"split: expected 'train' or 'test', got {split!r}")


def load(
    dim: int,
    *,
    per_digit: int,
    digits: Sequence[int] = tuple(range(10)),
    root: str | Path | None = None,
) -> DigitData:
    """Real tokens: the first ``per_digit`` images of each digit, and the whole test split.

    The principal axes are those of all training images of the digits. Nothing is random.

    Raises
    ------
    ValueError
        If a digit is none, the training split has fewer than ``per_digit`` images of one, or
        ``dim`` is out of range.
    DataError
        As :func:`gmmtf.images.mnist.load`.
    """
    chosen = mnist.check_digits(digits)
    images, labels = mnist.load("train", chosen, root=root)
    fewest = int(min((labels == digit).sum() for digit in chosen))
    if not isinstance(per_digit, int) or not 2 <= per_digit <= fewest:
        raise ValueError(f"per_digit: expected an integer from 2 to {fewest}, got {per_digit!r}")
    projection = Projection.fit(images, dim)
    keep = torch.cat([(labels == digit).nonzero()[:per_digit, 0] for digit in chosen])
    unseen, unseen_labels = mnist.load("test", chosen, root=root)
    index = torch.full((10,), -1)
    index[chosen] = torch.arange(len(chosen))
    return DigitData(
        projection=projection,
        digits=tuple(chosen),
        train_tokens=projection.tokens(images[keep]),
        train_labels=index[labels[keep]],
        test_tokens=projection.tokens(unseen),
        test_labels=index[unseen_labels],
    )


def class_probabilities(
    n_classes: int, rare: int | None = None, rare_probability: float | None = None
) -> list[float]:
    """Equal probabilities, or a given one for the class ``rare`` and equal ones for the others.

    Raises
    ------
    ValueError
        If only one of ``rare`` and ``rare_probability`` is given, or one is out of range.
    """
    if (rare is None) != (rare_probability is None):
        raise ValueError("rare: give it together with rare_probability, or neither")
    if rare is None or rare_probability is None:
        return [1 / n_classes] * n_classes
    if not 0 <= rare < n_classes or n_classes < 2:
        raise ValueError(f"rare: expected a class from 0 to {n_classes - 1}, got {rare}")
    if not 0 < rare_probability < 1:
        raise ValueError(f"rare_probability: expected a number in (0, 1), got {rare_probability}")
    others = (1 - rare_probability) / (n_classes - 1)
    return [rare_probability if u == rare else others for u in range(n_classes)]
