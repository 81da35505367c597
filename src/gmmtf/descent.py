"""Gradient descent in the reduced coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.training.settings import OPTIMIZERS


def descend(
    start: ReducedWeight,
    loss: Callable[[ReducedWeight], Tensor],
    steps: int,
    *,
    lr: float,
    optimizer: str = "gd",
) -> Iterator[tuple[int, ReducedWeight]]:
    """Gradient descent in the reduced coordinates.

    Parameters
    ----------
    loss
        Differentiable loss of a weight; it may draw fresh randomness at every call.
    lr
        Step size of ``optimizer``, ``"gd"`` or ``"adam"``.

    Yields
    ------
    tuple[int, ReducedWeight]
        The step and the weight, from step 0 (the start) to ``steps``.

    Raises
    ------
    ValueError
        If an argument is out of range.
    FloatingPointError
        If the loss is no longer finite.
    """
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected {sorted(OPTIMIZERS)}, got {optimizer!r}")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr: expected a finite positive number, got {lr}")
    return _descend(start, loss, steps, lr, optimizer)


def _descend(
    start: ReducedWeight,
    loss: Callable[[ReducedWeight], Tensor],
    steps: int,
    lr: float,
    optimizer: str,
) -> Iterator[tuple[int, ReducedWeight]]:
    pattern = start.pattern.detach().clone().requires_grad_()
    complement = start.complement.detach().clone().requires_grad_()
    stepper = OPTIMIZERS[optimizer]([pattern, complement], lr=lr)
    yield 0, start
    for step in range(steps):
        stepper.zero_grad()
        value = loss(ReducedWeight(pattern, complement))
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"the loss is {float(value.detach())} at step {step}; "
                f"a smaller step size than lr={lr:.3g} may help"
            )
        value.backward()
        stepper.step()
        yield (
            step + 1,
            ReducedWeight(pattern.detach().clone(), complement.detach().clone()),
        )
