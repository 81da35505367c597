"""Standard normal noise that is the same on every processor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked, count

_PIECE = 2**15  # numbers drawn at a time, which stay in the processor's cache


@checked
def generator_device(generator: torch.Generator | None) -> torch.device:
    """Device on which draws of ``generator`` live; the CPU for PyTorch's own generator."""
    return generator.device if generator is not None else torch.device("cpu")


@checked
def derived_seed(seed: int, stream: int) -> int:
    """Return a seed for another stream of randomness than that of ``seed`` itself.

    Adding a large number to a seed would not do: PyTorch's CPU generator keeps 32 bits of it.
    """
    entropy = [count("seed", seed, 0), count("stream", stream, 0)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


@checked
def standard_normal(
    shape: Sequence[int],
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draw independent standard normal numbers of the given shape and type.

    The draw is made in float64 whatever ``dtype`` is: PyTorch's float32 draws differ between
    processors with different vector units, its float64 draws do not. On the CPU it is made and
    converted in pieces, so that nothing of the size of the whole is held but the result.
    """
    sizes = [count("shape", size, 0) for size in shape]
    draw = torch.empty(sizes, dtype=dtype, device=generator_device(generator))
    flat = draw.view(-1, 1)
    for rows, piece in normal_rows(len(flat), 1, generator):
        flat[rows] = piece
    return draw


@checked
def normal_rows(
    n_rows: int, width: int, generator: torch.Generator | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Draw a float64 matrix ``[n_rows, width]`` of standard normal numbers some rows at a time.

    Together they are the numbers of ``torch.randn(n_rows, width)``, and leave the generator alike.

    Yields
    ------
    tuple[slice, Tensor]
        Which rows, and the numbers in them.

    Raises
    ------
    ValueError
        If a size is negative, or the width 0.

    Notes
    -----
    On the CPU PyTorch draws numbers in blocks of 16, the last 16 afresh if the last block is not
    whole, and fewer than 16 in another way. So a piece holds whole blocks, and the last one at
    least 16 numbers. On a GPU the numbers depend on how many are asked for, so one piece is all;
    it is in a compiled graph too.
    """
    n_rows, width = count("n_rows", n_rows, 0), count("width", width, 1)
    device = generator_device(generator)
    whole = 16 // math.gcd(16, width)  # rows that end with a block
    step = max(1, _PIECE // width // whole) * whole
    ends = n_rows - -(-16 // width) + 1  # a piece that began later would be too short
    in_pieces = device.type == "cpu" and not torch.compiler.is_compiling()
    starts = range(0, max(1, ends), step) if in_pieces else range(1)
    for start, stop in zip(starts, [*starts[1:], n_rows], strict=True):
        numbers = torch.randn(
            stop - start, width, generator=generator, dtype=torch.float64, device=device
        )
        yield slice(start, stop), numbers
