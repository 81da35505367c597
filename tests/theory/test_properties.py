"""Whatever the input, the theory's rooms return finite numbers or raise ``ValueError``."""

from __future__ import annotations

import json
import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.risks import formulas
from gmmtf.risks.first_step import exact_descent_direction
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk

SCHEDULE = NoiseSchedule.linear(50)
WILD = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1e-9, 1.0, 1e9])
COUNTS = st.integers(-1, 6)


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, object]:
    n_patterns = draw(COUNTS)
    return {
        "n_patterns": n_patterns,
        "dim": draw(COUNTS | st.sampled_from([50, 10**9])),
        "n_tokens": draw(COUNTS | st.sampled_from([50, 10**9])),
        "radius": draw(WILD),
        "sigma": draw(WILD),
        "n_active": draw(st.none() | COUNTS),
        "weights": draw(st.none() | st.lists(WILD, min_size=0, max_size=6)),
    }


@st.composite
def good_arguments(draw: st.DrawFn) -> dict[str, object]:
    n_patterns = draw(st.integers(1, 5))
    parts = draw(st.lists(st.floats(0.01, 1), min_size=n_patterns, max_size=n_patterns))
    return {
        "n_patterns": n_patterns,
        "dim": n_patterns + draw(st.sampled_from([0, 1, 2, 60, 10**9])),
        "n_tokens": draw(st.sampled_from([2, 3, 40, 10**9])),
        "radius": draw(st.floats(1e-6, 1e6)),
        "sigma": draw(st.floats(1e-6, 1e6)),
        "n_active": draw(st.integers(1, n_patterns)),
        "weights": [part / sum(parts) for part in parts],
    }


def finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


@given(arguments())
def test_mixtures_are_made_or_refused(arguments):
    try:
        mixture = MultiTokenGMM(**arguments)
    except ValueError:
        return
    assert finite(oracle_risk(mixture, SCHEDULE), float(mixture.probabilities.sum()))


@given(good_arguments(), st.integers(-3, 60) | st.none())
def test_bayes_risks_are_finite(arguments, t):
    mixture = MultiTokenGMM(**{**arguments, "n_tokens": min(arguments["n_tokens"], 4)})
    if t is not None and not 0 <= t < SCHEDULE.n_steps:
        with pytest.raises(ValueError, match=r"^t:"):
            bayes_risk(mixture, SCHEDULE, t=t, n_points=32)
        return
    found = bayes_risk(mixture, SCHEDULE, t=t, n_points=32)
    assert finite(found.value, found.standard_error)
    assert found.value >= oracle_risk(mixture, SCHEDULE, t=t) - 1e-12


@given(
    good_arguments(),
    st.floats(-1e3, 1e3),
    st.floats(-1e3, 1e3),
    st.sampled_from(["expansion", "integral"]),
    st.floats(-2, 2),
)
def test_effective_risks_are_finite_or_say_that_they_do_not_hold(
    arguments, product, kappa, method, value
):
    mixture = MultiTokenGMM(**arguments)
    size = mixture.n_patterns
    weight = ReducedWeight(
        product / mixture.radius**2 * torch.eye(size, dtype=torch.float64),
        torch.tensor(kappa, dtype=torch.float64),
    )
    head = HeadScalars(value_span=value, value_complement=value / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ValidityWarning)
        found = risk(
            weight, mixture, SCHEDULE, head=head, method=method, n_points=4, n_replicates=2
        )
    if found.holds:
        assert finite(found.loss.value, found.excess.value, found.score.value)
    assert not math.isnan(found.excess.value)


@given(good_arguments())
def test_first_steps_and_laws_are_finite(arguments):
    mixture = MultiTokenGMM(**arguments)
    step = exact_descent_direction(mixture, SCHEDULE)
    assert finite(float(step.pattern.norm()), float(step.complement))
    if mixture.k == mixture.n_patterns:
        assert finite(formulas.start_risk(mixture, SCHEDULE), formulas.expected_distinct(mixture))
        assert finite(formulas.tilt_floor(step, mixture, SCHEDULE))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("method", {"method": "guess"}),
        ("n_replicates", {"n_replicates": 1}),
        ("n_points", {"n_points": 0}),
        ("t", {"t": 50}),
    ],
)
def test_bad_arguments_are_named(name, bad):
    mixture = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=5, radius=2.0, sigma=0.5)
    with pytest.raises(ValueError, match=f"^{name}:"):
        risk(ReducedWeight.zero(mixture), mixture, SCHEDULE, **bad)


def test_other_geometries_are_refused_by_name():
    slanted = MultiTokenGMM.from_patterns(
        torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), n_tokens=4, sigma=0.3
    )
    with pytest.raises(ValueError, match=r"^patterns:"):
        risk(ReducedWeight.zero(slanted), slanted, SCHEDULE)
    with pytest.raises(ValueError, match=r"^patterns:"):
        exact_descent_direction(slanted, SCHEDULE)


def test_weights_of_another_size_or_not_finite_are_refused():
    mixture = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=5, radius=2.0, sigma=0.5)
    three = ReducedWeight(torch.eye(3), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"^pattern:"):
        risk(three, mixture, SCHEDULE)
    with pytest.raises(ValueError, match="finite"):
        ReducedWeight(torch.full((2, 2), math.nan), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"^value_span:"):
        HeadScalars(value_span=math.inf)


def test_the_expansion_warns_where_it_does_not_hold():
    mixture = MultiTokenGMM(n_patterns=4, dim=32, n_tokens=64, radius=3.0, sigma=0.3)
    weight = ReducedWeight(20 / 9 * torch.eye(4, dtype=torch.float64), torch.tensor(0.0))
    with pytest.warns(ValidityWarning, match="does not hold"):
        found = risk(weight, mixture, NoiseSchedule.linear(1000), t=400)
    assert not found.holds


def test_a_weight_survives_json_exactly():
    generator = torch.Generator().manual_seed(0)
    pattern = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    weight = ReducedWeight(pattern, pattern.sum())
    again = ReducedWeight.from_json(json.loads(json.dumps(weight.as_json() | {"step": 3})))
    assert torch.equal(again.pattern, weight.pattern)
    assert torch.equal(again.complement, weight.complement)
    with pytest.raises(ValueError, match="stored: expected 'pattern' and 'complement'"):
        ReducedWeight.from_json({"pattern": [[1.0]]})
