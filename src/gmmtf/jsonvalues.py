"""Values of recorded results as JSON: numbers of any library, infinities, and estimates."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from gmmtf.estimate import Estimate

_ESTIMATE = {"value", "standard_error"}
_INFINITY = "infinity"


def encode(value: Any) -> Any:
    """Turn a value into what JSON can hold.

    Scalars and arrays of numpy and torch become numbers and lists, an :class:`Estimate` an object
    with its two fields, ±inf an object ``{"infinity": ±1}``, tuples lists.

    Raises
    ------
    ValueError
        If a number is not a number (NaN), or an object has the form that stands for an infinity.
    TypeError
        If a value, or the key of an object, has no form in JSON.
    """
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, Estimate):
        value = asdict(value)
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"value: expected texts as keys, got {sorted(map(repr, value))}")
        if set(value) == {_INFINITY}:
            raise ValueError(
                f"value: expected a number in place of {value}, which stands for an infinity"
            )
        return {key: encode(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(entry) for entry in value]
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("value: expected numbers, got NaN")
        return {_INFINITY: int(math.copysign(1, value))} if math.isinf(value) else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"value: expected a number, text, list, object or Estimate, got {value!r}")


def decode(value: Any) -> Any:
    """Turn what :func:`encode` gave back into estimates, infinities, lists and numbers.

    Raises
    ------
    ValueError
        If an object that stands for an estimate or an infinity does not hold its numbers.
    """
    if isinstance(value, list):
        return [decode(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if set(value) == _ESTIMATE:
        numbers = decode(value["value"]), decode(value["standard_error"])
        if not all(isinstance(x, (int, float)) for x in numbers):
            raise ValueError(f"value: expected two numbers as an estimate, got {value}")
        return Estimate(*numbers)
    if set(value) == {_INFINITY}:
        if value[_INFINITY] not in (1, -1):
            raise ValueError(f"value: expected the sign of an infinity, got {value}")
        return math.copysign(math.inf, value[_INFINITY])
    return {key: decode(entry) for key, entry in value.items()}


def write(value: Any) -> str:
    """Return the text of a JSON file: one space of indentation, lists of numbers on one line."""
    return lines(value, 0) + "\n"


def lines(value: Any, depth: int) -> str:
    """Return the text of a value that stands ``depth`` spaces deep in such a file."""
    short = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or len(short) + depth <= 100:
        return short
    entries = value.values() if isinstance(value, dict) else value
    if not any(isinstance(entry, (dict, list)) for entry in entries):
        return short
    margin = "\n" + " " * (depth + 1)
    if isinstance(value, list):
        body = f",{margin}".join(lines(entry, depth + 1) for entry in value)
        return f"[{margin}{body}\n{' ' * depth}]"
    named = (
        f"{json.dumps(key, ensure_ascii=False)}: {lines(entry, depth + 1)}"
        for key, entry in value.items()
    )
    body = f",{margin}".join(named)
    return f"{{{margin}{body}\n{' ' * depth}}}"
