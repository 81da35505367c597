"""Claims about numbers, checked against bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gmmtf.check import Bound, verify

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "bounds", "holds"),
    [
        (1.0, {"at_least": 1.0}, True),
        (0.999, {"at_least": 1.0}, False),
        (1.0, {"at_most": 1.0}, True),
        (1.001, {"at_most": 1.0}, False),
        (1.5, {"at_least": 1.0, "at_most": 2.0}, True),
        (2.5, {"at_least": 1.0, "at_most": 2.0}, False),
        (0.5, {"at_least": 1.0, "at_most": 2.0}, False),
        (-3.0, {"at_most": 0}, True),
        (NAN, {"at_least": 0.0}, False),
        (NAN, {"at_most": 0.0}, False),
        (NAN, {"at_least": 0.0, "at_most": 1.0}, False),
        (INF, {"at_most": 1.0}, False),
        (-INF, {"at_least": 1.0}, False),
        (1.0, {"at_most": NAN}, False),
        (1.0, {"at_least": NAN}, False),
    ],
)
def test_bounds(value, bounds, holds):
    bound = Bound("x", "a claim", **bounds)
    assert bound.holds(value) is holds
    if holds:
        verify([bound], {"x": value})
    else:
        with pytest.raises(AssertionError, match="a claim"):
            verify([bound], {"x": value})


def test_a_claim_needs_a_bound():
    with pytest.raises(ValueError, match=r"^a claim: .*at_least"):
        Bound("x", "a claim")


def test_the_table(capsys):
    verify(
        [
            Bound("a", "short", at_most=0.2),
            Bound("b", "a longer claim", at_least=1, at_most=1234.5, run="recorded"),
            Bound("c", "hidden", at_least=0.25, shown=False),
            Bound("d", "two digits", at_least=0.1, digits=2),
        ],
        {"a": 0.123456, "b": 12.0, "c": 0.5, "d": 0.123456, "of no claim": 7.0},
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["claim", "value", "required", "run", "verdict"],
        ["short", "0.123", "at", "most", "0.2", "live", "holds"],
        ["a", "longer", "claim", "12", "1", "to", "1.23e+03", "recorded", "holds"],
        ["hidden", "-", "at", "least", "0.25", "live", "holds"],
        ["two", "digits", "0.12", "at", "least", "0.1", "live", "holds"],
    ]
    places = {line.index("holds") for line in lines[1:]}
    assert places == {lines[0].index("verdict")}, "columns are aligned"
    assert not any(line != line.rstrip() for line in lines)


def test_the_table_comes_before_the_failure(capsys):
    bounds = [
        Bound("a", "first", at_most=2.0),
        Bound("b", "second", at_most=2.0),
        Bound("c", "third", at_least=0.5, shown=False),
    ]
    with pytest.raises(AssertionError, match=r"first: 3, required at most 2.*third: nan") as raised:
        verify(bounds, {"a": 3.0, "b": 1.0, "c": NAN})
    assert "second" not in str(raised.value)
    printed = capsys.readouterr().out
    assert [line.split()[-1] for line in printed.splitlines()[1:]] == ["FAILS", "holds", "FAILS"]


def test_missing_numbers_are_named_before_anything_is_printed(capsys):
    bounds = [Bound(name, name, at_most=1) for name in ("there", "gone", "lost")]
    with pytest.raises(KeyError, match=r"\['gone', 'lost'\]"):
        verify(bounds, {"there": 0.0})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), True])
def test_numbers_of_any_library(number, capsys):
    verify([Bound("x", "a claim", 0.25, 1)], {"x": number})
    assert capsys.readouterr().out.splitlines()[1].endswith("holds")
