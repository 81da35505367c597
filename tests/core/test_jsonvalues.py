"""Values of records as JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gmmtf import Estimate
from gmmtf.jsonvalues import decode, encode, write

NAN, INF = float("nan"), float("inf")
FINITE = st.floats(allow_nan=False, allow_infinity=True)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | FINITE
    | st.builds(Estimate, FINITE, FINITE)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
).filter(lambda value: "infinity" not in repr(value) and "standard_error" not in str(value))


def through_text(value):
    return decode(json.loads(write(encode(value))))


@given(VALUES)
def test_every_value_comes_back(value):
    assert through_text(value) == value


@given(VALUES)
def test_the_text_is_standard_json(value):
    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(write(encode(value)), parse_constant=refuse) == encode(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, INF]), [1.0, INF]),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([1.0, -INF], dtype=torch.float64), [1.0, -INF]),
        (torch.tensor([True, False]), [True, False]),
        ((1, (2, 3)), [1, [2, 3]]),
        (Estimate(np.float64(1.5), torch.tensor(0.25)), Estimate(1.5, 0.25)),
        ({"a": [np.int8(1), {"b": Estimate(2.0, INF)}]}, {"a": [1, {"b": Estimate(2.0, INF)}]}),
    ],
)  # fmt: skip
def test_numbers_of_other_libraries_and_estimates_are_stored_natively(value, plain):
    found = through_text(value)
    assert found == plain
    assert type(found) is type(plain)


def test_whole_numbers_truths_and_floats_keep_their_kind():
    found = through_text([1, 1.0, True, 0, -0.0, False, 10**30])
    assert [type(v) for v in found] == [int, float, bool, int, float, bool, int]
    assert math.copysign(1, found[4]) == -1


@pytest.mark.parametrize(
    "bad",
    [
        NAN,
        np.float32(NAN),
        [1.0, [NAN]],
        {"deep": {"er": (NAN,)}},
        torch.tensor([1.0, NAN]),
        np.array([NAN]),
        Estimate(1.0, NAN),
        Estimate(NAN, 0.0),
    ],
)
def test_what_is_not_a_number_is_refused(bad):
    with pytest.raises(ValueError, match="NaN"):
        encode(bad)


@pytest.mark.parametrize("bad", [{1, 2}, {1: 2}, object(), 1j, np.array([1j]), b"x", [print]])
def test_what_json_cannot_hold_is_refused(bad):
    with pytest.raises(TypeError, match="expected"):
        encode(bad)


def test_the_form_of_an_infinity_is_refused_as_a_value():
    with pytest.raises(ValueError, match="stands for an infinity"):
        encode([{"infinity": 3}])


def test_flat_lists_and_objects_stand_on_one_line():
    text = write({"a": {"b": [1, 2, 3], "c": {"d": 0.5}}, "long": list(range(60))})
    assert text.splitlines()[1:3] == [
        ' "a": {"b": [1, 2, 3], "c": {"d": 0.5}},',
        f' "long": {list(range(60))}',
    ]
    assert text.endswith("}\n")
    nested = write([[[i] * 30 for i in range(4)]])
    assert max(len(line) for line in nested.splitlines()) <= 100
    assert json.loads(nested) == [[[i] * 30 for i in range(4)]]


@pytest.mark.parametrize(
    "stored",
    [
        {"infinity": "x"},
        {"infinity": 2},
        {"infinity": None},
        {"value": None, "standard_error": 0.1},
    ],
)
def test_an_object_that_stands_for_a_number_must_hold_it(stored):
    with pytest.raises(ValueError, match=r"^value: expected"):
        decode(stored)
