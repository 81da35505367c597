"""Given attention, and what the theory says of it: closed forms and simulations."""

from __future__ import annotations

import pytest
import torch

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser, OracleDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.denoisers.replaced import (
    GivenAttention,
    map_numbers,
    same_pattern_attention,
    uniform_attention,
)
from gmmtf.laws.level import noise_level
from gmmtf.randomness import standard_normal
from gmmtf.risks import formulas
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf_book.c06_mean_denoising.predictions import (
    blind_excess,
    error_given_count,
    foreign_mismatch,
    predict_map,
    same_pattern_distance,
    uniform_crossing,
)

SCHEDULE = NoiseSchedule.linear(1000)
LAW = MultiTokenGMM(n_patterns=4, dim=12, n_tokens=16, radius=4.0, sigma=0.3)
UNEVEN = MultiTokenGMM(
    n_patterns=3, dim=10, n_tokens=12, radius=4.0, sigma=0.3, weights=[0.2, 0.3, 0.5]
)


def weight(mixture: MultiTokenGMM, strength: float, complement: float) -> ReducedWeight:
    size = mixture.n_patterns
    pattern = strength * (torch.eye(size, dtype=torch.float64) - 0.1)
    return ReducedWeight(pattern, torch.tensor(complement, dtype=torch.float64))


def draw(mixture: MultiTokenGMM, t: int, n: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    tokens = mixture.sample(n, generator, torch.float64)
    times = torch.full((n,), t)
    noise = standard_normal(tokens.x_0.shape, generator, torch.float64)
    return SCHEDULE.add_noise(tokens.x_0, times, noise), times, tokens.labels


def close(simulated: torch.Tensor, predicted: float | Estimate, deviations: float = 4) -> bool:
    found = Estimate.from_samples(simulated)
    error = found.standard_error + getattr(predicted, "standard_error", 0.0)
    return abs(found.value - float(predicted)) < deviations * error


def test_the_heads_own_map_gives_the_head_back():
    x_t, t, _ = draw(LAW, 300, 5)
    head = AttentionDenoiser(LAW, SCHEDULE, dtype=torch.float64)
    head.weight.data = weight(LAW, 0.4, 0.2).to_full(LAW)
    with torch.no_grad():
        expected = head(x_t, t)
        found = GivenAttention(LAW, SCHEDULE, head.attention(x_t, t))(x_t, t)
    torch.testing.assert_close(found, expected)


def test_uniform_attention_is_the_untrained_head():
    x_t, t, _ = draw(LAW, 300, 5)
    head = AttentionDenoiser(LAW, SCHEDULE, dtype=torch.float64)
    with torch.no_grad():
        expected = head(x_t, t)
    found = GivenAttention(LAW, SCHEDULE, uniform_attention(LAW.n_tokens))(x_t, t)
    torch.testing.assert_close(found, expected)


def test_same_pattern_attention_averages_the_own_pattern():
    labels = torch.tensor([[0, 1, 0, 2]])
    expected = torch.tensor([[0.5, 0, 0.5, 0], [0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 1]])
    torch.testing.assert_close(same_pattern_attention(labels)[0], expected.double())


def test_numbers_of_simple_maps():
    labels = torch.tensor([[0, 1, 0, 2]])
    same = map_numbers(same_pattern_attention(labels), labels)
    assert [float(x) for x in same] == pytest.approx([1, 0.75, 0.75, 0])
    uniform = map_numbers(uniform_attention(4), labels)
    # Averaged label (1/2, 1/4, 1/4): at squared distance 3/8 from e_0, 7/8 from e_1 and e_2.
    assert [float(x) for x in uniform] == pytest.approx([0.375, 0.25, 0.25, 0.625])


@pytest.mark.parametrize("mixture", [LAW, UNEVEN])
@pytest.mark.parametrize("t", [100, 700])
def test_blind_excess_covers_the_known_laws(mixture, t):
    share = 1 / mixture.n_tokens
    uniform = blind_excess(share, foreign_mismatch(share, share, mixture), mixture, SCHEDULE, t)
    assert uniform == pytest.approx(formulas.start_risk(mixture, SCHEDULE, t=t))
    rho = formulas.expected_distinct(mixture) / mixture.n_tokens
    same = blind_excess(rho, 0.0, mixture, SCHEDULE, t)
    assert same == pytest.approx(formulas.mean_denoising_excess(mixture, SCHEDULE, t=t))


def test_a_foreign_map_costs_what_the_law_says():
    # Any fixed map, here a random one with a heavy diagonal.
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(1, 12, 12, generator=generator, dtype=torch.float64)
    attention = torch.softmax(logits + 2 * torch.eye(12, dtype=torch.float64), -1)
    x_t, t, labels = draw(UNEVEN, 400, 20_000)
    oracle = OracleDenoiser(UNEVEN, SCHEDULE)(x_t, t, labels)
    found = (GivenAttention(UNEVEN, SCHEDULE, attention)(x_t, t) - oracle).square().mean((1, 2))
    rho = float(attention.square().sum(2).mean())
    own = float(attention[0].diagonal().mean())
    mismatch = foreign_mismatch(rho, own, UNEVEN)
    assert close(found, blind_excess(rho, mismatch, UNEVEN, SCHEDULE, 400))
    assert close(map_numbers(attention.expand(20_000, -1, -1), labels).mismatch, mismatch)


@pytest.mark.parametrize("t", [300, 600])
def test_distance_of_same_pattern_attention_from_bayes(t):
    x_t, times, labels = draw(LAW, t, 20_000)
    estimate = GivenAttention(LAW, SCHEDULE, same_pattern_attention(labels))(x_t, times)
    bayes = BayesDenoiser(LAW, SCHEDULE)(x_t, times)
    distance = (estimate - bayes).square().mean((1, 2))
    predicted = same_pattern_distance(LAW, SCHEDULE, t)
    assert close(distance, predicted)
    gap = float(bayes_risk(LAW, SCHEDULE, t=t)) - oracle_risk(LAW, SCHEDULE, t=t)
    # The cross term matters: without it the law would be rejected.
    wrong = formulas.mean_denoising_excess(LAW, SCHEDULE, t=t) + gap
    assert not close(distance, wrong)


@pytest.mark.parametrize("mixture", [LAW, UNEVEN])
def test_uniform_and_same_pattern_attention_cross_where_the_law_says(mixture):
    alpha_bar = uniform_crossing(mixture)
    t = int((SCHEDULE.alpha_bars > alpha_bar).sum()) - 1  # the last time above the crossing

    def difference(time: int) -> float:
        uniform = formulas.start_risk(mixture, SCHEDULE, t=time)
        return uniform - formulas.mean_denoising_excess(mixture, SCHEDULE, t=time)

    assert difference(t) > 0 > difference(t + 1)


@pytest.mark.parametrize("mixture", [LAW, UNEVEN])
@pytest.mark.parametrize("t", [150, 500])
def test_predicted_numbers_of_the_map_agree_with_simulation(mixture, t):
    chosen = weight(mixture, 0.4, 0.15)
    head = AttentionDenoiser(mixture, SCHEDULE, dtype=torch.float64)
    head.weight.data = chosen.to_full(mixture)
    x_t, times, labels = draw(mixture, t, 6000)
    with torch.no_grad():
        found = map_numbers(head.attention(x_t, times), labels)
    predicted = predict_map(chosen, mixture, SCHEDULE, t, n_points=256)
    for name, values in found._asdict().items():
        assert close(values, predicted[name]), name


def test_predicted_numbers_without_weight_are_exact():
    predicted = predict_map(ReducedWeight.zero(UNEVEN), UNEVEN, SCHEDULE, 300, n_points=64)
    n, squares = UNEVEN.n_tokens, float(UNEVEN.probabilities.square().sum())
    assert predicted["own"].value == pytest.approx(1 / n, rel=1e-6)
    assert predicted["concentration"].value == pytest.approx(1 / n, rel=1e-6)
    # On the net of queries the labels occur with their probabilities only approximately.
    assert predicted["same"].value == pytest.approx(1 / n + (1 - 1 / n) * squares, rel=0.02)
    assert predicted["limit"].value == pytest.approx(predicted["same"].value, rel=1e-6)
    mismatch = foreign_mismatch(1 / n, 1 / n, UNEVEN)
    assert predicted["mismatch"].value == pytest.approx(mismatch, rel=0.02)


@pytest.mark.parametrize("count", [2, 6, 11])
def test_error_given_count_without_weight_is_exact(count):
    t, n = 300, UNEVEN.n_tokens
    found = error_given_count(ReducedWeight.zero(UNEVEN), UNEVEN, SCHEDULE, t, count, n_points=512)
    level = noise_level(UNEVEN, SCHEDULE, torch.tensor(t))
    pi = UNEVEN.probabilities
    others, mismatch = n - count, 0.0
    for u in range(3):
        rest = pi.clone()
        rest[u] = 0
        rest = rest / rest.sum()
        square = 2 * others + others * (others - 1) * (1 + float(rest.square().sum()))
        mismatch += float(pi[u]) * square / n**2
    bias = float(level.signal**2) * 16 * mismatch / UNEVEN.dim
    assert found.value == pytest.approx(bias + float(level.variance) / n, rel=0.01)


@pytest.mark.parametrize(("t", "count"), [(150, 2), (150, 8), (500, 3), (500, 10)])
def test_error_given_count_agrees_with_simulation(t, count):
    chosen = weight(UNEVEN, 0.4, 0.15)
    generator = torch.Generator().manual_seed(1)
    size = 6000
    pi = UNEVEN.probabilities
    own = torch.multinomial(pi, size, replacement=True, generator=generator)
    rest = pi.expand(size, -1).scatter(1, own[:, None], 0.0)
    others = torch.multinomial(rest, UNEVEN.n_tokens - count, replacement=True, generator=generator)
    labels = torch.cat([own[:, None].expand(-1, count), others], 1)
    shape = (size, UNEVEN.n_tokens, UNEVEN.dim)
    clean = UNEVEN.means[labels] + 0.3 * standard_normal(shape, generator, torch.float64)
    times = torch.full((size,), t)
    x_t = SCHEDULE.add_noise(clean, times, standard_normal(shape, generator, torch.float64))
    head = AttentionDenoiser(UNEVEN, SCHEDULE, dtype=torch.float64)
    head.weight.data = chosen.to_full(UNEVEN)
    with torch.no_grad():
        average = (head.attention(x_t, times) @ x_t)[:, 0]
    signal = noise_level(UNEVEN, SCHEDULE, torch.tensor(t)).signal
    found = (average - signal * UNEVEN.means[own]).square().mean(1)
    predicted = error_given_count(chosen, UNEVEN, SCHEDULE, t, count, n_points=512)
    assert close(found, predicted)


def test_bad_input_is_refused():
    x_t, t, labels = draw(LAW, 300, 3)
    few = MultiTokenGMM(n_patterns=4, dim=12, n_tokens=16, radius=4.0, sigma=0.3, n_active=2)
    zero = ReducedWeight.zero(LAW)
    with pytest.raises(ValueError, match="attention: expected shape"):
        GivenAttention(LAW, SCHEDULE, torch.ones(16, 16))
    with pytest.raises(ValueError, match="sum to one"):
        GivenAttention(LAW, SCHEDULE, torch.ones(1, 16, 16))
    with pytest.raises(ValueError, match=r"x_t: expected \(1, 8\)"):
        GivenAttention(LAW, SCHEDULE, uniform_attention(8))(x_t, t)
    with pytest.raises(ValueError, match="n_tokens"):
        uniform_attention(0)
    with pytest.raises(ValueError, match="labels: expected integers"):
        same_pattern_attention(labels.double())
    with pytest.raises(ValueError, match="labels: expected shape"):
        map_numbers(uniform_attention(16), labels)
    with pytest.raises(ValueError, match="n_active"):
        foreign_mismatch(0.1, 0.1, few)
    with pytest.raises(ValueError, match="n_active"):
        uniform_crossing(few)
    with pytest.raises(ValueError, match="weights: expected uniform"):
        same_pattern_distance(UNEVEN, SCHEDULE, 300)
    with pytest.raises(ValueError, match="count: expected 2 to 15, got 16"):
        error_given_count(zero, LAW, SCHEDULE, 300, 16)
    with pytest.raises(ValueError, match="n_active"):
        error_given_count(zero, few, SCHEDULE, 300, 4)
    with pytest.raises(ValueError, match="n_replicates"):
        predict_map(zero, LAW, SCHEDULE, 300, n_replicates=1)
