"""Noisy draws, and the margin at which their labels can be read."""

import math

import pytest
import torch
from scipy.stats import norm

from gmmtf.estimate import Estimate
from gmmtf.laws.margin import label_margin, snr_at_margin
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import draw_noisy
from gmmtf.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.linear(100)
MIXTURE = MultiTokenGMM(n_patterns=2, dim=5, n_tokens=10, radius=3.0, sigma=0.4)


def test_a_noisy_draw_holds_what_it_is_made_of():
    t = torch.tensor([0, 50, 99])
    drawn = draw_noisy(MIXTURE, SCHEDULE, t, torch.Generator().manual_seed(0), torch.float64)
    again = MIXTURE.sample(3, torch.Generator().manual_seed(0), torch.float64)
    assert torch.equal(drawn.x_0, again.x_0)
    assert torch.equal(drawn.labels, again.labels)
    abar = torch.cumprod(1 - SCHEDULE.betas, 0)[t][:, None, None]
    torch.testing.assert_close(drawn.x_t, abar**0.5 * drawn.x_0 + (1 - abar) ** 0.5 * drawn.noise)


def test_a_time_outside_the_schedule_is_refused():
    with pytest.raises(ValueError, match="t: expected indices from 0 to 99"):
        draw_noisy(MIXTURE, SCHEDULE, torch.tensor([100]))


def test_drawn_tokens_are_confused_as_the_margin_says():
    t = 50
    drawn = draw_noisy(
        MIXTURE, SCHEDULE, torch.full((4000,), t), torch.Generator().manual_seed(1), torch.float64
    )
    wrong = (drawn.x_t @ MIXTURE.means.T).argmax(-1) != drawn.labels
    kappa = float(label_margin(MIXTURE, SCHEDULE, torch.tensor(t)))
    assert Estimate.from_samples(wrong.double().mean(1)).errors_from(norm.cdf(-kappa)) < 4


def test_the_margin_at_a_signal_to_noise_ratio_comes_back():
    snr = snr_at_margin(MIXTURE, 1.3)
    schedule = NoiseSchedule(torch.tensor([1 / (1 + snr)], dtype=torch.float64))
    kappa = label_margin(MIXTURE, schedule, torch.tensor(0))
    assert float(kappa) == pytest.approx(1.3, rel=1e-12)


def test_a_margin_that_clean_data_lack_is_refused():
    largest = MIXTURE.radius / (math.sqrt(2) * MIXTURE.sigma)
    assert snr_at_margin(MIXTURE, 0.99 * largest) > 0
    with pytest.raises(ValueError, match="margin: expected less"):
        snr_at_margin(MIXTURE, largest)
