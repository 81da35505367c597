"""Posteriors over thousands of active sets: bounds and shared sums, against plain log space."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmtf import MultiTokenGMM, NoiseSchedule, draw_noisy, posterior
from gmmtf.laws import half_sets
from gmmtf.laws import posterior as posteriors

SCHEDULE = NoiseSchedule.linear(1000)
LAW = MultiTokenGMM(n_patterns=13, dim=16, n_tokens=21, radius=6.0, sigma=0.3, n_active=6)
BENT = 2 * torch.randn(13, 7, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
SKEWED = tuple((torch.arange(1, 14) / 91).tolist())
RARE = tuple((torch.linspace(0.05, 0.95, 13, dtype=torch.float64) * 6 / 6.5).tolist())
KEPT = {"n_tokens": 21, "sigma": 0.4, "n_active": 6}
LAWS = {
    "equal": LAW,
    "weights": replace(LAW, weights=SKEWED),
    "inclusion": replace(LAW, inclusion=RARE),
    "bent": MultiTokenGMM.from_patterns(BENT, **KEPT),
    "few tokens": replace(LAW, n_tokens=3),
    "many tokens": replace(LAW, n_tokens=70),
}


def plain(law: MultiTokenGMM, logits: torch.Tensor) -> torch.Tensor:
    """Posterior of logits [tokens, M] set by set, all in log space."""
    chosen = list(itertools.combinations(range(law.n_patterns), law.k))
    outside = torch.full((len(chosen), law.n_patterns), -math.inf, dtype=torch.float64)
    outside[torch.arange(len(chosen))[:, None], torch.tensor(chosen)] = 0
    inside = outside.exp()
    prior = (inside * law.log_set_weights).sum(1) - len(logits) * (inside @ law.probabilities).log()
    given_set = logits[:, None] + outside
    weight = torch.softmax(prior + given_set.logsumexp(2).sum(0), 0)
    return torch.einsum("s,nsu->nu", weight, torch.softmax(given_set, 2))


def logits_of(law: MultiTokenGMM, x_t: torch.Tensor, t: int) -> torch.Tensor:
    abar = float(SCHEDULE.alpha_bars[t])
    variance = abar * law.sigma**2 + 1 - abar
    squares = (x_t[:, None] - math.sqrt(abar) * law.means).square().sum(-1)
    return law.probabilities.log() - squares / (2 * variance)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("t", [5, 350, 480, 600, 950])
def test_posteriors_over_many_sets_are_those_of_log_space(name, t):
    law = LAWS[name]
    times = torch.full((2,), t)
    noisy = draw_noisy(law, SCHEDULE, times, torch.Generator().manual_seed(t), torch.float64)
    found = posterior(law, SCHEDULE, noisy.x_t, times)
    for tokens, p in zip(noisy.x_t, found, strict=True):
        expected = plain(law, logits_of(law, tokens, t))
        torch.testing.assert_close(p, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=settings.default.max_examples // 5)
@given(
    seed=st.integers(0, 2**31),
    tokens=st.integers(1, 40),
    spread=st.sampled_from([0.01, 1.0, 4.0, 30.0, 300.0]),
    alike=st.booleans(),
    few=st.sampled_from([1, 4, 16, 10**6]),
)
def test_any_likelihoods(seed, tokens, spread, alike, few):
    """Of 70 sets, by halves or one by one, whatever the tokens: far, alike, or of one pattern."""
    source = torch.Generator().manual_seed(seed)
    law = replace(LAW, n_patterns=8, n_active=4, n_tokens=max(tokens, 2))
    logits = spread * torch.randn(2, tokens, 8, generator=source, dtype=torch.float64)
    if alike:
        logits[1] = logits[1, :1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posteriors, "_MANY_SETS", 1)
        patch.setattr(posteriors, "_FEW", few)
        found = posteriors._posterior_over_sets(law, logits)
    for point, p in zip(logits, found, strict=True):
        torch.testing.assert_close(p, plain(law, point), rtol=1e-9, atol=1e-12)


def test_no_set_that_weighs_anything_is_left_out():
    """What the bound excludes is below e^-100 of the likeliest set, and at low noise it excludes
    nearly all."""
    sets = posteriors.active_sets(LAW)
    for spread, most in ((0.5, 1716), (3.0, 1716), (40.0, 10)):
        source = torch.Generator().manual_seed(0)
        logits = torch.randn(4, 60, 13, generator=source, dtype=torch.float64)
        logits[..., :6] += spread * torch.rand(4, 60, 6, generator=source, dtype=torch.float64)
        logits *= spread
        prior = torch.linspace(-20, 20, 1716, dtype=torch.float64)
        evidence = prior + logits[..., sets].logsumexp(-1).sum(1)
        possible = posteriors._possible(logits, sets, prior)
        matters = evidence > evidence.amax(1, keepdim=True) - 100
        assert bool((possible | ~matters).all())
        assert possible.sum(1).max() <= most
        assert possible.sum(1).min() >= 1


def test_what_the_halves_lose_is_known_and_found_again():
    """Two patterns so far apart that no set holds all tokens' own: products underflow for all."""
    logits = torch.zeros(1, 32, 9, dtype=torch.float64)
    logits[0, :, :] = -900.0
    logits[0, torch.arange(32), torch.arange(32) % 9] = 0.0
    law = replace(LAW, n_patterns=9, n_active=4)
    sets, prior = posteriors.active_sets(law), torch.zeros(126, dtype=torch.float64)
    assert not bool(posteriors._by_halves(logits, sets, prior)[1].any())
    again = posteriors._exactly(posteriors._by_halves, logits, sets, prior)
    torch.testing.assert_close(again[0], plain(law, logits[0]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "k"), [(9, 4), (8, 4), (7, 6), (5, 1)])
def test_blocks_hold_every_set_once(size, k):
    blocks, order = half_sets.blocks(size, k)
    rows = [a + b for block in blocks for a in block.first for b in block.second]
    expected = half_sets.as_rows(half_sets.all_sets(size, k)[order], rows[0])
    assert torch.equal(torch.stack(rows), expected)
    assert order.sort().values.tolist() == list(range(math.comb(size, k)))


def test_missing_numbers_stay_missing():
    logits = torch.full((1, 4, 13), math.nan, dtype=torch.float64)
    found = posteriors._posterior_over_sets(LAW, logits)
    assert bool(found.isnan().all())
