"""A number with its standard error."""

from __future__ import annotations

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
