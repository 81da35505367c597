"""Standard normal noise that is the same on every processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked, count


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
    processors with different vector units, its float64 draws do not.
    """
    device = generator_device(generator)
    sizes = [count("shape", size, 0) for size in shape]
    draw = torch.randn(sizes, generator=generator, dtype=torch.float64, device=device)
    return draw.to(dtype)
