"""A finite training set as a law, and its optimum: a softmax over whole data points."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gmmtf import (
    EmpiricalDenoiser,
    Estimate,
    LinearDenoiser,
    MultiTokenGMM,
    NoiseSchedule,
    bayes_risk,
    draw_noisy,
    measure,
    optimal_denoiser,
)
from gmmtf.denoisers.empirical import empirical_ideal
from gmmtf.laws import training_set
from gmmtf.laws.law import Law, fingerprint
from gmmtf.laws.training_set import TrainingSet

SCHEDULE = NoiseSchedule.linear(60, 1e-3, 0.15)
SIZES = {"n_patterns": 3, "dim": 4, "n_tokens": 5, "radius": 2.0, "n_active": 2}
LAW = MultiTokenGMM(**SIZES, sigma=0.4)
SET = TrainingSet(LAW, 7, seed=3)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(x_0: torch.Tensor) -> list[int]:
    """Which point of SET each data point is."""
    order = [point.flatten().tolist() for point in SET.points().x_0]
    return [order.index(point.flatten().tolist()) for point in x_0]


def test_only_its_own_points_are_drawn_each_as_often():
    drawn = SET.sample(2800, source())
    found = places(drawn.x_0)
    counts = torch.bincount(torch.tensor(found), minlength=7)
    assert len(counts) == 7
    assert float((counts - 400).abs().max()) < 4 * (2800 * 6 / 49) ** 0.5
    own = SET.points()
    assert torch.equal(drawn.labels, own.labels[found])
    assert torch.equal(drawn.active, own.active[found])
    # With replacement: the next point is the same one as often as any other.
    repeats = sum(a == b for a, b in zip(found[1:], found[:-1], strict=True))
    assert abs(repeats - 400) < 4 * (2800 * 6 / 49) ** 0.5


def test_draws_follow_the_generator_and_leave_the_global_one_alone():
    torch.manual_seed(5)
    one, same, other = (TrainingSet(LAW, 50, 3).sample(9, source(s)).x_0 for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    found = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(found, torch.rand(1))
    TrainingSet(LAW, 50, 3).sample(9)  # without one it is the global one that draws
    assert not torch.equal(found, torch.rand(1))


def test_a_larger_set_of_one_seed_has_the_first_points_of_a_smaller_one():
    own = SET.points().x_0
    assert own.shape == (7, 5, 4)
    assert torch.equal(TrainingSet(LAW, 4, seed=3).points().x_0, own[:4])
    assert len({tuple(point.flatten().tolist()) for point in own}) == 7
    elsewhere = TrainingSet(LAW, 7, seed=4).points().x_0
    assert not any(torch.equal(one, other) for one in own for other in elsewhere)


def test_its_points_are_draws_of_the_law():
    assert isinstance(SET, Law)
    assert (SET.dim, SET.n_tokens) == (4, 5)
    points = TrainingSet(LAW, 400).points()
    labels = points.labels
    assert points.active.sum(1).tolist() == [2] * 400
    assert bool(points.active.gather(1, labels).all())
    means = LAW.means.float()[labels]
    assert float((points.x_0 - means).square().mean()) == pytest.approx(0.16, rel=0.06)
    shares = torch.bincount(labels.flatten()) / labels.numel()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.06)


def test_a_set_may_be_larger_than_the_memory():
    large = TrainingSet(LAW, 10**9, seed=3)
    drawn = large.sample(40, source()).x_0
    assert len({tuple(point.flatten().tolist()) for point in drawn}) == 40
    assert torch.equal(drawn, TrainingSet(LAW, 10**9, seed=3).sample(40, source()).x_0)


def test_points_that_are_not_kept_are_made_again_as_they_were(monkeypatch):
    monkeypatch.setattr(training_set, "_KEPT", 2)
    forgetful = TrainingSet(LAW, 7, seed=3)
    for _ in range(2):
        assert torch.equal(forgetful.points().x_0, SET.points().x_0)
    assert forgetful._one.cache_info().currsize == 2


def test_points_are_the_same_in_both_types():
    single, double = (SET.sample(6, source(), dtype).x_0 for dtype in (torch.float32, torch.double))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.equal(single.double(), double)
    assert torch.equal(SET.points(torch.float64).x_0, SET.points().x_0.double())


def test_sets_that_differ_have_other_fingerprints():
    sets = [
        SET, TrainingSet(LAW, 8, 3), TrainingSet(LAW, 7, 2),
        TrainingSet(MultiTokenGMM(**SIZES, sigma=0.5), 7, 3),
    ]  # fmt: skip
    texts = {json.dumps(fingerprint(each), sort_keys=True) for each in [*sets, LAW]}
    assert len(texts) == 5
    assert fingerprint(TrainingSet(LAW, 7, 3)) == fingerprint(SET)
    assert repr(SET) == f"TrainingSet(7 data points of {LAW!r}, seed=3)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainingSet(LAW, 0), "size: "),
        (lambda: TrainingSet(LAW, 2.5), "size: "),
        (lambda: TrainingSet(LAW, 3, -1), "seed: "),
        (lambda: TrainingSet("few", 3), "law: "),
        (lambda: SET.sample(0), "batch_size: "),
        (lambda: empirical_ideal(torch.zeros(3, 4), SCHEDULE), r"x_0: .*got \[3, 4\]"),
        (lambda: empirical_ideal(torch.zeros(0, 5, 4), SCHEDULE), "x_0: expected at least one"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        make()


def by_hand(x: np.ndarray, alpha_bar: float, points: np.ndarray) -> np.ndarray:
    """E[ε | x] of one data point: each point of the set with its posterior probability."""
    distances = ((x - np.sqrt(alpha_bar) * points) ** 2).sum((1, 2))
    density = np.exp(-(distances - distances.min()) / (2 * (1 - alpha_bar)))
    mean = np.tensordot(density / density.sum(), points, 1)
    return (x - np.sqrt(alpha_bar) * mean) / np.sqrt(1 - alpha_bar)


def test_the_ideal_is_the_mean_over_whole_data_points():
    x_0 = torch.randn(6, 5, 4, generator=source(1), dtype=torch.float64)
    t = torch.tensor([1, 20, 40, 59])
    x_t = torch.randn(4, 5, 4, generator=source(2), dtype=torch.float64)
    alpha_bars = np.cumprod(1 - np.linspace(1e-3, 0.15, 60))[t.numpy()]
    expected = [by_hand(x, a, x_0.numpy()) for x, a in zip(x_t.numpy(), alpha_bars, strict=True)]
    ideal = empirical_ideal(x_0, SCHEDULE)
    x_0.zero_()  # it has a copy
    np.testing.assert_allclose(ideal(x_t, t).numpy(), expected, rtol=1e-9, atol=1e-12)
    assert ideal(x_t.float(), t).dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 20), (2, 20, 1), (2, 1, 20), (2, 6, 4)])
def test_the_ideal_refuses_data_points_of_another_form(shape):
    ideal = empirical_ideal(SET.points().x_0, SCHEDULE)
    with pytest.raises(ValueError, match=r"^x_t: expected data points \[batch, 5, 4\], got"):
        ideal(torch.zeros(shape), torch.tensor([3, 4]))


def test_the_optimum_of_a_training_set_is_its_ideal():
    ideal = empirical_ideal(SET.points().x_0, SCHEDULE)
    found = measure({"ideal": ideal}, SET, SCHEDULE, t=[5, 30], n_samples=300, generator=source())
    assert found.names == ("ideal", "bayes", "zero")
    assert set(found.left_out) == {"oracle", "linear"}
    assert found.evaluation("ideal").excess_risk.value < 1e-12  # it is returned in float32
    assert abs(found.difference("ideal", "bayes").loss.value) < 1e-7
    exact = bayes_risk(SET, SCHEDULE, t=[5, 30], n_points=600)
    assert found.evaluation("bayes").loss.errors_from(exact) < 4
    x_t, t = torch.randn(2, 5, 4, generator=source(1)), torch.tensor([5, 30])
    assert torch.equal(optimal_denoiser(SET, SCHEDULE)(x_t, t), ideal(x_t, t))


def test_no_other_denoiser_has_a_smaller_loss_on_the_training_set():
    ideal = optimal_denoiser(SET, SCHEDULE)
    tokens = SET.points().x_0.flatten(0, 1)
    even = torch.full((len(tokens),), 1 / len(tokens), dtype=torch.float64)
    others = {
        "Bayes of the law": optimal_denoiser(LAW, SCHEDULE),
        "single tokens of the set": EmpiricalDenoiser(tokens, even, SCHEDULE),
        "linear filter": LinearDenoiser(LAW, SCHEDULE),
        "more": lambda x_t, t: 1.05 * ideal(x_t, t),
        "less": lambda x_t, t: 0.95 * ideal(x_t, t),
        "another set": optimal_denoiser(TrainingSet(LAW, 7, 4), SCHEDULE),
    }
    found = measure(
        {"ideal": ideal, **others}, SET, SCHEDULE, t=[10, 30, 45], n_samples=400, generator=source()
    )
    for name in others:
        gap = found.difference(name, "ideal").loss
        assert gap.value > 4 * gap.standard_error, name


def test_what_the_ideal_leaves_of_the_noise_says_nothing_of_the_data():
    """The error of a conditional mean is uncorrelated with every function of the noisy data."""
    ideal, bayes = optimal_denoiser(SET, SCHEDULE), optimal_denoiser(LAW, SCHEDULE)
    noisy = draw_noisy(SET, SCHEDULE, torch.full((2000,), 35), source(), torch.float64)
    left = noisy.noise - ideal(noisy.x_t, noisy.t)
    for seen in (noisy.x_t, bayes(noisy.x_t, noisy.t), noisy.x_t.square()):
        found = Estimate.from_samples((left * seen).mean((1, 2)))
        assert abs(found.value) < 4 * found.standard_error
