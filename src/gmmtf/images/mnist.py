"""Real MNIST: verified loading, the imbalanced training subset, and pixel scaling."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.images.files import DataError, KnownFile, data_root, read_compressed
from gmmtf.images.pixels import check_finite

IMAGE_SIZE = 28
COUNTS = {"train": 60_000, "test": 10_000}
IMAGES = {
    "train": KnownFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "test": KnownFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
}
LABELS = {
    "train": KnownFile(
        "train-labels-idx1-ubyte",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "test": KnownFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}


@checked
def parse_idx(content: bytes, shape: Sequence[int], where: str = "IDX data") -> np.ndarray:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    content
        The whole uncompressed file.
    shape
        The shape that the file must have. It is compared with the header before any array is made.
    where
        Name used in error messages.

    Returns
    -------
    numpy.ndarray
        uint8, of shape ``shape``; a copy that may be written to.

    Raises
    ------
    DataError
        If the header is short, of another type or shape, or does not fit the number of bytes that
        follow.
    """
    shape = tuple(count("shape", size, 0) for size in shape)
    rank = len(shape)
    start = 4 + 4 * rank
    if len(content) < start:
        raise DataError(f"{where}: {len(content)} bytes, expected an IDX header of {start} bytes")
    magic = content[:4]
    expected_magic = bytes((0, 0, 8, rank))
    if magic != expected_magic:
        raise DataError(
            f"{where}: IDX header starts with {magic.hex()}, expected {expected_magic.hex()} "
            f"(unsigned bytes, {rank} axes)"
        )
    found = struct.unpack(f">{rank}I", content[4:start])
    if found != shape:
        raise DataError(f"{where}: IDX header says shape {found}, expected {shape}")
    values, expected = len(content) - start, math.prod(shape)
    if values != expected:
        raise DataError(f"{where}: {values} values follow the IDX header, expected {expected}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()


@checked
def check_digits(digits: Sequence[int]) -> list[int]:
    """Return ``digits`` as a list, or raise ``ValueError`` unless they are distinct digits."""
    given = list(digits)
    try:
        chosen = [count("digits", digit, 0) for digit in given]
    except ValueError:
        chosen = []
    if not chosen or max(chosen) > 9 or len(set(chosen)) != len(chosen):
        raise ValueError(f"digits: expected one or more distinct digits 0 to 9, got {given}")
    return chosen


@checked
def load(
    split: str,
    digits: Sequence[int] | None = None,
    *,
    root: str | Path | None = None,
    download: bool = True,
) -> tuple[Tensor, Tensor]:
    """Load one split of MNIST.

    Parameters
    ----------
    split
        ``"train"`` or ``"test"``.
    digits
        Keep these digits only; all ten if not given. The order of the files is kept.
    root
        Folder that holds ``mnist/``; for the default see :func:`gmmtf.images.files.data_root`.
    download
        Fetch a missing file from a mirror of the original distribution.

    Returns
    -------
    images
        uint8 ``[n, 28, 28]``; 0 is background, 255 is ink.
    labels
        int64 ``[n]``; the digits.

    Raises
    ------
    ValueError
        If the split is unknown, or a digit is none.
    DataError
        If a file is altered, malformed, or missing and not to be had; the message names it.
    """
    if split not in COUNTS:
        raise ValueError(f"split: expected one of {sorted(COUNTS)}, got {split!r}")
    chosen = None if digits is None else check_digits(digits)
    folder = data_root(root) / "mnist"
    count = COUNTS[split]

    def array(known: KnownFile, shape: tuple[int, ...]) -> Tensor:
        content = read_compressed(known, folder, download=download)
        return torch.from_numpy(parse_idx(content, shape, str(folder / known.name)))

    images = array(IMAGES[split], (count, IMAGE_SIZE, IMAGE_SIZE))
    labels = array(LABELS[split], (count,)).long()
    if chosen is None:
        return images, labels
    keep = torch.isin(labels, torch.tensor(chosen, device=labels.device))
    return images[keep], labels[keep]


@checked
def imbalanced(
    images: Tensor,
    labels: Tensor,
    *,
    digits: Sequence[int],
    rare: int,
    rare_fraction: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Make one digit a minority: keep a fraction of its examples, and all examples of the others.

    Parameters
    ----------
    images
        ``[n, ...]``.
    labels
        Integers ``[n]``.
    digits
        The digits to keep.
    rare
        The minority; one of ``digits``.
    rare_fraction
        Kept fraction of the minority's examples, in (0, 1]. They are drawn without replacement.
    generator
        On the CPU; decides which examples stay.

    Returns
    -------
    tuple of Tensor
        Images and labels of the subset, in their original order.

    Raises
    ------
    ValueError
        If a digit is unknown or absent, ``rare`` is not among ``digits``, the fraction is outside
        (0, 1], or the lengths differ.
    """
    chosen = check_digits(digits)
    if rare not in chosen:
        raise ValueError(f"rare: expected one of the digits {chosen}, got {rare}")
    if not 0.0 < rare_fraction <= 1.0:
        raise ValueError(f"rare_fraction: expected a number in (0, 1], got {rare_fraction}")
    if labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(
            f"labels: expected shape [{len(images)}], as many as images, got {list(labels.shape)}"
        )
    absent = sorted(set(chosen) - set(labels.tolist()))
    if absent:
        raise ValueError(f"digits: {absent} do not occur in labels")
    keep = torch.isin(labels, torch.tensor(chosen, device=labels.device))
    positions = (labels == rare).nonzero().squeeze(1)
    n_kept = max(1, round(float(rare_fraction) * len(positions)))
    order = torch.randperm(len(positions), generator=generator, device=generator.device)
    dropped = positions[order[n_kept:].to(positions.device)]
    keep[dropped] = False
    return images[keep], labels[keep]


@checked
def to_unit_range(images: Tensor) -> Tensor:
    """Scale bytes 0..255 to float32 in [-1, 1]; background becomes -1, ink 1."""
    if images.dtype != torch.uint8:
        raise ValueError(f"images: expected dtype torch.uint8, got {images.dtype}")
    return images.to(torch.float32) / 127.5 - 1.0


@checked
def to_bytes(images: Tensor) -> Tensor:
    """Turn pixels in [-1, 1] back into bytes; values outside are clipped."""
    return ((check_finite("images", images) + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
