"""Arguments held to their annotations: what fits, what it becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from gmmtf.arguments import ArgumentError, checked


@checked
def example(number: float, count: int = 1, many: Sequence[int] = (), x: Tensor | None = None):
    return number, count, many, x


def test_scalars_of_any_library_become_plain():
    number, count, many, x = example(
        np.float32(0.5), torch.tensor(3), np.array([1, 2]), np.ones((2, 2))
    )
    assert (type(number), number) == (float, 0.5)
    assert (type(count), count) == (int, 3)
    assert list(many) == [1, 2]
    assert isinstance(x, Tensor)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"number": float("nan")}, "number"),
        ({"number": np.float64("nan")}, "number"),
        ({"number": True}, "number"),
        ({"number": "1"}, "number"),
        ({"number": 10**400}, "number"),
        ({"number": 1.0, "count": 1.0}, "count"),
        ({"number": 1.0, "count": 2**63}, "count"),
        ({"number": 1.0, "many": [1, 2.5]}, "many"),
        ({"number": 1.0, "many": "12"}, "many"),
        ({"number": 1.0, "x": "x"}, "x"),
    ],
)
def test_another_kind_is_refused_by_name(arguments, name):
    with pytest.raises(ArgumentError, match=f"^{name}: expected"):
        example(**arguments)


def test_an_infinite_number_and_the_largest_integer_fit():
    assert example(float("inf"), 2**63 - 1)[:2] == (float("inf"), 2**63 - 1)
