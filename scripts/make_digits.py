"""Draw the digits in the README, ``book/images/digits.png``, with the shipped weights."""

from __future__ import annotations

from pathlib import Path

from matplotlib.image import imsave
from torch import Tensor

from gmmtf.images import generate
from gmmtf.images.generation import GENERATOR
from gmmtf.images.weights import load_shipped
from kernel_environment import BOOK

N_EACH = 20


def main() -> None:
    """Draw all digits that the weights know; the first images of seed 0, not the best ones."""
    digits = load_shipped(GENERATOR).digits
    images = generate(digits, n=N_EACH)
    save(images.view(N_EACH, len(digits), *images.shape[1:]), BOOK / "images" / "digits.png")


def save(images: Tensor, path: Path) -> None:
    """Write images ``[n, k, size, size]``: k rows, one a digit, of n images each."""
    sheet = images.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)
    path.parent.mkdir(exist_ok=True)
    imsave(path, sheet.numpy(), cmap="gray_r", vmin=-1, vmax=1)


if __name__ == "__main__":
    main()
