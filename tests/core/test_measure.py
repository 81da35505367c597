"""One call that measures: the same numbers as each part alone, on the same data for all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmtf import (
    AttentionDenoiser,
    FullMixture,
    LinearDenoiser,
    MultiTokenGMM,
    NoiseSchedule,
    TokenLaw,
    bayes_risk,
    evaluate,
    linear_risk,
    measure,
    optimal_denoiser,
    oracle_risk,
)
from gmmtf.parametrisation import PREDICTIONS, from_noise
from gmmtf.weighting import WEIGHTINGS, loss_weights

SCHEDULE = NoiseSchedule.linear(60, 1e-3, 0.15)
SIZES = {"n_patterns": 3, "dim": 4, "n_tokens": 5, "radius": 2.0, "sigma": 0.4}
MIXTURE = MultiTokenGMM(**SIZES)
SKEW = torch.tensor([[2.0, 0, 0, 0], [1.0, 1.5, 0, 0], [0, 0.5, 1.0, 1.0]])
FULL = FullMixture(
    torch.tensor([0.3, 0.7]), SKEW[:2], torch.stack([torch.eye(4), torch.diag(SKEW[2] + 0.1)]),
    torch.tensor([4, 1]), 5,
)  # fmt: skip
SHARED = FullMixture(
    torch.tensor([0.2, 0.3, 0.5]), SKEW, FULL.covariances[[0, 1, 1]], torch.tensor([3, 0, 3]), 5
)
POOL = TokenLaw(SKEW.double(), torch.tensor([0, 1, 1]), [0.4, 0.6], 5)


class Own:
    """A law that is none of the library's, with an optimum that may be wrong."""

    dim, n_tokens = 4, 5

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def sample(self, batch_size, generator=None, dtype=torch.float32):
        return MIXTURE.sample(batch_size, generator, dtype)

    def denoiser(self, schedule):
        best = optimal_denoiser(MIXTURE, schedule)
        return lambda x_t, t: self.factor * best(x_t, t)


LAWS = {
    "all patterns": MIXTURE,
    "some patterns": MultiTokenGMM(**SIZES, n_active=2),
    "unequal": MultiTokenGMM(**SIZES, weights=[0.2, 0.3, 0.5], n_active=2),
    "rare": MultiTokenGMM(**SIZES, n_active=2, inclusion=[0.4, 0.7, 0.9]),
    "not orthogonal": MultiTokenGMM.from_patterns(SKEW, n_tokens=5, sigma=0.4),
    "full": FULL,
    "shared classes": SHARED,
    "pool": POOL,
    "own": Own(),
}


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def oracle_risk_given_labels(law, t):
    """Risk of knowing the labels: the mean over classes of the Bayes risk of each alone."""
    if law is POOL:
        parts = [law.tokens[law.labels == u] for u in (0, 1)]
        alone = [TokenLaw(x, torch.zeros(len(x)).long(), [1.0], 5) for x in parts]
        weights = law.probabilities
    elif law is SHARED:
        pairs, weights = ([1], [0, 2]), (0.3, 0.7)
        alone = [
            FullMixture(law.weights[k] / law.weights[k].sum(), law.means[k], law.covariances[k],
                        law.classes[k], 5)
            for k in pairs
        ]  # fmt: skip
    else:
        return oracle_risk(law, SCHEDULE, t=t)
    each = [bayes_risk(part, SCHEDULE, t=t, n_points=2000) for part in alone]
    return each[0] * weights[0] + each[1] * weights[1]


def shrink(x_t, t):
    return 0.6 * x_t


def near(first, second, errors=4.0):
    """Whether two estimates, or an estimate and a number, agree."""
    spread = math.hypot(first.standard_error, getattr(second, "standard_error", 0.0))
    return abs(first.value - float(second)) <= errors * spread + 1e-12


@pytest.mark.parametrize("t", [None, 7])
def test_numbers_are_those_of_evaluate_on_the_same_draws(t):
    head = AttentionDenoiser(MIXTURE, SCHEDULE, torch.float64)
    options = {"t": t, "n_samples": 50, "batch_size": 16, "dtype": torch.float64}
    found = measure({"head": head}, MIXTURE, SCHEDULE, generator=source(), **options)
    expected = evaluate(head, MIXTURE, SCHEDULE, generator=source(), **options)
    for mine in (found.evaluation("head"), found.evaluation("head", t=t)):
        for number in ("loss", "excess_risk", "score_error"):
            one, other = getattr(mine, number), getattr(expected, number)
            assert one.value == pytest.approx(other.value, rel=1e-12)
            assert one.standard_error == pytest.approx(other.standard_error, rel=1e-9)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_references_have_the_exact_risks_of_the_law(law):
    found = measure({"mine": shrink}, law, SCHEDULE, t=[5, 30], n_samples=1500, generator=source())
    assert found.names[0] == "mine"
    bayes = found.evaluation("bayes")
    assert bayes.excess_risk.value == bayes.score_error.value == 0
    assert near(bayes.loss, bayes_risk(law, SCHEDULE, t=[5, 30]))
    assert near(found.evaluation("zero").loss, 1.0)
    has = set(found.names) - {"mine", "bayes", "zero"}
    assert set(found.left_out) == {"oracle", "linear"} - has
    if "linear" in has:
        assert near(found.evaluation("linear").loss, linear_risk(law, SCHEDULE, t=[5, 30]))
    if "oracle" in has:
        exact = oracle_risk_given_labels(law, [5, 30])
        assert near(found.evaluation("oracle").loss, exact)
        below = found.evaluation("oracle").excess_risk
        assert below.value < 0
        assert near(below, bayes_risk(law, SCHEDULE, t=[5, 30]) * -1 + exact)


def test_a_class_of_several_components_tells_less_than_the_component():
    found = measure({}, SHARED, SCHEDULE, t=30, n_samples=400, generator=source())
    component, oracle = oracle_risk(SHARED, SCHEDULE, t=30), found.evaluation("oracle").loss
    bayes = bayes_risk(SHARED, SCHEDULE, t=30, n_points=2000)
    assert component + 5 * oracle.standard_error < oracle.value
    assert oracle.value + 5 * (oracle - bayes).standard_error < bayes.value


def test_what_a_law_lacks_is_said():
    lacking = {name: set(measure({}, law, SCHEDULE, t=3, n_samples=2).left_out)
               for name, law in LAWS.items()}  # fmt: skip
    assert lacking == {name: set() for name in LAWS} | {"own": {"oracle", "linear"}}
    text = repr(measure({}, LAWS["own"], SCHEDULE, t=3, n_samples=2))
    assert "left out: oracle, since a Own has no components" in text
    assert "left out: linear, since law: the covariance" in text


def test_differences_are_paired():
    def close(x_t, t):
        return 0.61 * x_t

    found = measure({"a": shrink, "b": close}, MIXTURE, SCHEDULE, n_samples=64, generator=source())
    for t in (None, *found.times):
        difference = found.difference("a", "b", t=t)
        one, other = found.evaluation("a", t=t), found.evaluation("b", t=t)
        for number in ("loss", "excess_risk", "score_error"):
            paired = getattr(difference, number)
            unpaired = getattr(one, number) - getattr(other, number)
            assert paired.value == pytest.approx(unpaired.value, rel=1e-6, abs=1e-9)
            assert paired.standard_error < 0.2 * unpaired.standard_error
    level = found.levels[0]
    expected = torch.std(level.excess[0] - level.excess[1]) / 8
    assert found.difference("a", "b", t=0).excess_risk.standard_error == pytest.approx(
        float(expected)
    )


def test_averages_over_chosen_times_and_over_the_schedule():
    weights = {kind: loss_weights(SCHEDULE, kind) for kind in WEIGHTINGS}
    few = measure({"a": shrink}, MIXTURE, SCHEDULE, t=[40, 2, 40], n_samples=20, generator=source())
    assert few.times == (2, 40)
    for kind, w in weights.items():
        each = [few.evaluation("a", t=t).excess_risk for t in few.times]
        share = (w[[2, 40]] / w[[2, 40]].sum()).tolist()
        average = few.evaluation("a", weighting=kind).excess_risk
        assert average.value == pytest.approx(
            sum(s * e.value for s, e in zip(share, each, strict=True))
        )
        error = math.hypot(*(s * e.standard_error for s, e in zip(share, each, strict=True)))
        assert average.standard_error == pytest.approx(error)
    whole = measure({}, MIXTURE, SCHEDULE, n_samples=3000, generator=source())
    for kind, w in [*weights.items(), ("own", torch.arange(60))]:
        exact = sum(float(w[t]) * linear_risk(MIXTURE, SCHEDULE, t=t) for t in range(60))
        found = whole.evaluation("linear", weighting=w if kind == "own" else kind).loss
        assert near(found, exact / float(w.sum()))


def test_weightings_are_those_of_their_papers():
    beta, alpha_bar = SCHEDULE.betas[30], SCHEDULE.alpha_bars[30]
    first_beta = SCHEDULE.betas[0]
    elbo = loss_weights(SCHEDULE, "elbo")
    assert elbo.mean() == pytest.approx(1)
    ratio = (beta / (1 - beta) / (1 - alpha_bar)) / (1 / (1 - first_beta))
    assert float(elbo[30] / elbo[0]) == pytest.approx(float(ratio))
    snr = loss_weights(SCHEDULE, "min-snr")
    assert float(snr[0] / snr[-1]) == pytest.approx(5 * float(first_beta / (1 - first_beta)))
    assert loss_weights(SCHEDULE, "uniform").tolist() == [1.0] * 60


@given(st.sampled_from(PREDICTIONS), st.sampled_from(sorted(LAWS)), st.integers(0, 59))
@settings(max_examples=40)
def test_every_parametrisation_of_one_denoiser_gives_the_same_numbers(prediction, law, t):
    law = LAWS[law]
    noise = 0.9

    def network(x, at):
        if prediction == "edm":
            alpha_bar = (1 / (1 + at**2))[:, None, None]
            assert torch.allclose(alpha_bar[:, 0, 0], SCHEDULE.alpha_bars[t])
            x = alpha_bar.sqrt() * x
            at = torch.full_like(at, t).long()
        return from_noise(noise * x, SCHEDULE, x, at, prediction=prediction)

    def plain(x, at):
        return noise * x

    found = measure(
        {"a": network, "b": plain}, law, SCHEDULE,
        t=t, n_samples=4, prediction={"a": prediction}, generator=source(t), dtype=torch.float64,
    )  # fmt: skip
    one, other = found.evaluation("a"), found.evaluation("b")
    assert one.excess_risk.value == pytest.approx(other.excess_risk.value, rel=1e-8)
    assert one.loss.value == pytest.approx(other.loss.value, rel=1e-8)


@given(st.sampled_from(sorted(LAWS)), st.floats(-1, 1.5), st.integers(0, 99))
@settings(max_examples=20)
def test_no_entry_is_below_bayes(law, factor, seed):
    found = measure(
        {"mine": lambda x, t: factor * x}, LAWS[law], SCHEDULE,
        t=[0, 20, 59], n_samples=6, generator=source(seed),
    )  # fmt: skip
    assert all(found.evaluation("mine", t=t).excess_risk.value >= 0 for t in found.times)


def test_a_law_whose_optimum_is_beaten_is_named():
    own = Own(0.5)
    with pytest.warns(UserWarning, match=r"^law: entries\['linear one'\] has a smaller loss"):
        measure({"linear one": LinearDenoiser(MIXTURE, SCHEDULE)}, own, SCHEDULE, n_samples=60)
