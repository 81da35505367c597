"""The label margin against simulated tokens, and its inverse against the schedule."""

from __future__ import annotations

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.laws.margin import label_margin, snr_at_margin

SCHEDULE = NoiseSchedule.linear(1000)
LAW = MultiTokenGMM(n_patterns=2, dim=8, n_tokens=100, radius=2.0, sigma=0.5)


def test_a_token_is_nearer_to_the_wrong_pattern_as_often_as_the_margin_says():
    generator = torch.Generator().manual_seed(0)
    sample = LAW.sample(1000, generator)
    at = torch.full((1000,), 300)
    noise = torch.randn(sample.x_0.shape, generator=generator, dtype=sample.x_0.dtype)
    products = SCHEDULE.add_noise(sample.x_0, at, noise).double() @ LAW.means.double().T
    wrong = (products.argmax(-1) != sample.labels).double().mean()
    expected = torch.special.ndtr(-label_margin(LAW, SCHEDULE, torch.tensor(300)))
    assert float(wrong) == pytest.approx(float(expected), abs=0.006)
    assert expected > 0.1


def test_the_ratio_at_a_margin_is_that_of_the_time_with_this_margin():
    alpha_bar = float(SCHEDULE.alpha_bars[300])
    margin = float(label_margin(LAW, SCHEDULE, torch.tensor(300)))
    found = snr_at_margin(LAW, margin)
    expected = alpha_bar / (1 - alpha_bar)
    assert found == pytest.approx(expected, rel=0.02)
