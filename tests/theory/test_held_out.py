"""Data points of the reduced simulation: held out for comparisons, and fresh with two targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule, ReducedWeight, bayes_risk, risk
from gmmtf.risks import reduced_tokens, simulation
from gmmtf.risks.optimum import oracle_risk
from gmmtf.risks.reduced_tokens import draw_in_chunks, draw_tokens
from gmmtf.risks.simulation import (
    HeldOutData,
    bayes_probabilities,
    excess_on_fresh_data,
    squared_error,
)
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(1000)
WHOLE = MultiTokenGMM(n_patterns=3, dim=9, n_tokens=10, radius=4.0, sigma=0.4)
FEW = replace(WHOLE, n_patterns=4, n_active=2)
RARE = replace(FEW, inclusion=(0.2, 0.4, 0.6, 0.8))
LAWS = [WHOLE, FEW, RARE]
NO_BAYES = Estimate(0.0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weight_of(law: MultiTokenGMM, seed: int = 0) -> ReducedWeight:
    size = law.n_patterns
    pattern = torch.eye(size) / 4 + torch.randn(size, size, generator=seeded(seed)) / 16
    return ReducedWeight(pattern.double(), torch.tensor(0.2, dtype=torch.float64))


@pytest.fixture
def small_chunks(monkeypatch):
    """Three data points of ten tokens at a time."""
    monkeypatch.setattr(reduced_tokens, "_CHUNK_ELEMENTS", 3 * 10**2)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("t", [None, 300, [100, 700]])
@pytest.mark.parametrize("law", LAWS)
def test_held_out_data_give_the_numbers_of_a_simulated_risk(law, t):
    """For each weight those of a risk whose generator is in the state of the beginning."""
    source = seeded(5)
    torch.rand(7, generator=source)
    begin = source.get_state()
    bayes = Estimate(0.3, 0.01)
    data = HeldOutData(law, SCHEDULE, t=t, n_samples=8, generator=source, bayes=bayes)
    for seed in (1, 2, 1):
        weight = weight_of(law, seed)
        found = data.risk(weight)
        left = source.get_state()
        other = torch.Generator()
        other.set_state(begin)
        assert found == risk(
            weight, law, SCHEDULE, t=t, method="simulation", n_samples=8, generator=other,
            bayes=bayes,
        )  # fmt: skip
        assert torch.equal(left, other.get_state())  # as after one draw
        torch.rand(3, generator=source)  # what is drawn meanwhile changes nothing
    assert data.risk(weight_of(law, 1)).excess != data.risk(weight_of(law, 2)).excess


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("law", LAWS)
def test_each_data_point_is_compared_with_its_own_bayes_estimate(law):
    """Chunk by chunk: what is kept of the first weight serves the second."""
    data = HeldOutData(law, SCHEDULE, n_samples=8, generator=seeded(2), bayes=NO_BAYES)
    for seed in (1, 2):
        weight, source = weight_of(law, seed), seeded(2)
        times = stratified_times(SCHEDULE, 8, source)
        excess, score = [], []
        for tokens in draw_in_chunks(law, SCHEDULE, times, source):
            errors = squared_error(weight, law, tokens)
            excess.append(tokens.level.gain.flatten() ** 2 * errors)
            score.append(errors / tokens.level.variance.flatten() ** 2)
        found = data.risk(weight)
        assert found.excess.value == pytest.approx(float(torch.cat(excess).mean()), rel=1e-12)
        assert found.score.value == pytest.approx(float(torch.cat(score).mean()), rel=1e-12)


def test_other_states_are_other_data():
    source = seeded(0)
    one, other = (HeldOutData(FEW, SCHEDULE, n_samples=8, generator=source, bayes=NO_BAYES)
                  for _ in range(2))  # fmt: skip
    assert one.risk(weight_of(FEW)).excess != other.risk(weight_of(FEW)).excess


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("law", "calls"), [(FEW, 3), (RARE, 3), (WHOLE, 9)])
def test_posteriors_over_active_sets_are_computed_once(law, calls, monkeypatch):
    asked = []

    def noted(mixture: MultiTokenGMM, tokens: Any) -> Tensor:
        asked.append(len(tokens.span))
        return bayes_probabilities(mixture, tokens)

    monkeypatch.setattr(simulation, "bayes_probabilities", noted)
    data = HeldOutData(law, SCHEDULE, n_samples=8, generator=seeded(0), bayes=NO_BAYES)
    for seed in range(3):
        data.risk(weight_of(law, seed))
    assert asked == [3, 3, 2] * (calls // 3)


def test_the_bayes_risk_of_held_out_data_is_computed_if_not_given():
    data = HeldOutData(FEW, SCHEDULE, t=300, n_samples=4, generator=seeded(0))
    found = data.risk(weight_of(FEW))
    expected = bayes_risk(FEW, SCHEDULE, t=300)
    assert found.loss.value == pytest.approx(found.excess.value + expected.value)


def test_held_out_data_need_two_data_points_and_equal_orthogonal_patterns():
    with pytest.raises(ValueError, match="n_samples: expected an integer of at least 2"):
        HeldOutData(FEW, SCHEDULE, n_samples=1)
    bent = MultiTokenGMM.from_patterns(torch.tensor([[1.0, 0], [1, 1]]), n_tokens=4, sigma=0.3)
    with pytest.raises(ValueError, match="patterns: the reduced simulation needs orthogonal"):
        HeldOutData(bent, SCHEDULE)
    data = HeldOutData(FEW, SCHEDULE, n_samples=2, bayes=NO_BAYES, generator=seeded(0))
    with pytest.raises(ValueError, match=r"pattern: expected shape \(4, 4\), got \(3, 3\)"):
        data.risk(weight_of(WHOLE))


@pytest.mark.parametrize("law", LAWS)
def test_labels_of_reduced_tokens_are_those_of_their_signal(law):
    times = torch.full((2000,), 300)
    tokens = draw_tokens(law, SCHEDULE, times, seeded(0))
    assert tokens.labels.shape == (2000, 10)
    assert not tokens.labels.is_floating_point()
    own = torch.nn.functional.one_hot(tokens.labels, law.n_patterns)
    noise = tokens.span - tokens.level.signal * 4.0 * own
    spread = float(tokens.level.variance[0].sqrt())
    assert float(noise.mean((0, 1)).abs().max()) < 5 * spread / 20_000**0.5
    assert float(noise.std()) == pytest.approx(spread, rel=0.01)
    distinct = own.sum(1).gt(0).sum(1)
    assert int(distinct.max()) == law.k


@pytest.mark.parametrize("law", LAWS)
def test_probabilities_are_those_of_the_labels(law):
    """Calibrated: their mean over data points is that of the labels, pattern by pattern."""
    tokens = draw_tokens(law, SCHEDULE, torch.full((3000,), 500), seeded(1))
    found = bayes_probabilities(law, tokens)
    own = torch.nn.functional.one_hot(tokens.labels, law.n_patterns)
    gap = ((own - found) * found).mean(1)  # weighted: a mere mean would be that of the prior
    assert float((gap.mean(0).abs() / (gap.std(0) / 3000**0.5)).max()) < 4
    assert float((found.max(-1).values).mean()) > 0.5


def steps_on(law: MultiTokenGMM, target: str, batches: int) -> Tensor:
    """Excess and its slopes on the same batches for each target, a row a batch."""
    weight, source, rows = weight_of(law), seeded(3), []
    for _ in range(batches):
        times = stratified_times(SCHEDULE, 100, source)
        at = [x.clone().requires_grad_() for x in (weight.pattern, weight.complement)]
        value = excess_on_fresh_data(
            ReducedWeight(*at), law, SCHEDULE, times, source, target=target
        )
        slopes = torch.autograd.grad(value, at)
        rows.append(torch.cat([value.detach().view(1), *(slope.flatten() for slope in slopes)]))
    return torch.stack(rows)


@pytest.mark.parametrize("law", LAWS)
def test_both_targets_have_one_expected_gradient_and_values_that_differ_by_the_optimum(law):
    """Over the oracle any weight's excess is larger by what Bayes has over it."""
    bayes, oracle = (steps_on(law, target, 60) for target in ("bayes", "oracle"))
    expected = torch.zeros(bayes.shape[1], dtype=torch.float64)
    expected[0] = float(bayes_risk(law, SCHEDULE)) - oracle_risk(law, SCHEDULE)
    gap = oracle - bayes
    error = gap.std(0) / 60**0.5
    assert float(((gap.mean(0) - expected).abs() / error).max()) < 4
    assert float(expected[0]) > 20 * float(error[0])
    slopes = bayes.mean(0)[1:]
    assert float(slopes.abs().max()) > 10 * float(error[1:].max())  # the test can tell


def test_a_target_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"target: expected one of \('bayes', 'oracle'\), got 'x'"):
        excess_on_fresh_data(
            weight_of(FEW), FEW, SCHEDULE, torch.tensor([3]), seeded(0), target="x"
        )


def test_the_oracle_needs_no_posterior(monkeypatch):
    def fail(*arguments: Any) -> Tensor:
        raise AssertionError("computed")

    monkeypatch.setattr(simulation, "bayes_probabilities", fail)
    options = {"t": torch.tensor([3, 500]), "generator": seeded(0)}
    excess_on_fresh_data(weight_of(FEW), FEW, SCHEDULE, **options, target="oracle")
    with pytest.raises(AssertionError, match="computed"):
        excess_on_fresh_data(weight_of(FEW), FEW, SCHEDULE, **options)
