"""Chapter 2: the density and its gradient against formulas written down anew."""

import math
from itertools import combinations
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c02_ddpm_objective import run, summary

SCHEDULE = NoiseSchedule.linear(100)
PI = [0.2, 0.3, 0.5]


def mixture(n_active: int | None = None) -> MultiTokenGMM:
    return MultiTokenGMM(
        n_patterns=3, dim=4, n_tokens=3, radius=2.0, sigma=0.4, weights=PI, n_active=n_active
    )


@pytest.mark.parametrize("n_active", [2, 3])
def test_the_log_density_is_that_of_the_sum_over_sets_and_labels(n_active):
    law, t = mixture(n_active), 40
    x = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    abar = float(torch.cumprod(1 - SCHEDULE.betas, 0)[t])
    variance = abar * 0.4**2 + 1 - abar
    sets = list(combinations(range(3), n_active))
    density = 0.0
    for chosen in sets:
        product = 1.0
        for token in x[0].numpy():
            terms = [
                PI[u] * multivariate_normal.pdf(token, math.sqrt(abar) * law.means[u], variance)
                for u in chosen
            ]
            product *= sum(terms) / sum(PI[u] for u in chosen)
        density += product / len(sets)
    found = run.log_density(law, SCHEDULE, x, torch.tensor([t]))
    assert float(found) == pytest.approx(math.log(density), rel=1e-12)


def test_the_gradient_is_the_slope_of_the_log_density():
    law, t = mixture(2), torch.tensor([30])
    x = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = torch.zeros_like(x)
    step[0, 1, 2] = 1e-5
    up, down = (run.log_density(law, SCHEDULE, x + sign * step, t) for sign in (1, -1))
    slope = float(up - down) / 2e-5
    assert float(run.gradient(law, SCHEDULE, x, t)[0, 1, 2]) == pytest.approx(slope, rel=1e-6)


def test_no_other_multiple_is_better_than_the_best():
    law, t = mixture(), torch.full((20_000,), 40)
    generator = torch.Generator().manual_seed(2)
    drawn = run.draw_noisy(law, SCHEDULE, t, generator, torch.float64)
    fitted = float((drawn.noise * drawn.x_t).sum() / drawn.x_t.square().sum())
    answer = run.best_multiple(law, SCHEDULE)(drawn.x_t, t)
    assert float((answer / drawn.x_t).mean()) == pytest.approx(fitted, rel=0.01)


def test_the_chain_summary_sees_a_wrong_scale():
    clean = torch.randn(5000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noise = torch.randn(5000, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    abar = float(SCHEDULE.alpha_bars[50])
    state = math.sqrt(abar) * clean + math.sqrt(1 - abar) * noise
    assert summary.chain(clean, {50: state}, SCHEDULE)["chain-deviation"] < 4
    assert summary.chain(clean, {50: 1.1 * state}, SCHEDULE)["chain-deviation"] > 6


def test_the_walk_compares_its_last_row_with_the_square_law():
    rows = {"size": [1.0, 0.5], "exact": [0.4, 0.1]}
    rows["loss minus Bayes risk"] = [Estimate(0.4, 0.02), Estimate(0.1, 0.02)]
    rows["excess risk"] = [Estimate(0.4, 0.01), Estimate(0.11, 0.002)]
    numbers = summary.walk(pd.DataFrame(rows))
    assert numbers["ratio"] == pytest.approx(10)
    assert numbers["ratio-draws"] == 100
    assert numbers["blend-ratio"] == pytest.approx(1.1)


def test_the_head_at_zero_in_numbers():
    rows = pd.DataFrame(
        {
            "denoiser": ["head at W = 0"] * 3 + ["zero"],
            "fraction": [0.1, 0.4, 0.9, 0.2], "excess": [0.2, 0.5, 0.3, 9.0],
        }
    )  # fmt: skip
    found = SimpleNamespace(
        loss=Estimate(0.5), excess_risk=Estimate(0.125), score_error=Estimate(0.75)
    )
    numbers = summary.head(found, rows, SCHEDULE)
    assert numbers["start-loss"] == 0.5
    assert numbers["start-excess"] == 0.125
    assert numbers["amplification"] == 6
    assert (numbers["peak"], numbers["peak-excess"], numbers["head-last"]) == (0.4, 0.5, 0.3)
    noise = 1 - SCHEDULE.alpha_bars[[0, -1]]
    factors = [numbers["first-factor"], numbers["last-factor"]]
    assert factors == pytest.approx((1 / noise).tolist())
