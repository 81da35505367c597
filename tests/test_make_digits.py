"""The digits in the README stand in their rows."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.image import imread

from make_digits import save


def test_a_row_is_a_digit_and_ink_is_black(tmp_path: Path) -> None:
    images = torch.linspace(-1, 1, 3 * 2 * 2 * 2).view(3, 2, 2, 2)  # 3 of each of 2 digits
    save(images, tmp_path / "images" / "digits.png")
    found = torch.from_numpy(imread(tmp_path / "images" / "digits.png"))[:, :, 0]
    assert found.shape == (4, 6)
    for column in range(3):
        for row in range(2):
            tile = found[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected = (1 - images[column, row]) / 2
            torch.testing.assert_close(tile, expected, atol=0.03, rtol=0)
