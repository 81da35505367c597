"""The reverse process with the exact denoiser recovers the data law."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest

from gmmtf import MultiTokenGMM, NoiseSchedule, sampling
from gmmtf.denoisers.optimal import BayesDenoiser

MEAN, SIGMA = 1.5, 0.6
GAUSSIAN = MultiTokenGMM.from_patterns(
    torch.full((1, 2), MEAN, dtype=torch.float64), n_tokens=2, sigma=SIGMA
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def abars(n_steps: int) -> np.ndarray:
    return np.cumprod(1 - np.linspace(1e-3, 20 / n_steps, n_steps))


def schedule_of(n_steps: int) -> NoiseSchedule:
    return NoiseSchedule.linear(n_steps, 1e-3, 20 / n_steps)


@pytest.mark.parametrize("n_steps", [50, 200])
def test_ddim_for_gaussian_data_is_its_linear_map(n_steps):
    """For one component every step is x ↦ √ᾱ' μ + (x - √ᾱ μ)(√(ᾱ'ᾱ)σ² + √((1-ᾱ')(1-ᾱ)))/τ²."""
    abar = abars(n_steps)
    gain, square = 1.0, SIGMA**2
    for now, after in pairwise([*abar[::-1], 1.0]):
        total = now * square + 1 - now
        gain *= (math.sqrt(after * now) * square + math.sqrt((1 - after) * (1 - now))) / total
    states = []
    found = sampling.ddim(
        BayesDenoiser(GAUSSIAN, schedule_of(n_steps)), schedule_of(n_steps), (5, 2, 2),
        n_calls=n_steps, generator=generator(), dtype=torch.float64,
        on_step=lambda t, x: states.append(x),
    )  # fmt: skip
    expected = MEAN + gain * (states[0].numpy() - math.sqrt(abar[-1]) * MEAN)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    # The probability flow keeps the standardised value: with small steps the gain is σ/τ.
    last = math.sqrt(abar[-1] * square + 1 - abar[-1])
    assert gain == pytest.approx(SIGMA / last, rel=3 / n_steps)


@pytest.mark.parametrize("n_steps", [50, 200])
def test_ancestral_for_gaussian_data_has_its_exact_mean_and_variance(n_steps):
    abar, square = abars(n_steps), SIGMA**2
    mean, variance = 0.0, 1.0
    for t in range(n_steps - 1, -1, -1):
        now, before = abar[t], abar[t - 1] if t else 1.0
        alpha = now / before
        # x_0 estimate: μ + s (x - √ᾱ μ); step: a x̂_0 + b x + noise
        s = math.sqrt(now) * square / (now * square + 1 - now)
        a = math.sqrt(before) * (1 - alpha) / (1 - now)
        b = math.sqrt(alpha) * (1 - before) / (1 - now)
        mean = a * (MEAN + s * (mean - math.sqrt(now) * MEAN)) + b * mean
        variance = (a * s + b) ** 2 * variance + (1 - alpha) * (1 - before) / (1 - now)
    schedule = schedule_of(n_steps)
    found = sampling.ancestral(
        BayesDenoiser(GAUSSIAN, schedule), schedule, (20_000, 2, 2),
        generator=generator(1), dtype=torch.float64,
    ).numpy().ravel()  # fmt: skip
    assert abs(found.mean() - mean) < 5 * math.sqrt(variance / found.size)
    assert abs(found.var() / variance - 1) < 5 * math.sqrt(2 / found.size)
    assert mean == pytest.approx(MEAN, abs=1e-3)
    assert variance == pytest.approx(square, rel=16 / n_steps)
    assert kstest(found, "norm", (mean, math.sqrt(variance))).pvalue > 1e-4


SAMPLERS = {
    "ancestral": sampling.ancestral,
    "ddim": lambda *a, **k: sampling.ddim(*a, n_calls=200, **k),
    "noisy ddim": lambda *a, **k: sampling.ddim(*a, n_calls=200, eta=0.5, **k),
}


@pytest.mark.parametrize("which", SAMPLERS)
@pytest.mark.parametrize("n_active", [3, 2])
def test_the_exact_denoiser_recovers_the_law(n_active, which):
    batch, pi = 2000, np.array([0.5, 0.3, 0.2])
    mixture = MultiTokenGMM(
        n_patterns=3, dim=3, n_tokens=3, radius=4.0, sigma=0.3,
        weights=pi.tolist(), n_active=n_active,
    )  # fmt: skip
    schedule = NoiseSchedule.linear(400, 1e-3, 0.05)
    x = SAMPLERS[which](
        BayesDenoiser(mixture, schedule), schedule, (batch, 3, 3), generator=generator(6)
    ).double()
    distances = torch.cdist(x.reshape(-1, 3), mixture.means)
    labels = distances.argmin(1).reshape(batch, 3).numpy()
    assert float(distances.min(1).values.max()) < 0.3 * math.sqrt(chi2(3).isf(1e-8))
    # Joint law of the three labels, by enumeration.
    sets = [(0, 1, 2)] if n_active == 3 else [(0, 1), (0, 2), (1, 2)]
    expected = np.zeros((3, 3, 3))
    for members in sets:
        p = np.zeros(3)
        p[list(members)] = pi[list(members)] / pi[list(members)].sum()
        expected += np.einsum("i,j,k->ijk", p, p, p) / len(sets)
    counts = np.zeros((3, 3, 3))
    np.add.at(counts, tuple(labels.T), 1)
    possible = expected > 0
    assert counts[~possible].sum() == 0
    statistic = ((counts - batch * expected)[possible] ** 2 / (batch * expected[possible])).sum()
    assert statistic < chi2(possible.sum() - 1).isf(1e-4)
    residual = x.reshape(-1, 3).numpy() - mixture.means.numpy()[labels.ravel()]
    assert np.abs(residual.mean(0)).max() < 5 * 0.3 / math.sqrt(len(residual)) + 2e-3
    assert residual.std(0) == pytest.approx([0.3] * 3, rel=0.06)
