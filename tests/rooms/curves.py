"""Made-up training curves."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gmmtf import Estimate
from gmmtf.curve import Curve


def made(seed: int, steps: Sequence[int] = (0, 1, 10, 100), size: int = 3) -> Curve:
    """A curve of random numbers between 0 and 1, no two equal, with standard errors below 1/9."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.rand(5 + size * size, len(steps), generator=generator, dtype=torch.float64)
    excess, excess_error, score, score_error, complement = (row.tolist() for row in numbers[:5])
    return Curve(
        list(steps),
        [Estimate(v, e / 9) for v, e in zip(excess, excess_error, strict=True)],
        [Estimate(v, e / 9) for v, e in zip(score, score_error, strict=True)],
        numbers[5:].T.reshape(len(steps), size, size),
        torch.tensor(complement),
    )


def made_curve(excess: list[float], error: float = 0.1) -> Curve:
    """A curve with these excess risks, from which all its other numbers follow."""
    count = len(excess)
    return Curve(
        steps=list(range(count)),
        excess=[Estimate(value, error) for value in excess],
        score=[Estimate(2 * value * value, error) for value in excess],
        products=torch.tensor([[[value, 0.0], [0.0, value]] for value in excess]),
        complement=torch.zeros(count),
    )
