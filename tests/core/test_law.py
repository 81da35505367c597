"""Every law under the same tests: its draws, its optimal denoiser and its Bayes risk."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from gmmtf import (
    FullMixture,
    Law,
    MultiTokenGMM,
    NoiseSchedule,
    TokenLaw,
    Tokens,
    bayes_risk,
    evaluate,
    optimal_denoiser,
    oracle_risk,
    score,
)
from gmmtf.laws.law import fingerprint

SCHEDULE = NoiseSchedule.linear(30, 1e-3, 0.3)
GENERATOR = torch.Generator().manual_seed(5)
CROWDED = torch.randn(5, 2, generator=GENERATOR, dtype=torch.float64) * 2
FACTORS = torch.randn(3, 4, 4, generator=GENERATOR, dtype=torch.float64)


class Standard:
    """A user's law: standard normal tokens, whose optimal denoiser is √(1-ᾱ) x."""

    dim, n_tokens = 3, 2

    def sample(self, batch_size, generator=None, dtype=torch.float32):
        shape = (batch_size, 2, 3)
        x_0 = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        return Tokens(x_0, torch.zeros(batch_size, 2).long(), torch.ones(batch_size, 1).bool())

    def denoiser(self, schedule):
        return lambda x, t: (1 - schedule.alpha_bar(t)).sqrt().to(x).view(-1, 1, 1) * x


LAWS = {
    "mixture": MultiTokenGMM(n_patterns=3, dim=5, n_tokens=4, radius=2.0, sigma=0.5),
    "more patterns than dimensions": MultiTokenGMM.from_patterns(
        CROWDED, n_tokens=3, sigma=0.4, weights=[0.3, 0.1, 0.2, 0.25, 0.15]
    ),
    "two of five in the plane": MultiTokenGMM.from_patterns(
        CROWDED, n_tokens=3, sigma=0.4, n_active=2
    ),
    "any covariances": FullMixture(
        torch.tensor([0.2, 0.5, 0.3]),
        torch.tensor([[2.0, 0, 0, 0], [0, 3, 0, 0], [-1, 0, 1, 0]]),
        FACTORS @ FACTORS.mT + 0.1 * torch.eye(4, dtype=torch.float64),
        torch.tensor([0, 1, 1]),
        4,
    ),
    "real tokens": TokenLaw(
        torch.randn(12, 3, generator=GENERATOR, dtype=torch.float64),
        torch.arange(12) % 3,
        [0.5, 0.3, 0.2],
        3,
    ),
    "a user's": Standard(),
}
each_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


@each_law
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_law_draws_data_points(law, dtype):
    assert isinstance(law, Law)
    drawn = [law.sample(6, torch.Generator().manual_seed(2), dtype) for _ in range(2)]
    assert drawn[0].x_0.shape == (6, law.n_tokens, law.dim)
    assert drawn[0].x_0.dtype == dtype
    assert drawn[0].labels.shape == (6, law.n_tokens)
    assert bool(drawn[0].active.gather(1, drawn[0].labels).all())
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


@each_law
@pytest.mark.parametrize("t", [None, 4, np.int64(20), [2, 11, 25]])
def test_the_optimal_denoiser_has_no_excess_and_its_loss_is_the_bayes_risk(law, t):
    denoise = optimal_denoiser(law, SCHEDULE)
    generator = torch.Generator().manual_seed(3)
    found = evaluate(
        denoise, law, SCHEDULE, t=t, n_samples=3000, generator=generator, dtype=torch.float64
    )
    assert found.excess_risk.value == 0
    expected = bayes_risk(law, SCHEDULE, t=t, n_points=4096)
    assert found.loss.errors_from(expected) < 4
    assert found.loss.standard_error < 0.03 * found.loss.value


@each_law
def test_the_excess_of_another_denoiser_is_its_loss_beyond_the_bayes_risk(law):
    """Only the conditional mean has this property, so it tests the optimal denoiser itself."""
    optimum = optimal_denoiser(law, SCHEDULE)
    found = evaluate(
        lambda x, t: optimum(x, t) + 0.3 * torch.sin(3 * x),
        law, SCHEDULE, n_samples=6000, generator=torch.Generator().manual_seed(9),
        dtype=torch.float64,
    )  # fmt: skip
    difference = found.loss - found.excess_risk
    assert difference.errors_from(bayes_risk(law, SCHEDULE, n_points=8192)) < 4
    assert found.excess_risk.value > 5 * found.loss.standard_error


@each_law
def test_the_score_is_the_optimal_noise_rescaled(law):
    x, t = law.sample(4, torch.Generator().manual_seed(0), torch.float64).x_0, torch.arange(4) * 7
    noise = optimal_denoiser(law, SCHEDULE)(x, t)
    scale = (1 - SCHEDULE.alpha_bars[t]).sqrt().view(-1, 1, 1)
    torch.testing.assert_close(score(law, SCHEDULE, x, t), -noise / scale)


@each_law
def test_several_times_are_their_mean(law):
    times = [3, 17]
    each = [bayes_risk(law, SCHEDULE, t=t, n_points=8192) for t in times]
    both = bayes_risk(law, SCHEDULE, t=times, n_points=8192)
    assert both.errors_from(sum(each[1:], each[0]) / 2) < 4
    if isinstance(law, (MultiTokenGMM, FullMixture)):
        mean = np.mean([oracle_risk(law, SCHEDULE, t=t) for t in times])
        assert oracle_risk(law, SCHEDULE, t=times) == pytest.approx(mean, rel=1e-12)


def test_the_exact_risk_of_crowded_patterns_by_integration_over_the_line():
    """Three patterns on a line, in one dimension: the risk is an ordinary integral."""
    means, pi = torch.tensor([-2.0, 0.5, 1.5]).double(), torch.tensor([0.2, 0.5, 0.3]).double()
    law = MultiTokenGMM.from_patterns(means[:, None], n_tokens=2, sigma=0.3, weights=pi)
    for t in (2, 9, 20):
        a = float(SCHEDULE.alpha_bars[t])
        variance = a * 0.09 + 1 - a
        x = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
        parts = pi * torch.exp(-((x[:, None] - a**0.5 * means) ** 2) / (2 * variance))
        parts /= (2 * torch.pi * variance) ** 0.5
        density = parts.sum(1)
        noise = (1 - a) ** 0.5 * (parts * (x[:, None] - a**0.5 * means)).sum(1) / variance / density
        risk = 1 - float(torch.trapezoid(noise**2 * density, x))  # E ε² - E (E[ε|x])²
        assert bayes_risk(law, SCHEDULE, t=t).value == pytest.approx(risk, rel=2e-3)


def test_equal_isotropic_components_have_the_risks_of_the_mixture():
    mixture = LAWS["more patterns than dimensions"]
    eye = torch.eye(2).expand(5, 2, 2)
    full = FullMixture(mixture.probabilities, CROWDED, 0.16 * eye, torch.arange(5), 3)
    for t in (None, 5, [1, 20]):
        assert oracle_risk(full, SCHEDULE, t=t) == pytest.approx(
            oracle_risk(mixture, SCHEDULE, t=t), rel=1e-6
        )
        found = bayes_risk(full, SCHEDULE, t=t, n_points=8192)
        assert found.errors_from(bayes_risk(mixture, SCHEDULE, t=t)) < 4


def test_of_one_component_oracle_and_bayes_agree():
    covariance = torch.diag(torch.tensor([4.0, 1.0, 0.1]))[None]
    law = FullMixture(torch.ones(1), torch.ones(1, 3), covariance, torch.zeros(1).long(), 2)
    risk = bayes_risk(law, SCHEDULE, n_points=8192)
    assert risk.errors_from(oracle_risk(law, SCHEDULE)) < 4


def test_a_risk_that_a_law_knows_is_taken():
    class Known(Standard):
        def bayes_risk(self, schedule, *, t=None):
            return float(schedule.alpha_bars[schedule.times(t)].mean())

    known = bayes_risk(Known(), SCHEDULE, t=[4, 9])
    assert bayes_risk(Standard(), SCHEDULE, t=[4, 9], n_points=4096).errors_from(known) < 4


def test_a_law_without_an_optimum_is_named():
    class Bare:
        dim, n_tokens = 3, 2
        sample = Standard.sample

    assert isinstance(Bare(), Law)
    for measure in (bayes_risk, optimal_denoiser):
        with pytest.raises(TypeError, match=r"^law: .*Bare"):
            measure(Bare(), SCHEDULE)
    with pytest.raises(TypeError, match=r"^law: .*TokenLaw"):
        oracle_risk(LAWS["real tokens"], SCHEDULE)
    assert not isinstance(object(), Law)


@pytest.mark.parametrize("law", list(LAWS.values())[:-1], ids=list(LAWS)[:-1])
def test_a_law_prints_as_one_short_line(law):
    assert "\n" not in repr(law)
    assert len(repr(law)) < 120
    assert repr(law).startswith(f"{type(law).__name__}(")
    assert f"n_tokens={law.n_tokens}" in repr(law)


def test_a_mixture_of_many_patterns_prints_as_one_short_line():
    law = MultiTokenGMM(
        n_patterns=500, dim=600, n_tokens=2, radius=1.0, sigma=1.0, weights=torch.ones(500) / 500
    )
    assert len(repr(law)) < 140
    assert "\n" not in repr(law)


@each_law
def test_fingerprints_tell_laws_apart_and_repeat(law):
    found = fingerprint(law)
    assert found == fingerprint(law)
    assert sum(found == fingerprint(other) for other in LAWS.values()) == 1
    assert found["law"] == type(law).__name__


def test_a_fingerprint_sees_every_value():
    law = LAWS["any covariances"]
    arguments = {k: getattr(law, k) for k in ("weights", "means", "covariances", "classes")}
    for name in ("means", "covariances", "classes"):
        changed = arguments[name].clone()
        changed.view(-1)[0] += 1
        other = FullMixture(**{**arguments, name: changed}, n_tokens=4)
        assert fingerprint(other) != fingerprint(law)
    assert fingerprint(FullMixture(**arguments, n_tokens=4)) == fingerprint(law)
    pool = LAWS["real tokens"]
    moved = TokenLaw(pool.tokens + 1e-9, pool.labels, pool.probabilities, 3)
    assert fingerprint(moved) != fingerprint(pool)


def test_what_the_caller_does_to_its_arrays_changes_nothing():
    patterns, weights = CROWDED.clone(), torch.full((5,), 0.2, dtype=torch.float64)
    betas, tokens = torch.full((4,), 0.1, dtype=torch.float64), torch.randn(4, 2).double()
    means, covariances = CROWDED.clone(), torch.eye(2).double().repeat(5, 1, 1)
    classes, labels = torch.arange(5), torch.arange(4) % 2
    mixture = MultiTokenGMM.from_patterns(patterns, n_tokens=2, sigma=1.0, weights=weights)
    full = FullMixture(weights, means, covariances, classes, 2)
    pool = TokenLaw(tokens, labels, [0.5, 0.5], 2)
    schedule = NoiseSchedule(betas)
    before = [fingerprint(law) for law in (mixture, full, pool)]
    for array in (patterns, weights, betas, tokens, means, covariances, classes, labels):
        array.mul_(0).add_(1)
    assert [fingerprint(law) for law in (mixture, full, pool)] == before
    assert schedule.betas.tolist() == [0.1] * 4
    assert mixture.probabilities.tolist() == [0.2] * 5


def test_numbers_of_numpy_and_torch_are_numbers():
    law = MultiTokenGMM(
        n_patterns=np.int64(3), dim=np.int32(5), n_tokens=np.int64(4), radius=np.float32(2.0),
        sigma=torch.tensor(0.5), n_active=np.int64(2),
    )  # fmt: skip
    plain = MultiTokenGMM(n_patterns=3, dim=5, n_tokens=4, radius=2.0, sigma=0.5, n_active=2)
    assert fingerprint(law) == fingerprint(plain)
    assert {type(law.dim), type(law.n_active)} == {int}
    assert type(law.sigma) is float
    assert law.sample(np.int64(3)).x_0.shape == (3, 4, 5)


@pytest.mark.parametrize("deviation", [0.0, 1e-2, 1e-4])
def test_float32_patterns_count_as_orthogonal_and_crooked_ones_do_not(deviation):
    turned = torch.linalg.qr(torch.randn(64, 64, generator=GENERATOR)).Q[:8] * 3
    assert turned.dtype == torch.float32
    turned[0] += deviation * turned[1]
    law = MultiTokenGMM.from_patterns(turned, n_tokens=4, sigma=0.5)
    if deviation == 0:
        assert law.require_equal_orthogonal("this") == pytest.approx(3, rel=1e-6)
    else:
        with pytest.raises(ValueError, match=r"^patterns: this needs orthogonal"):
            law.require_equal_orthogonal("this")


def test_what_needs_orthogonal_patterns_says_so():
    with pytest.raises(ValueError, match="needs orthogonal patterns"):
        LAWS["more patterns than dimensions"].require_equal_orthogonal("the family")
    with pytest.raises(ValueError, match=r"^dim: "):
        MultiTokenGMM(n_patterns=3, dim=2, n_tokens=4, radius=2.0, sigma=0.5)


def test_laws_do_without_scikit_learn_until_they_fit(monkeypatch):
    code = "import sys, gmmtf.laws.full; sys.exit(any('sklearn' in name for name in sys.modules))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    with pytest.raises(ImportError, match=r"pip install 'gmmtf\[images\]'"):
        FullMixture.fit(LAWS["real tokens"], 1)
