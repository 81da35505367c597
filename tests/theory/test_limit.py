"""The limit of many tokens and a high dimension: one flow for each row of products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, ReducedWeight, descend, natural_step_size, risk
from gmmtf.descent import gradient
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.limit import limit_excess

SCHEDULE = NoiseSchedule.linear(1000)
ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
EVEN = MultiTokenGMM(n_patterns=4, dim=64, n_tokens=100, radius=8.0, sigma=0.3)
SHORT = NoiseSchedule.linear(50)


def weight_of(products: list[list[float]], law: MultiTokenGMM) -> ReducedWeight:
    given = torch.tensor(products, dtype=torch.float64) / law.require_equal_orthogonal("it") ** 2
    return replace(ReducedWeight.zero(law), pattern=given)


def by_loops(
    products: np.ndarray, pi: np.ndarray, sets: list[tuple[float, list[int]]], ratio: float,
    sigma: float, alpha_bar: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Excess at each time from the definition, pattern by pattern."""
    found = np.zeros(len(alpha_bar))
    for index, a in enumerate(alpha_bar):
        gain = (1 - a) / (a * sigma**2 + 1 - a) ** 2
        for chance, members in sets:
            total = sum(pi[v] for v in members)
            for u in members:
                masses = {v: pi[v] * np.exp(a * products[u, v]) for v in members}
                attention = {v: m / sum(masses.values()) for v, m in masses.items()}
                miss = (1 - attention[u]) ** 2
                miss += sum(attention[v] ** 2 for v in members if v != u)
                found[index] += chance * pi[u] / total * gain * a * ratio * miss
    return found


def products_of_any_kind(size: int) -> np.ndarray:
    return np.random.default_rng(0).normal(scale=3.0, size=(size, size))


@pytest.mark.parametrize("kind", ["unequal", "some active", "rare data points"])
def test_the_excess_is_the_sum_over_sets_and_rows(kind):
    import itertools

    from gmmtf.laws import sets as set_law

    law = {
        "unequal": replace(EVEN, weights=(0.1, 0.2, 0.3, 0.4)),
        "some active": replace(EVEN, n_active=2, weights=(0.1, 0.2, 0.3, 0.4)),
        "rare data points": replace(EVEN, n_active=3, inclusion=(0.3, 0.8, 0.95, 0.95)),
    }[kind]
    chosen = list(itertools.combinations(range(4), law.k))
    members = torch.tensor([[u in one for u in range(4)] for one in chosen])
    chances = set_law.log_probability(law.log_set_weights, members).exp().tolist()
    products = products_of_any_kind(4)
    excess, share = limit_excess(weight_of(products.tolist(), law), law, SHORT)
    expected = by_loops(
        products, law.probabilities.numpy(), list(zip(chances, map(list, chosen), strict=True)),
        64 / 64, 0.3, SHORT.alpha_bars.numpy(),
    )  # fmt: skip
    np.testing.assert_allclose((excess @ share).numpy(), expected, rtol=1e-10)
    assert float(share.sum()) == pytest.approx(1)
    if law.inclusion is not None:
        assert (3 * share).tolist() == pytest.approx(law.inclusion, rel=1e-9)


def test_one_active_pattern_leaves_nothing():
    law = replace(EVEN, n_active=1)
    weight = weight_of((2.0 * np.eye(4)).tolist(), law)
    assert risk(weight, law, SHORT, method="limit").excess_risk.value == 0
    slope = gradient(weight, law, SHORT, method="limit")
    assert not slope.pattern.any()


@pytest.mark.parametrize("n_active", [None, 2, 3])
def test_alike_patterns_follow_the_scalar_formula(n_active):
    """(r²/d) K/(K-1) E[c²ᾱw²] with w = (K-1)/(K-1+e^{ᾱΔ}), Δ the difference of the products."""
    law = replace(EVEN, n_active=n_active, radius=10.0)
    weight = weight_of((7.0 * np.eye(4) - 1.5).tolist(), law)
    k = law.k
    w = (k - 1) / (k - 1 + np.exp(ALPHA_BAR * 7.0))
    gain = (1 - ALPHA_BAR) / (ALPHA_BAR * 0.09 + 1 - ALPHA_BAR) ** 2
    expected = 100 / 64 * k / (k - 1) * (gain * ALPHA_BAR * w**2).mean()
    found = risk(weight, law, SCHEDULE, method="limit")
    assert found.excess_risk.value == pytest.approx(expected, rel=1e-12)
    assert found.excess_given_set == found.excess_risk
    score = 100 / 64 * k / (k - 1) * (gain * ALPHA_BAR * w**2 / (1 - ALPHA_BAR)).mean()
    assert found.score_error.value == pytest.approx(score, rel=1e-12)


def test_alike_patterns_are_a_case_of_the_general_sum():
    products = (6.0 * np.eye(4) + 1.0).tolist()
    law = replace(EVEN, n_active=2)
    nearly = replace(law, weights=(0.25, 0.25, 0.25, 0.25))
    one, other = (risk(weight_of(products, x), x, SHORT, method="limit") for x in (law, nearly))
    assert one.excess_risk.value == pytest.approx(other.excess_risk.value, rel=1e-12)
    slope, again = (gradient(weight_of(products, x), x, SHORT, method="limit") for x in
                    (law, nearly))  # fmt: skip
    torch.testing.assert_close(slope.pattern, again.pattern)
    assert float(slope.complement) == 0


@pytest.mark.parametrize(
    ("law", "tolerance"),
    [
        (MultiTokenGMM(n_patterns=4, dim=2**20, n_tokens=10**9, radius=2.0**10, sigma=0.3), 1e-3),
        (
            MultiTokenGMM(
                n_patterns=3, dim=2**20, n_tokens=10**9, radius=2.0**10, sigma=0.5,
                weights=(0.1, 0.3, 0.6),
            ),
            1e-3,
        ),
        (
            MultiTokenGMM(
                n_patterns=4, dim=2**20, n_tokens=10**9, radius=1.4 * 2.0**10, sigma=0.3,
                n_active=2, inclusion=(0.1, 0.4, 0.7, 0.8),
            ),
            1e-2,  # sets are drawn, so the nets are less precise
        ),
    ],
    ids=["even", "unequal", "rare data points"],
)  # fmt: skip
def test_a_descent_at_high_dimension_is_the_flow(law, tolerance):
    steps = {"steps": 12, "record_every": 4, "lr": 0.5 * natural_step_size(law)}
    flow = [r.excess for r in descend(law, SCHEDULE, method="limit", **steps)]
    finite = [r.excess for r in descend(law, SCHEDULE, n_points=2**13, **steps)]
    start = flow[0].value
    for one, other in zip(flow, finite, strict=True):
        assert one.value == pytest.approx(other.value, rel=tolerance, abs=1e-4 * start)
    assert flow[-1].value < 0.5 * start


def test_d_and_r_enter_through_their_ratio_alone():
    law = replace(EVEN, weights=(0.1, 0.2, 0.3, 0.4))
    other = replace(law, dim=1024, radius=32.0, n_tokens=7)
    for step in zip(
        descend(law, SHORT, 4, method="limit", record_every=1),
        descend(other, SHORT, 4, method="limit", record_every=1),
        strict=True,
    ):
        assert step[0].excess.value == pytest.approx(step[1].excess.value, rel=1e-12)


def test_what_the_limit_does_not_know_is_refused():
    weight = ReducedWeight.zero(EVEN)
    with pytest.raises(ValueError, match="head: method 'limit' knows the plain head only"):
        risk(weight, EVEN, SCHEDULE, method="limit", head=HeadScalars(tilt_correction=1.0))
    skew = MultiTokenGMM.from_patterns(torch.ones(2, 3) + torch.eye(2, 3), n_tokens=4, sigma=0.3)
    with pytest.raises(ValueError, match="patterns: the limit of high dimension needs orthogonal"):
        limit_excess(ReducedWeight.zero(skew), skew, SCHEDULE)
    many = MultiTokenGMM(
        n_patterns=20, dim=32, n_tokens=4, radius=3.0, sigma=0.3, n_active=6,
        inclusion=[0.2] * 10 + [0.4] * 10,
    )  # fmt: skip
    with pytest.raises(ValueError, match="38760 active sets at 1000 times"):
        limit_excess(ReducedWeight.zero(many), many, SCHEDULE)
    one_time, _ = limit_excess(ReducedWeight.zero(many), many, SCHEDULE, t=300)
    assert one_time.shape == (1, 20)


def test_the_default_schedule_spreads_its_noise_levels_as_the_theorem_asks():
    """P(x ≤ ᾱ ≤ 2x) ≥ p/√log(1/x) with p = 0.1 for all x from ᾱ_{T-1} to 1/4."""
    for x in np.geomspace(ALPHA_BAR[-1], 0.25, 4001):
        share = ((x <= ALPHA_BAR) & (2 * x >= ALPHA_BAR)).mean()
        assert share * np.sqrt(np.log(1 / x)) > 0.1


@pytest.mark.parametrize(("k", "sigma"), [(2, 0.3), (4, 0.3), (2, 1.2)])
def test_the_steps_to_an_excess_are_within_the_bound_of_the_theorem(k, sigma):
    size, relative = 4, 20.0
    law = MultiTokenGMM(n_patterns=size, dim=64, n_tokens=9, radius=8.0, sigma=sigma, n_active=k)
    records = list(
        descend(
            law, SCHEDULE, 40, method="limit", record_every=1, lr=relative * natural_step_size(law)
        )
    )
    excess = np.array([r.excess.value for r in records])
    assert (np.diff(excess) < 0).all()  # whatever the step size
    products = np.array([float(64 * (w := r.weight.pattern)[0, 0] - 64 * w[0, 1]) for r in records])
    scale = k * (k - 1) / np.e * (1 + 1 / (4 * sigma**2))
    assert (excess[1:] <= scale / products[1:]).all()
    first = int((products >= 4).argmax())
    w_0 = (k - 1) / (k - 1 + np.e**2)
    for target in excess[first + 1 :: 8]:
        d = scale / target
        steps = (
            (size - 1) * (k - 1) * max(1, sigma**4) / (relative * k * size * w_0**2 * 0.1) * d**3
        )
        bound = first + 1 + steps * np.sqrt(np.log(d))
        assert int((excess <= target).argmax()) <= bound


@pytest.mark.parametrize(
    ("name", "exponent", "room"), [("linear", -1 / 3, 0.04), ("cosine", -3 / 7, 0.01)]
)
def test_the_schedule_decides_how_the_excess_falls_with_the_steps(name, exponent, room):
    """Up to logarithms, which the cosine schedule has none of; the two intervals do not meet."""
    law = MultiTokenGMM(n_patterns=8, dim=64, n_tokens=9, radius=8.0, sigma=0.3)
    lr = 0.5 * natural_step_size(law)
    schedule = getattr(NoiseSchedule, name)(1000)
    found = [r.excess.value for r in descend(law, schedule, 1600, method="limit", lr=lr,
                                             record_at=[100, 400, 1600])]  # fmt: skip
    slopes = np.diff(np.log(found)) / np.log(4)
    assert slopes == pytest.approx(np.full(2, exponent), abs=room)
