"""Numbers that a caller gives: checked, and made plain.

Numpy's scalars and one-element tensors are as welcome as Python's numbers; truth values are not
numbers.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor


def count(name: str, value: Any, least: int) -> int:
    """Return an integer of at least ``least``.

    Raises
    ------
    ValueError
        If ``value`` is something else.
    """
    try:
        found = None if _is_truth(value) else operator.index(value)
    except TypeError:
        found = None
    if found is None or found < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r}")
    return found


def positive(name: str, value: Any, limit: float = math.inf) -> float:
    """Return a finite number above 0, or between 1/limit and limit if there is one.

    Raises
    ------
    ValueError
        If ``value`` is something else.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) or (
        isinstance(value, Tensor) and value.ndim == 0
    )
    number = float(value) if is_number and not _is_truth(value) else math.nan
    if not 1 / limit < number < limit:
        wanted = "a finite positive number"
        if math.isfinite(limit):
            wanted = f"a number between {1 / limit:g} and {limit:g}"
        raise ValueError(f"{name}: expected {wanted}, got {value!r}")
    return number


def plain_tensor(value: Any) -> Tensor:
    """Return a detached tensor of numbers in any form, on the CPU if it is not a tensor yet.

    Lists of numbers with a fraction become float64, as in numpy: the default type would round them.
    """
    if isinstance(value, Tensor):
        return value.detach()
    tensor = torch.as_tensor(value, device="cpu")  # whatever the default device is
    if isinstance(value, list | tuple) and tensor.is_floating_point():
        return torch.as_tensor(value, dtype=torch.float64, device="cpu")
    return tensor


def _is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) or str(getattr(value, "dtype", "")) == "torch.bool"
