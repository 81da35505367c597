"""A number with its standard error."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
import torch

from gmmtf import Estimate


def test_mean_and_standard_error():
    samples = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = Estimate.from_samples(samples)
    assert found.value == pytest.approx(np.mean(samples.numpy()), rel=1e-12)
    expected = np.std(samples.numpy(), ddof=1) / np.sqrt(50)
    assert found.standard_error == pytest.approx(expected, rel=1e-12)
    pair = Estimate.from_samples(torch.tensor([1.0, 3.0]))
    assert (pair.value, pair.standard_error) == pytest.approx((2.0, 1.0), rel=1e-6)


@pytest.mark.parametrize("n", [2, 7, 400])
def test_strata_compare_neighbours_only(n):
    noise = np.random.default_rng(n).normal(size=n)
    trend = torch.from_numpy(100 * np.linspace(0, 1, n) ** 2 + noise)
    found = Estimate.from_strata(trend)
    assert found.value == pytest.approx(trend.numpy().mean(), rel=1e-12)
    pairs = [(float(trend[i] - trend[i + 1])) ** 2 / 2 for i in range(0, n - 1, 2)]
    assert found.standard_error == pytest.approx(np.sqrt(np.mean(pairs) / n), rel=1e-9)
    if n == 400:  # the trend no longer counts as error
        assert found.standard_error == pytest.approx(1 / 20, rel=0.15)
        assert Estimate.from_samples(trend).standard_error > 1


def test_as_a_number_and_as_text():
    estimate = Estimate(0.123456, 0.00123)
    assert float(estimate) == 0.123456
    assert str(estimate) == "0.1235 ± 0.001"
    assert f"{estimate}" == str(estimate)
    assert str(Estimate(2.0, 0.0)) == "2 ± 0"


@pytest.mark.parametrize(
    "samples", [torch.ones(1), torch.ones(0), torch.ones(2, 2), torch.ones(())]
)
def test_bad_samples_are_named(samples):
    with pytest.raises(ValueError, match=r"^samples: "):
        Estimate.from_samples(samples)


def test_frozen():
    with pytest.raises(AttributeError):
        Estimate(1.0, 0.1).value = 2.0


@pytest.mark.parametrize("combine", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Estimate(3.0, 0.02), Estimate(2.0, 0.01)),
        (Estimate(-3.0, 0.02), Estimate(2.0, 0.0)),
        (Estimate(3.0, 0.01), Estimate(-2.0, 0.03)),
        (Estimate(3.0, 0.02), 2),
        (2.5, Estimate(-4.0, 0.03)),
    ],
)
def test_calculating_propagates_errors_as_sampling_does(combine, first, second):
    found = combine(first, second)
    assert found.value == pytest.approx(combine(float(first), float(second)), rel=1e-15)
    draws = np.random.default_rng(0).normal(size=(2, 400_000))
    x, y = (
        float(e) + getattr(e, "standard_error", 0.0) * z
        for e, z in zip((first, second), draws, strict=True)
    )
    assert found.standard_error == pytest.approx(combine(x, y).std(), rel=5e-3)


def test_calculating_with_numbers_of_other_libraries():
    one = Estimate(2.0, 0.5)
    assert one * np.float64(3.0) == Estimate(6.0, 1.5)
    assert one + torch.tensor(1.0) == Estimate(3.0, 0.5)
    assert np.float64(3.0) * one == Estimate(6.0, 1.5)
    assert -one == Estimate(-2.0, 0.5)
    assert sum([one, one]) == Estimate(4.0, math.sqrt(0.5))
    with pytest.raises(ZeroDivisionError):
        one / 0


def test_the_mean_of_estimates():
    each = [Estimate(1.0, 0.3), Estimate(3.0, 0.4)]
    assert Estimate.mean(iter(each)) == Estimate(2.0, 0.25)
    assert Estimate.mean(each[:1]) == each[0]
    for combine in (Estimate.mean, Estimate.pooled):
        with pytest.raises(ValueError, match="at least one"):
            combine([])


def test_pooling_takes_the_larger_error():
    alike = [Estimate(1.0, 0.3), Estimate(1.0, 0.4)]
    assert Estimate.pooled(alike) == Estimate.mean(alike)
    apart = [Estimate(v, 0.01) for v in (1.0, 2.0, 6.0)]
    pooled = Estimate.pooled(iter(apart))
    assert pooled.value == pytest.approx(3.0)
    assert pooled.standard_error == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    assert Estimate.pooled(apart[:1]) == apart[0]


@pytest.mark.parametrize("strata", [False, True])
def test_a_paired_difference_knows_what_the_two_share(strata):
    generator = torch.Generator().manual_seed(0)
    shared, own = torch.randn(2, 1000, generator=generator, dtype=torch.float64)
    found = Estimate.paired(shared + 0.1 * own + 0.5, shared, strata=strata)
    assert found.value == pytest.approx(0.5, abs=4 * 0.1 / math.sqrt(1000))
    assert found.standard_error == pytest.approx(0.1 / math.sqrt(1000), rel=0.1)
    with pytest.raises(ValueError, match=r"^second: .*\(3,\), got \(2,\)"):
        Estimate.paired(torch.zeros(3), torch.zeros(2))


def test_strata_of_a_view_that_is_not_contiguous():
    samples = torch.arange(20.0)[::2]
    assert Estimate.from_strata(samples) == Estimate.from_strata(samples.clone())


def test_distances():
    one = Estimate(1.1, 0.03)
    assert one.relative_to(1.0) == pytest.approx(0.1)
    assert one.relative_to(Estimate(2.0, 5.0)) == pytest.approx(0.45)
    assert one.errors_from(1.0) == pytest.approx(0.1 / 0.03)
    assert one.errors_from(Estimate(1.2, 0.04)) == pytest.approx(2.0)
    assert Estimate(1.0).errors_from(1.0) == 0
    assert Estimate(1.0).errors_from(2.0) == math.inf
