"""The law of training times: its shares, its weights, and what it leaves unchanged."""

from __future__ import annotations

import pytest
import torch

from gmmtf import NoiseSchedule
from gmmtf.images.times import TimeLaw
from gmmtf.schedule import stratified_times


def test_a_flat_law_is_the_uniform_one() -> None:
    law = TimeLaw(1000, (1.0, 1.0))
    drawn = law.draw(64, torch.Generator().manual_seed(3))
    uniform = stratified_times(NoiseSchedule.linear(1000), 64, torch.Generator().manual_seed(3))
    # A draw within rounding of an edge may fall on either side of it.
    assert int((drawn - uniform).abs().max()) <= 1
    assert int((drawn != uniform).sum()) <= 1
    assert law.importance(drawn).tolist() == pytest.approx([1.0] * 64)


def test_times_cover_the_schedule_and_prefer_its_middle() -> None:
    law = TimeLaw(100, (2.0, 2.5))
    drawn = law.draw(200_000, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=100).double() / len(drawn)
    middle = torch.arange(100).double() / 100 + 0.005
    # The density of the beta law with parameters 2 and 2.5 is 8.75 x (1 - x)^1.5.
    density = 0.2 + 0.8 * 8.75 * middle * (1 - middle) ** 1.5
    assert torch.allclose(shares, density / 100, atol=2e-4)
    assert float(shares.min()) > 0.002


def test_weighted_means_are_means_over_the_schedule() -> None:
    law = TimeLaw(50, (2.0, 2.5))
    every = torch.arange(50)
    drawn = law.draw(100_000, torch.Generator().manual_seed(1))
    for values in (torch.ones(50).double(), every.double(), (every.double() / 50) ** 3):
        found = (law.importance(drawn) * values[drawn]).mean()
        assert float(found) == pytest.approx(float(values.mean()), rel=1e-3)
