"""The floor of the plain head: for every weight, and how it falls with the dimension."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, ReducedWeight, posterior, risk
from gmmtf.laws.level import noise_level
from gmmtf.risks.head import HeadScalars
from theory.many_tokens import ALPHA_BAR, best, best_at_each, symmetric_excess

SCHEDULE = NoiseSchedule.linear(1000)
APPENDIX = Path(__file__).parents[2] / "book" / "appendix_theory.md"


def log_mean_exp(scores: np.ndarray) -> np.ndarray:
    return logsumexp(scores, -1) - np.log(scores.shape[-1])


@pytest.mark.parametrize("scale", [0.03, 0.3, 3.0, 30.0])
def test_attention_reaches_out_along_the_tilt(scale):
    """⟨ν, y⟩ is at least log-mean-exp of the scores, so a large weight misses every pattern."""
    law = MultiTokenGMM(n_patterns=3, dim=5, n_tokens=7, radius=2.0, sigma=0.4)
    generator = torch.Generator().manual_seed(int(100 * scale))
    head = AttentionDenoiser(law, SCHEDULE, torch.float64)
    weight = scale * torch.randn(5, 5, generator=generator, dtype=torch.float64)
    head.weight.data = weight
    data = law.sample(110, generator, torch.float64).x_0
    t = torch.full((110,), 300)
    x = SCHEDULE.add_noise(data, t, torch.randn(data.shape, generator=generator).double())
    level = noise_level(law, SCHEDULE, t).for_tokens(x)
    average = head.estimate(x, level).detach().numpy()
    nu = (x @ weight).numpy()
    scores = nu @ x.numpy().transpose(0, 2, 1)
    length = np.linalg.norm(nu, axis=-1)
    reach = log_mean_exp(scores)
    assert ((nu * average).sum(-1) >= reach - 1e-9 * (1 + abs(reach))).all()
    longer = log_mean_exp(1.7 * scores) / 1.7
    assert (longer >= reach - 1e-9 * (1 + abs(reach))).all()
    # No convex combination of the scaled patterns is nearer than the bound.
    means = float(level.signal[0, 0, 0]) * law.means.numpy()
    bound = (reach - (nu @ means.T).max(-1)) / length
    shares = np.random.default_rng(0).dirichlet(np.full(3, 0.3), size=(40, 110, 7))
    distance = np.linalg.norm(average - shares @ means, axis=-1)
    assert (distance >= bound - 1e-9).all()
    if scale == 30.0:
        assert (bound > 0).mean() > 0.5


def test_no_number_of_tokens_gets_below_the_floor():
    """At 10⁹ tokens the best strength has the excess of the limit, and larger ones do worse."""
    law = MultiTokenGMM(n_patterns=8, dim=16, n_tokens=10**9, radius=4.0, sigma=0.3)
    alpha_bar = ALPHA_BAR[[300]]
    strengths = [2.0, 6.0, 10.0]
    centred = torch.eye(8, dtype=torch.float64) - 1 / 8
    found = [
        risk(
            replace(ReducedWeight.zero(law), pattern=s / 16 * centred), law, SCHEDULE,
            t=300, method="integral", n_points=2**6, n_replicates=2,
        ).excess_risk.value
        for s in strengths
    ]  # fmt: skip
    limit = [symmetric_excess(s, 16.0, alpha_bar)[0] for s in strengths]
    np.testing.assert_allclose(found, limit, rtol=0.05)
    assert 0 < np.argmin(found) < len(found) - 1


def test_a_weight_that_grows_pays_ever_more_with_more_tokens():
    law = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=10, radius=3.0, sigma=0.3)
    found = []
    for n_tokens, product in ((10**2, 9.0), (10**4, 14.0), (10**6, 19.0)):
        many = replace(law, n_tokens=n_tokens)
        weight = replace(
            ReducedWeight.zero(many), pattern=product / 9 * torch.eye(2, dtype=torch.float64)
        )
        excess = risk(
            weight, many, SCHEDULE, t=300, method="integral", n_points=2**5, n_replicates=2
        )
        found.append(excess.excess_risk.value)
    assert found[0] < found[1] < found[2]


def test_many_tokens_reveal_the_active_set():
    """What a token's posterior gains from being told the set vanishes exponentially in N."""
    law = MultiTokenGMM(n_patterns=5, dim=5, n_tokens=64, radius=2.0, sigma=0.3, n_active=2)
    generator = torch.Generator().manual_seed(0)
    t = torch.full((200,), 300)
    missed = []
    for n_tokens in (4, 16, 64):
        some = replace(law, n_tokens=n_tokens)
        labels, active = some.sample_labels(200, generator)
        level = noise_level(some, SCHEDULE, t).for_tokens(torch.zeros(200, n_tokens, 5))
        noise = torch.randn(200, n_tokens, 5, generator=generator, dtype=torch.float64)
        x = level.signal * some.means[labels] + level.variance.sqrt() * noise
        logits = level.signal * (x @ some.means.T) / level.variance
        told = torch.softmax(logits.masked_fill(~active[:, None], -torch.inf), -1)
        found = posterior(some, SCHEDULE, x, t)
        missed.append(float((found - told).square().sum(-1).mean()))
    assert missed[1] < 0.5 * missed[0]
    assert missed[2] < 0.1 * missed[1]


def floors_of_the_appendix() -> list[list[float]]:
    text = APPENDIX.read_text(encoding="utf-8").split(":name: tab-app-floor")[1]
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", text, flags=re.MULTILINE)
    return [[float(d), *(float(x) for x in rest.split("|"))] for d, rest in rows]


def test_the_floors_of_the_appendix():
    """The table is computed from the limit formula, and its exponents are those of the text."""
    table = np.array(floors_of_the_appendix())
    assert table[:, 0].tolist() == [256, 1024, 4096, 16384]
    alpha_bar = ALPHA_BAR[10::20]
    for d, *stated in table:
        found = [
            best(lambda s, d=d: symmetric_excess(s, d, alpha_bar), 2 * d),
            best(lambda s, d=d: symmetric_excess(s, d, alpha_bar, over=True), 2 * d),
            best_at_each(lambda s, d=d: symmetric_excess(s, d, alpha_bar), 4 * d, len(alpha_bar)),
            best(lambda s, d=d: symmetric_excess(s, d, alpha_bar) * (alpha_bar >= 0.05), 2 * d),
        ]
        np.testing.assert_allclose(found[:3], stated[:3], rtol=0.01)
        np.testing.assert_allclose(found[3], stated[3], rtol=0.03)  # the edge is between times
    slopes = np.diff(np.log(table[:, 1:]), axis=0) / np.log(4)
    ranges = [(-0.66, -0.63), (-0.68, -0.64), (-1.10, -1.08), (-1.69, -1.37)]
    for column, (low, high) in zip(slopes.T, ranges, strict=True):
        assert low - 0.005 <= column.min()
        assert column.max() <= high + 0.005


def test_at_a_single_noise_level_the_floor_falls_faster():
    single = [
        best(lambda s, d=d: symmetric_excess(s, d, np.array([0.5])), 40.0)
        for d in (2.0**8, 2.0**10, 2.0**12, 2.0**14)
    ]
    slopes = np.diff(np.log(single)) / np.log(4)
    assert ((slopes > -2.7) & (slopes < -2.5)).all()


def test_half_the_output_at_the_weight_of_the_posterior():
    """Scores over τ² and v = 1/2: at most (1 - ᾱ)/τ² M/(4d), approached where labels are read."""
    law = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=10**9, radius=1.5, sigma=0.3)
    for t in (200, 400):
        level = noise_level(law, SCHEDULE, torch.tensor([t]))
        variance, gain = float(level.variance), float(level.gain)
        eye = torch.eye(2, dtype=torch.float64)
        found = risk(
            replace(ReducedWeight.zero(law), pattern=eye / variance), law, SCHEDULE, t=t,
            method="integral", n_points=2**7, n_replicates=2,
            head=HeadScalars(value_span=0.5, value_complement=0.5),
        ).excess_risk.value  # fmt: skip
        assert 0.4 < found / (gain**2 * variance * 2 / (4 * 6)) < 1.02


def test_the_default_schedule_has_no_more_of_a_noise_level_than_the_proposition_allows():
    """P(x ≤ ᾱ ≤ 2x) ≤ p'/√log(1/x) with p' = 0.5 for all x up to 1/4."""
    for x in np.geomspace(1e-6, 0.25, 4001):
        share = ((x <= ALPHA_BAR) & (2 * x >= ALPHA_BAR)).mean()
        assert share * np.sqrt(np.log(1 / x)) < 0.5
