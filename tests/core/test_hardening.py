"""Whole kinds of input: numpy scalars, arrays that change later, types, devices, schedules."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch

from gmmtf import (
    AttentionDenoiser,
    MultiTokenGMM,
    NoiseSchedule,
    ReducedWeight,
    bayes_risk,
    best_weight,
    descend,
    evaluate,
    optimal_denoiser,
    oracle_risk,
    risk,
    tokens_needed,
)
from gmmtf.denoisers.deeper import ManyHeads, TwoLayers, in_family
from gmmtf.denoisers.empirical import EmpiricalDenoiser
from gmmtf.denoisers.optimal import OracleDenoiser
from gmmtf.denoisers.replaced import GivenAttention, uniform_attention
from gmmtf.fidelity import measure
from gmmtf.laws.full import FullMixture
from gmmtf.laws.noisy import draw_noisy
from gmmtf.laws.pool import TokenLaw
from gmmtf.laws.posterior import posterior
from gmmtf.optimizer import resolve_lr
from gmmtf.risks.first_step import natural_step_size
from gmmtf.sampling import ancestral, ddim, dpm_solver
from gmmtf.schedule import stratified_times
from gmmtf.training import train

SIZES = {"n_patterns": 3, "dim": 5, "n_tokens": 6, "radius": 3.0, "sigma": 0.4}
MIXTURE = MultiTokenGMM(**SIZES)
COUPLED = MultiTokenGMM(**SIZES, n_active=2)
SCHEDULE = NoiseSchedule.linear(40, 1e-3, 0.2)
WEIGHT = ReducedWeight(torch.eye(3) / 10, torch.zeros(()))
LONG = dataclasses.replace(MIXTURE, n_tokens=640)
ONE = torch.ones(2, dtype=torch.float64)
FULL = FullMixture(ONE / 2, torch.eye(2, 5), torch.eye(5).expand(2, 5, 5), torch.arange(2), 6)
POOL = TokenLaw(torch.eye(4, 5).double(), torch.tensor([0, 0, 1, 1]), [0.5, 0.5], 6)
LAWS = {"mixture": MIXTURE, "coupled": COUPLED, "full": FULL, "pool": POOL}
SHAPE = (2, 6, 5)
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def heads(dtype=torch.float32):
    make = partial(AttentionDenoiser, MIXTURE, SCHEDULE, dtype)
    found = {
        "plain": make(),
        "all options": make(value=True, skip=True, tilt_correction=True),
        "many": ManyHeads([make(), make(value=True)]),
        "two layers": TwoLayers(make(skip=True), make()),
        "family": in_family(make(value=True), MIXTURE),
    }
    for head in found.values():
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.add_(0.01)
    return found


CALLS = {
    "linear": lambda n: NoiseSchedule.linear(n(40)).betas,
    "cosine": lambda n: NoiseSchedule.cosine(n(40)).betas,
    "stratified times": lambda n: stratified_times(
        SCHEDULE, n(4), torch.Generator().manual_seed(0), t=[n(3), n(4)]
    ),
    "oracle_risk": lambda n: oracle_risk(MIXTURE, SCHEDULE, t=n(3)),
    "bayes_risk": lambda n: bayes_risk(MIXTURE, SCHEDULE, t=n(3), n_points=n(64), seed=n(1)).value,
    "bayes_risk, coupled": lambda n: bayes_risk(COUPLED, SCHEDULE, n_points=n(64), seed=n(1)).value,
    "bayes_risk, full": lambda n: bayes_risk(FULL, SCHEDULE, n_points=n(64), seed=n(1)).value,
    "bayes_risk, pool": lambda n: bayes_risk(POOL, SCHEDULE, n_points=n(64), seed=n(1)).value,
    "risk, expansion": lambda n: risk(
        WEIGHT, LONG, SCHEDULE, t=n(3), n_points=n(64), n_replicates=n(2), seed=n(1)
    ).loss.value,
    "risk, integral": lambda n: risk(
        WEIGHT, MIXTURE, SCHEDULE, method="integral", n_points=n(4), n_replicates=n(2), seed=n(1)
    ).loss.value,
    "risk, simulation": lambda n: risk(
        WEIGHT, MIXTURE, SCHEDULE, method="simulation", n_samples=n(4),
        generator=torch.Generator().manual_seed(0),
    ).loss.value,
    "descend": lambda n: [
        r.weight.pattern
        for r in descend(
            dataclasses.replace(MIXTURE, n_tokens=n(64)), SCHEDULE, n(2), n_points=n(64),
            record_every=n(1), seed=n(1), lr=n(1) / 8, batch_size=n(2), eval_samples=n(4),
        )
    ][-1],
    "descend, simulation": lambda n: [
        r.weight.pattern
        for r in descend(
            MIXTURE, SCHEDULE, n(2), method="simulation", record_at=[n(2)], seed=n(1),
            batch_size=n(2), eval_samples=n(4),
        )
    ][-1],
    "best_weight": lambda n: best_weight(
        dataclasses.replace(MIXTURE, n_tokens=n(64)), SCHEDULE, n_points=n(64), seed=n(1)
    )[1],
    "tokens_needed": lambda n: tokens_needed(n(2), MIXTURE, SCHEDULE, n_points=n(64)),
    "evaluate": lambda n: evaluate(
        heads()["plain"], MIXTURE, SCHEDULE, t=n(3), n_samples=n(4), batch_size=n(2),
        generator=torch.Generator().manual_seed(0),
    ).loss.value,
    "train": lambda n: [
        r.loss.value
        for r in train(
            heads()["plain"], MIXTURE, SCHEDULE, n(2), seed=n(1), batch_size=n(2),
            eval_samples=n(4), record_every=n(1), lr=n(1) / 8,
        )
    ][-1],
    "ddim": lambda n: ddim(
        optimal_denoiser(MIXTURE, SCHEDULE), SCHEDULE, (n(2), n(6), n(5)), n_calls=n(5), eta=n(1),
        generator=torch.Generator().manual_seed(0),
    ),
    "dpm_solver": lambda n: dpm_solver(
        optimal_denoiser(MIXTURE, SCHEDULE), SCHEDULE, SHAPE, n_calls=n(5), order=n(2),
        generator=torch.Generator().manual_seed(0),
    ),
    "measure": lambda n: measure(
        torch.ones(2, 6, 5, device="cpu"), MIXTURE, torch.zeros(2, 6, 5, device="cpu"),
        n_projections=n(4),
        generator=torch.Generator().manual_seed(0),
    ).sliced,
    "uniform attention": lambda n: uniform_attention(n(3)),
    "mixture": lambda n: MultiTokenGMM(
        n_patterns=n(3), dim=n(5), n_tokens=n(6), radius=n(3), sigma=n(1), n_active=n(2)
    ).gram,
    "sample": lambda n: MIXTURE.sample(n(3), torch.Generator().manual_seed(0)).x_0,
    "full sample": lambda n: FULL.sample(n(3), torch.Generator().manual_seed(0)).x_0,
    "pool sample": lambda n: POOL.sample(n(3), torch.Generator().manual_seed(0)).x_0,
}  # fmt: skip


def plain(found):
    return torch.as_tensor(found, dtype=torch.float64, device="cpu")


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("name", CALLS)
def test_numpy_integers_are_numbers(name, kind):
    assert torch.equal(plain(CALLS[name](kind)), plain(CALLS[name](int)))


@pytest.mark.parametrize("name", CALLS)
def test_no_tensor_is_made_on_the_default_device(name):
    expected = plain(CALLS[name](int))
    torch.set_default_device("meta")
    try:
        found = CALLS[name](int)
        found = found.cpu() if isinstance(found, torch.Tensor) else found
    finally:
        torch.set_default_device(None)
    assert torch.equal(plain(found), expected)


@pytest.mark.parametrize("name", CALLS)
def test_the_default_type_does_not_matter(name):
    expected = plain(CALLS[name](int))
    torch.set_default_dtype(torch.float64)
    try:
        found = plain(CALLS[name](int))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", heads())
def test_every_head_computes_in_every_type(name, dtype):
    x_t, t = draw_noisy(MIXTURE, SCHEDULE, torch.tensor([1, 30]), dtype=dtype)[:2]
    found = heads(dtype)[name](x_t, t)
    expected = heads(torch.float64)[name](x_t.double(), t)
    assert found.dtype == dtype
    error = (found.double() - expected).abs().max() / expected.abs().max()
    assert error < 20 * torch.finfo(dtype).eps
    found.float().sum().backward()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", LAWS)
def test_optimal_denoisers_compute_in_float64(name, dtype):
    law = LAWS[name]
    optimum = optimal_denoiser(law, SCHEDULE)
    x_t, t = draw_noisy(law, SCHEDULE, torch.tensor([0, 20, 39]), dtype=dtype)[:2]
    expected = optimum(x_t.double(), t).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        under = optimum(x_t, t)
    assert torch.equal(optimum(x_t, t), expected)
    assert torch.equal(under, expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_oracle_and_posterior_compute_in_float64(dtype):
    noisy = draw_noisy(COUPLED, SCHEDULE, torch.tensor([0, 39]), dtype=dtype)
    oracle = OracleDenoiser(COUPLED, SCHEDULE)
    expected = oracle(noisy.x_t.double(), noisy.t, noisy.labels).to(dtype)
    assert torch.equal(oracle(noisy.x_t, noisy.t, noisy.labels), expected)
    expected = posterior(COUPLED, SCHEDULE, noisy.x_t.double(), noisy.t).to(dtype)
    assert torch.equal(posterior(COUPLED, SCHEDULE, noisy.x_t, noisy.t), expected)


def test_the_reference_does_not_degrade_with_the_denoiser():
    head = heads()["plain"]

    def found():
        generator = torch.Generator().manual_seed(0)
        return evaluate(head, MIXTURE, SCHEDULE, n_samples=16, generator=generator)

    exact = found()
    with torch.autocast("cpu", torch.bfloat16):
        rough = found()
    # Of a denoiser that is rounded, only the rounding itself is added to the excess risk.
    assert rough.excess_risk.value != exact.excess_risk.value
    assert rough.excess_risk.value == pytest.approx(exact.excess_risk.value, rel=0.02)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("sampler", [ancestral, partial(ddim, n_calls=40, eta=1.0)])
def test_samples_have_the_variance_of_the_law_in_every_type(sampler, dtype):
    schedule = NoiseSchedule.linear(1000)
    law = MultiTokenGMM(n_patterns=1, dim=8, n_tokens=64, radius=1e-3, sigma=0.3)
    generator = torch.Generator().manual_seed(0)
    x_0 = sampler(
        optimal_denoiser(law, schedule), schedule, (4, 64, 8), generator=generator, dtype=dtype
    )
    generator = torch.Generator().manual_seed(0)
    exact = sampler(
        optimal_denoiser(law, schedule),
        schedule,
        (4, 64, 8),
        generator=generator,
        dtype=torch.float64,
    )
    assert x_0.dtype == dtype
    assert float(x_0.double().var() / exact.var()) == pytest.approx(1, abs=0.03)


def constant(beta, n):
    return torch.full((n,), beta, dtype=torch.float64)


@pytest.mark.parametrize(
    ("betas", "named"),
    [
        (constant(0.5, 200), "last signal"),
        (constant(0.999, 120), "last signal"),
        (constant(1e-17, 50), "rounding error"),
    ],
)
def test_schedules_beyond_rounding_are_refused_by_name(betas, named):
    with pytest.raises(ValueError, match=f"^betas: .*{named}"):
        NoiseSchedule(betas)


@pytest.mark.parametrize(
    "betas",
    [
        *(constant(0.5, 120), constant(1e-6, 50), constant(0.99, 18)),
        # float32 rounds these to 0 or to 1
        *(constant(1e-8, 50), constant(2e-16, 50)),
        NoiseSchedule.cosine(100, max_beta=1 - 1e-12).betas,
    ],
)
def test_schedules_that_are_accepted_sample(betas):
    schedule = NoiseSchedule(betas)
    bayes = optimal_denoiser(MIXTURE, schedule)
    for sampler in (ancestral, partial(ddim, n_calls=9), partial(dpm_solver, n_calls=9)):
        assert torch.isfinite(sampler(bayes, schedule, SHAPE)).all()
    found = evaluate(bayes, MIXTURE, schedule, n_samples=8)
    assert math.isfinite(found.score_error.value)


def arrays():
    eye = np.eye(3, 5)
    covariances = np.stack([np.eye(5)] * 3)
    return {
        "schedule": (NoiseSchedule, {"betas": np.linspace(0.1, 0.2, 5)}),
        "mixture": (
            partial(MultiTokenGMM, n_patterns=3, dim=5, n_tokens=6, sigma=0.4),
            {"patterns": 3 * eye, "weights": np.array([0.2, 0.3, 0.5])},
        ),
        "full": (
            partial(FullMixture, n_tokens=6),
            {
                "weights": np.array([0.2, 0.3, 0.5]),
                "means": eye,
                "covariances": covariances,
                "classes": np.arange(3),
            },
        ),
        "pool": (
            partial(TokenLaw, n_tokens=6),
            {
                "tokens": torch.eye(3, 5),
                "labels": torch.arange(3),
                "probabilities": [0.2, 0.3, 0.5],
            },
        ),
        "weight": (
            ReducedWeight,
            {
                "pattern": torch.eye(3, dtype=torch.float64),
                "complement": torch.zeros((), dtype=torch.float64),
            },
        ),
        "empirical": (
            partial(EmpiricalDenoiser, schedule=SCHEDULE),
            {"points": torch.eye(3, 5).double(), "weights": torch.full((3,), 1 / 3)},
        ),
        "given": (
            partial(GivenAttention, MIXTURE, SCHEDULE),
            {"attention": uniform_attention(6).clone()},
        ),
    }


@pytest.mark.parametrize("name", arrays())
def test_what_was_given_may_change_later(name):
    make, given = arrays()[name]
    made, again = make(**given), make(**arrays()[name][1])
    for value in given.values():
        value[... if not isinstance(value, list) else slice(None)] = (
            7 if not isinstance(value, list) else [7.0]
        )
    for key, value in vars(again).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(vars(made)[key], value), key
        elif isinstance(value, tuple) and isinstance(value[0], float):
            assert vars(made)[key] == value


def test_the_default_step_lowers_the_risk_on_patterns_with_a_common_mean():
    patterns = torch.eye(4, 8, dtype=torch.float64) + 2
    law = MultiTokenGMM.from_patterns(patterns, n_tokens=16, sigma=0.3)
    schedule = NoiseSchedule.linear(100, 1e-3, 0.2)
    head = AttentionDenoiser(law, schedule)
    records = list(train(head, law, schedule, 20, batch_size=32, eval_samples=64))
    assert records[-1].excess_risk.value < records[0].excess_risk.value


def test_the_default_step_of_orthogonal_patterns_is_the_natural_one():
    for law in (MIXTURE, COUPLED):
        assert resolve_lr("gd", None, law) == natural_step_size(law)
    turned = MultiTokenGMM.from_patterns(MIXTURE.means, n_tokens=6, sigma=0.4)
    assert resolve_lr("gd", None, turned) == natural_step_size(turned)


def test_a_rare_pattern_does_not_scatter_the_bayes_risk():
    law = MultiTokenGMM(**(SIZES | {"n_patterns": 2}), weights=[0.001, 0.999])
    schedule = NoiseSchedule.linear(100)
    found = [bayes_risk(law, schedule, seed=seed) for seed in range(6)]
    gaps = np.array([e.value - oracle_risk(law, schedule) for e in found])
    assert gaps.std() / gaps.mean() < 0.03
