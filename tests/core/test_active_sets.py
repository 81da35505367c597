"""Rare data points: active sets with given inclusion probabilities, against enumeration."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf import (
    MultiTokenGMM,
    NoiseSchedule,
    ReducedWeight,
    bayes_risk,
    draw_noisy,
    evaluate,
    posterior,
    risk,
)
from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.laws import posterior as posteriors
from gmmtf.laws import sets
from gmmtf.laws.moments import label_probabilities
from gmmtf.laws.posterior import MAX_ACTIVE_SETS
from gmmtf.risks.first_step import exact_descent_direction
from gmmtf.risks.formulas import tilt_floor

SCHEDULE = NoiseSchedule.linear(1000)
INCLUSION = (0.1, 0.35, 0.65, 0.9)
RARE = MultiTokenGMM(
    n_patterns=4, dim=12, n_tokens=24, radius=5.0, sigma=0.4, n_active=2, inclusion=INCLUSION
)


def all_sets(size: int, k: int) -> torch.Tensor:
    chosen = itertools.combinations(range(size), k)
    return torch.tensor([[u in members for u in range(size)] for members in chosen])


def by_enumeration(odds: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return set probabilities and inclusion probabilities of p(S) ∝ Π ω, from the definition."""
    members = all_sets(len(odds), k).numpy()
    weights = np.array([np.prod(odds[row]) for row in members])
    chances = weights / weights.sum()
    return chances, chances @ members


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_inclusion_probabilities_are_those_of_the_enumerated_law(k):
    odds = np.array([0.02, 0.7, 1.0, 3.0, 40.0])
    logs = torch.from_numpy(np.log(odds))
    chances, inclusion = by_enumeration(odds, k)
    found = sets.inclusion_probabilities(logs, k)
    np.testing.assert_allclose(found.numpy(), inclusion, rtol=1e-12)
    given = sets.log_probability(logs, all_sets(5, k)).exp()
    np.testing.assert_allclose(given.numpy(), chances, rtol=1e-12)


@pytest.mark.parametrize(
    ("inclusion", "k"),
    [((0.1, 0.35, 0.65, 0.9), 2), ((0.001, 0.299, 0.7), 1), ((0.999, 0.999, 0.5, 0.502), 3)],
)
def test_weights_of_given_inclusion_probabilities_are_found(inclusion, k):
    wanted = torch.tensor(inclusion, dtype=torch.float64)
    wanted = wanted * k / wanted.sum()
    odds = sets.fit_log_weights(wanted, k).exp().numpy()
    np.testing.assert_allclose(by_enumeration(odds, k)[1], wanted.numpy(), rtol=1e-11)


@pytest.mark.parametrize("seed", range(12))
def test_weights_of_any_inclusion_probabilities_are_found(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(2, 12))
    odds = np.exp(generator.normal(scale=2.5, size=size))
    k = int(generator.integers(1, size))
    wanted = torch.from_numpy(by_enumeration(odds, k)[1])
    found = sets.inclusion_probabilities(sets.fit_log_weights(wanted, k), k)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-10)


def test_sets_are_drawn_with_their_probabilities():
    count = 40_000
    _, active = RARE.sample_labels(count, torch.Generator().manual_seed(0))
    assert bool((active.sum(1) == RARE.k).all())
    odds = RARE.log_set_weights.exp().numpy()
    chances, inclusion = by_enumeration(odds, RARE.k)
    np.testing.assert_allclose(inclusion, INCLUSION, rtol=1e-10)
    code = 2 ** torch.arange(4)
    drawn = (active.long() * code).sum(1)
    for chance, members in zip(chances, all_sets(4, 2), strict=True):
        share = float((drawn == (members.long() * code).sum()).double().mean())
        assert abs(share - chance) < 5 * math.sqrt(chance * (1 - chance) / count)


def test_labels_are_uniform_on_the_active_set():
    labels, active = RARE.sample_labels(5000, torch.Generator().manual_seed(1))
    assert bool(active.gather(1, labels).all())
    share = labels.flatten().bincount(minlength=4).double() / labels.numel()
    assert share.tolist() == pytest.approx([p / 2 for p in INCLUSION], abs=0.01)
    assert label_probabilities(RARE).tolist() == pytest.approx([p / 2 for p in INCLUSION])


def test_label_probabilities_of_unequal_weights_are_a_mean_over_sets():
    pi = (0.1, 0.2, 0.3, 0.4)
    law = replace(RARE, inclusion=None, weights=pi, n_active=2)
    expected = np.zeros(4)
    for members in itertools.combinations(range(4), 2):
        total = sum(pi[u] for u in members)
        for u in members:
            expected[u] += pi[u] / total / 6
    np.testing.assert_allclose(label_probabilities(law).numpy(), expected, rtol=1e-12)


def brute_force(law: MultiTokenGMM, x: np.ndarray, alpha_bar: float) -> np.ndarray:
    """Posterior of one data point ``[N, d]`` by sums over sets, in plain numpy, in log space."""
    variance = alpha_bar * law.sigma**2 + 1 - alpha_bar
    means, pi = law.means.numpy(), law.probabilities.numpy()
    squares = ((x[:, None] - math.sqrt(alpha_bar) * means) ** 2).sum(-1)
    log_density = -squares / (2 * variance)
    logs, given = [], []
    for members in itertools.combinations(range(law.n_patterns), law.k):
        which = list(members)
        joint = log_density[:, which] + np.log(pi[which] / pi[which].sum())
        total = np.logaddexp.reduce(joint, axis=1)
        logs.append(total.sum() + float(law.log_set_weights[which].sum()))
        row = np.zeros_like(log_density)
        row[:, which] = np.exp(joint - total[:, None])
        given.append(row)
    weight = np.exp(np.array(logs) - np.logaddexp.reduce(logs))
    return np.einsum("s,snu->nu", weight, np.array(given))


@pytest.mark.parametrize("t", [3, 200, 700])
@pytest.mark.parametrize("law", [RARE, replace(RARE, inclusion=None, weights=(0.1, 0.2, 0.3, 0.4))])
def test_the_posterior_is_the_sum_over_sets(law, t):
    times = torch.full((8,), t)
    noisy = draw_noisy(law, SCHEDULE, times, torch.Generator().manual_seed(t), torch.float64)
    found = posterior(law, SCHEDULE, noisy.x_t, times).numpy()
    alpha_bar = float(SCHEDULE.alpha_bar(torch.tensor(t)))
    for x, p in zip(noisy.x_t.numpy(), found, strict=True):
        np.testing.assert_allclose(p, brute_force(law, x, alpha_bar), atol=1e-12)


def test_the_posterior_is_right_where_products_of_numbers_underflow():
    """Far tokens of more patterns than can be active: each set is impossible for some token."""
    law = MultiTokenGMM(n_patterns=5, dim=6, n_tokens=7, radius=60.0, sigma=0.05, n_active=2)
    generator = torch.Generator().manual_seed(0)
    x = law.means[torch.tensor([[0, 1, 2, 3, 4, 0, 1], [2, 2, 2, 2, 2, 2, 3]])]
    x = x + 0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    t = torch.tensor([1, 1])
    found = posterior(law, SCHEDULE, x, t).numpy()
    alpha_bar = float(SCHEDULE.alpha_bar(torch.tensor(1)))
    for tokens, p in zip(x.numpy(), found, strict=True):
        np.testing.assert_allclose(p, brute_force(law, tokens, alpha_bar), atol=1e-12)


def test_sums_of_numbers_and_of_logarithms_agree():
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(4, 5, 6, generator=generator, dtype=torch.float64)
    law = replace(RARE, n_patterns=6, dim=12, n_active=3, inclusion=(0.1, 0.3, 0.5, 0.6, 0.7, 0.8))
    sets = posteriors.active_sets(law)
    prior = law.log_set_weights[sets].sum(1)
    found, exact = posteriors._by_products(logits, sets, prior)
    assert bool(exact.all())
    again = posteriors._in_log_space(logits, sets, prior)
    torch.testing.assert_close(again, found, rtol=1e-12, atol=1e-14)
    without = posteriors._in_log_space(logits, sets, 0 * prior)
    assert float((without - found).abs().max()) > 0.01


def test_a_set_that_underflows_may_be_the_likeliest():
    """Its sum over the tokens counts: -690 against -700 and -1200, though one number is lost."""
    law = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=2, radius=2.0, sigma=0.3, n_active=1)
    logits = torch.tensor([[[0.0, -700.0, -600.0], [-690.0, 0.0, -600.0]]], dtype=torch.float64)
    found = posteriors._posterior_over_sets(law, logits)[0]
    expected = 1 / (1 + math.exp(-10))
    assert found[:, 0].tolist() == pytest.approx([expected, expected], rel=1e-12)
    assert found[:, 1].tolist() == pytest.approx([1 - expected, 1 - expected], rel=1e-9)


@pytest.mark.parametrize("drop", [99.9, 100.1, 400.0])
def test_sets_that_weigh_next_to_nothing_may_be_left_out(drop):
    """Two data points of one pattern each: a set is kept for either of them, or drops below e^-100.

    Evidence of the sets: 0, -30, -``99.0``, -``drop`` and 0, -``99.0``, -35, -``drop``.
    """
    first, second = [0.0, -30.0, -99.0, -drop], [0.0, -99.0, -35.0, -drop]
    logits = torch.tensor([[first, [0.0] * 4], [[0.0] * 4, second]], dtype=torch.float64)
    law = replace(RARE, n_tokens=2, inclusion=None, n_active=1)
    members = posteriors.active_sets(law)
    prior = torch.zeros(4, dtype=torch.float64)
    found, exact = posteriors._by_products(logits, members, prior)
    again = posteriors._in_log_space(logits, members, prior)
    assert bool(exact.all())
    torch.testing.assert_close(found, again, rtol=0, atol=1e-13)
    assert (found[..., 3] > 0).any().item() == (drop < 100)
    # What is kept has all its digits, also where it is small.
    for point, u, power in ((0, 1, 30), (1, 2, 35), (0, 2, 99.0), (1, 1, 99.0)):
        expected = pytest.approx(math.exp(-power), rel=1e-10, abs=0)
        assert found[point, point, u].item() == expected


@pytest.mark.parametrize("t", [10, 150, 500, 950])
def test_posteriors_over_most_negligible_sets_are_those_of_log_space(t, monkeypatch):
    """At low noise one set of 220 is left, at high noise all are."""
    law = MultiTokenGMM(n_patterns=12, dim=16, n_tokens=20, radius=5.0, sigma=0.3, n_active=3)
    times = torch.full((16,), t)
    noisy = draw_noisy(law, SCHEDULE, times, torch.Generator().manual_seed(t), torch.float64)
    found = posterior(law, SCHEDULE, noisy.x_t, times)
    monkeypatch.setattr(
        posteriors,
        "_by_products",
        lambda logits, *_: (logits, torch.zeros(len(logits), dtype=torch.bool)),
    )
    again = posterior(law, SCHEDULE, noisy.x_t, times)
    torch.testing.assert_close(found, again, rtol=0, atol=1e-13)


def test_many_sets_are_enumerated_and_too_many_are_counted():
    law = MultiTokenGMM(n_patterns=24, dim=24, n_tokens=6, radius=8.0, sigma=0.3, n_active=5)
    assert math.comb(24, 5) > 20_000
    noisy = draw_noisy(law, SCHEDULE, torch.tensor([150]), torch.Generator().manual_seed(0))
    p = posterior(law, SCHEDULE, noisy.x_t.double(), noisy.t)
    assert p.sum(-1).numpy() == pytest.approx(1, abs=1e-12)
    many = replace(law, n_patterns=40, dim=40, n_active=20)
    with pytest.raises(ValueError, match=rf"= {math.comb(40, 20)} active sets.*{MAX_ACTIVE_SETS}"):
        posterior(many, SCHEDULE, torch.zeros(1, 6, 40, dtype=torch.float64), noisy.t)


def test_risks_of_rare_data_points_agree():
    """Full simulation, reduced simulation, expansion and integral of one weight."""
    law = replace(RARE, dim=32, n_tokens=160, radius=8.0)
    weight = ReducedWeight.zero(law)
    weight = replace(weight, pattern=0.15 * torch.eye(4, dtype=torch.float64))
    head = AttentionDenoiser(law, SCHEDULE, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(weight.to_full(law))
    full = evaluate(
        head, law, SCHEDULE, n_samples=512, generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    ).excess_risk  # fmt: skip
    bayes = bayes_risk(law, SCHEDULE)
    reduced = risk(
        weight, law, SCHEDULE, method="simulation", n_samples=512, bayes=bayes,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    spread = math.hypot(full.standard_error, reduced.excess_risk.standard_error)
    assert abs(full.value - reduced.excess_risk.value) < 4 * spread
    expanded = risk(weight, law, SCHEDULE, n_points=4096)
    spread = math.hypot(reduced.loss.standard_error, expanded.loss.standard_error)
    # The losses may be compared: the reference of the excess is not the same one.
    assert abs(expanded.loss.value - reduced.loss.value) < 4 * spread + 0.01 * full.value


def test_importance_weights_of_queries_give_each_pattern_its_share():
    """The loss is a mean over tokens: the share of a rare pattern's tokens must be the law's."""
    from gmmtf.risks.queries import draw_queries

    law = replace(RARE, inclusion=(0.02, 0.5, 0.6, 0.88))
    queries = draw_queries(law, SCHEDULE, n_points=2**14, seed=0)
    assert float(queries.importance.mean()) == pytest.approx(1, abs=0.01)
    active = torch.isfinite(queries.log_weights)
    assert bool((active.sum(0) == 2).all())
    found = (queries.importance * active).mean(1)
    assert found.tolist() == pytest.approx(law.inclusion, rel=0.03)
    assert float(active[0].double().mean()) > 0.2  # and half of the sets are drawn evenly


def test_the_first_step_of_rare_data_points_is_that_of_a_simulated_gradient():
    law = replace(RARE, n_tokens=12)
    exact = exact_descent_direction(law, SCHEDULE)
    total = torch.zeros(law.dim, law.dim, dtype=torch.float64)
    squares = torch.zeros_like(total)
    batches = 60
    generator = torch.Generator().manual_seed(0)
    for _ in range(batches):
        head = AttentionDenoiser(law, SCHEDULE, dtype=torch.float64)
        t = torch.randint(0, 1000, (256,), generator=generator)
        noisy = draw_noisy(law, SCHEDULE, t, generator, torch.float64)
        loss = (head(noisy.x_t, noisy.t) - noisy.noise).square().mean()
        (slope,) = torch.autograd.grad(loss, head.weight)
        total, squares = total - slope, squares + slope.square()
    mean = total / batches
    error = ((squares / batches - mean.square()) / (batches - 1)).sqrt()
    deviation = (mean - exact.to_full(law)) / error
    assert float(deviation[:4, :4].abs().max()) < 4.5
    assert float(exact.pattern[0, 0]) < float(exact.pattern[3, 3])


def test_the_tilt_floor_counts_a_pattern_by_its_tokens():
    law = replace(RARE, inclusion=(0.05, 0.15, 0.85, 0.95))
    floors = []
    for pattern in (0, 3):
        weight = ReducedWeight.zero(law)
        rows = torch.zeros(4, 4, dtype=torch.float64)
        rows[pattern, pattern] = 1.0
        floors.append(tilt_floor(replace(weight, pattern=rows), law, SCHEDULE))
    none = replace(law, radius=1e-9)
    rest = tilt_floor(replace(ReducedWeight.zero(law), pattern=rows), none, SCHEDULE)
    assert (floors[1] - rest) / (floors[0] - rest) == pytest.approx(0.95 / 0.05, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inclusion": (0.5, 0.5, 0.5)}, "inclusion: expected 4 numbers"),
        ({"inclusion": (0.0, 0.5, 0.7, 0.8)}, "inclusion: expected numbers between 0 and 1"),
        ({"inclusion": (1.0, 0.1, 0.2, 0.7)}, "inclusion: expected numbers between 0 and 1"),
        ({"inclusion": (0.5, 0.5, 0.5, 0.6)}, "inclusion: expected a sum of n_active = 2, got 2.1"),
        ({"inclusion": (math.nan, 0.5, 0.5, 0.6)}, "inclusion: expected a sum"),
        ({"weights": (0.1, 0.2, 0.3, 0.4)}, "inclusion: give either weights or inclusion"),
        ({"n_active": 4}, "inclusion: with n_active = 4 of 4"),
        ({"n_active": None}, "inclusion: with n_active = 4 of 4"),
    ],
)
def test_wrong_inclusion_probabilities_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RARE, **change)


def test_a_law_of_rare_data_points_is_told_from_another():
    other = replace(RARE, inclusion=(0.2, 0.25, 0.65, 0.9))
    assert RARE.fingerprint() != other.fingerprint()
    assert "inclusion" not in replace(RARE, inclusion=None).fingerprint()
    assert "inclusion=[0.1, 0.35, 0.65, 0.9]" in repr(RARE)
