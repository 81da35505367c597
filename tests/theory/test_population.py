"""The reduced simulation against matrices of full size: laws, risks, gradients and trajectories."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch import Tensor

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend, weights
from gmmtf.laws.level import noise_level
from gmmtf.risks import reduced_tokens, simulation
from gmmtf.risks.evaluate import evaluate
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.optimum import bayes_risk
from gmmtf.risks.reduced_tokens import draw_tokens
from gmmtf.risks.risk import risk
from gmmtf.risks.simulation import squared_error
from gmmtf.risks.wishart import bartlett_factor, standard_gamma
from gmmtf.schedule import stratified_times
from gmmtf.training import train

SCHEDULE = NoiseSchedule.linear()
SKEWED = [0.5, 0.3, 0.2]

simulated = partial(risk, method="simulation")
population = partial(descend, method="simulation")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_mixture(**changes: object) -> MultiTokenGMM:
    settings = {"n_patterns": 3, "dim": 12, "n_tokens": 8, "radius": 4.0, "sigma": 0.3}
    return MultiTokenGMM(**{**settings, "weights": SKEWED, **changes})


def trained_like(
    mixture: MultiTokenGMM, strength: float, complement: float, seed: int = 0
) -> ReducedWeight:
    """About strength/r² on the diagonal, a little of everything elsewhere."""
    size = mixture.n_patterns
    noise = torch.randn(size, size, generator=seeded(seed), dtype=torch.float64)
    centred = torch.eye(size, dtype=torch.float64) - 1 / size
    radius = mixture.require_equal_orthogonal("this test")
    pattern = strength / radius**2 * (centred + 0.1 * noise)
    return ReducedWeight(pattern, torch.tensor(complement, dtype=torch.float64))


def full_head(weight: ReducedWeight, mixture: MultiTokenGMM) -> AttentionDenoiser:
    denoiser = AttentionDenoiser(mixture, SCHEDULE, torch.float64)
    denoiser.weight.data = weight.to_full(mixture)
    return denoiser


def z_score(one: Estimate, other: Estimate) -> float:
    return abs(one.value - other.value) / math.hypot(one.standard_error, other.standard_error)


# --- the law of the Gram matrices ---


@pytest.mark.parametrize("shape", [0.5, 1.0, 3.5, 300.0, 5e8])
def test_gamma_variables_have_their_distribution(shape):
    draws = standard_gamma(torch.full((300_000,), shape, dtype=torch.float64), seeded(1))
    assert stats.kstest(draws.numpy(), stats.gamma(shape).cdf).pvalue > 1e-3


def wishart_statistics(gram: Tensor) -> Tensor:
    """Statistics of 3 x 3 leading blocks: [n, statistics]. First and second moments, and higher."""
    block = gram[:, :3, :3]
    rows, columns = torch.tril_indices(3, 3)
    entries = block[:, rows, columns]
    products = (entries[:, :, None] * entries[:, None, :])[:, *torch.triu_indices(6, 6)]
    cycle = block[:, 0, 1] * block[:, 1, 2] * block[:, 2, 0]
    determinant = torch.linalg.det(gram)
    trace_of_square = (gram @ gram).diagonal(dim1=1, dim2=2).sum(1)
    higher = torch.stack([cycle, determinant, determinant.square(), trace_of_square], dim=1)
    return torch.cat([entries, products, higher], dim=1)


@pytest.mark.parametrize(("n", "dim"), [(3, 3), (4, 9), (5, 5), (4, 2), (6, 1), (3, 40)])
def test_bartlett_gram_has_the_law_of_gaussian_vectors(n, dim):
    draws = 40_000
    factor = bartlett_factor(draws, n, dim, seeded(2))
    assert factor.shape == (draws, n, min(n, dim))
    assert bool((factor.triu(1) == 0).all())
    vectors = torch.randn(draws, n, dim, generator=seeded(3), dtype=torch.float64)
    one, other = (wishart_statistics(gram) for gram in (factor @ factor.mT, vectors @ vectors.mT))
    error = ((one.var(0) + other.var(0)) / draws).sqrt()
    rounding = 1e-9 * other.abs().mean(0)  # determinants of singular matrices are rounding only
    assert bool(((one.mean(0) - other.mean(0)).abs() < 4.5 * error + rounding + 1e-12).all())


def test_bartlett_gram_has_the_moments_of_a_wishart_matrix():
    n, dim, draws = 4, 7, 100_000
    factor = bartlett_factor(draws, n, dim, seeded(4))
    gram = factor @ factor.mT
    eye = torch.eye(n, dtype=torch.float64)
    products = gram.flatten(1)[:, :, None] * gram.flatten(1)[:, None, :]
    # E h_ij h_kl = dim² δ_ij δ_kl + dim (δ_ik δ_jl + δ_il δ_jk)
    expected = dim**2 * torch.einsum("ij,kl->ijkl", eye, eye) + dim * (
        torch.einsum("ik,jl->ijkl", eye, eye) + torch.einsum("il,jk->ijkl", eye, eye)
    )
    error = products.std(0) / math.sqrt(draws)
    assert bool(((products.mean(0) - expected.reshape(n * n, n * n)).abs() < 4.5 * error).all())
    determinant = torch.linalg.det(gram)
    exact = math.prod(dim - i for i in range(n))
    assert abs(float(determinant.mean()) - exact) < 4 * float(determinant.std()) / draws**0.5


def test_bartlett_gram_at_the_extremes_of_the_dimension():
    assert bartlett_factor(2, 5, 0, seeded(5)).shape == (2, 5, 0)
    dim = 10**9
    factor = bartlett_factor(50, 20, dim, seeded(5))
    gram = factor @ factor.mT
    eye = torch.eye(20, dtype=torch.float64)
    scaled = (gram - dim * eye) / math.sqrt(dim)  # → normal, variance 1 off and 2 on the diagonal
    below = scaled[:, *torch.tril_indices(20, 20, -1)].flatten()
    assert stats.kstest(below.numpy(), "norm").pvalue > 1e-3
    diagonal = scaled.diagonal(dim1=1, dim2=2).flatten() / math.sqrt(2)
    assert stats.kstest(diagonal.numpy(), "norm").pvalue > 1e-3


# --- risks against the head with the full weight ---

SETTINGS = [
    # d, N, M, K, π, r, σ, t, strength, κ
    (8, 2, 3, 3, SKEWED, 4.0, 0.3, 300, 8.0, 0.5),
    (16, 8, 3, 3, None, 4.0, 0.3, None, 8.0, 1.0),
    (16, 64, 3, 3, SKEWED, 4.0, 0.3, 300, 8.0, 0.4),
    (64, 32, 4, 2, [0.4, 0.3, 0.2, 0.1], 6.0, 0.3, 200, 10.0, 0.4),
    (64, 48, 4, 4, None, 8.0, 0.5, 500, 12.0, -0.6),
    (4, 16, 4, 4, None, 6.0, 0.3, 200, 10.0, 0.0),
    (5, 16, 4, 3, None, 6.0, 0.5, None, 10.0, 0.1),
    (96, 24, 8, 8, None, 10.0, 0.3, 100, 12.0, 0.2),
    (128, 64, 8, 2, None, 11.0, 0.2, None, 12.0, 0.3),
    (32, 100, 2, 1, [0.9, 0.1], 3.0, 1.0, 50, 5.0, 0.5),
    (32, 40, 2, 2, [0.9, 0.1], 3.0, 1.0, 900, 5.0, 2.0),
    (40, 64, 4, 4, None, 5.0, 0.1, 0, 20.0, 0.0),
]


@pytest.mark.parametrize(
    ("dim", "n", "m", "k", "weights", "radius", "sigma", "t", "strength", "complement"), SETTINGS
)
def test_risks_agree_with_the_full_head(
    dim, n, m, k, weights, radius, sigma, t, strength, complement
):
    mixture = MultiTokenGMM(
        n_patterns=m, dim=dim, n_tokens=n, radius=radius, sigma=sigma, weights=weights, n_active=k
    )
    weight = trained_like(mixture, strength, complement)
    head = full_head(weight, mixture)
    full = evaluate(
        head, mixture, SCHEDULE, t=t, n_samples=400, generator=seeded(6), dtype=torch.float64
    )
    bayes = bayes_risk(mixture, SCHEDULE, t=t, n_points=2**11)
    reduced = simulated(
        weight, mixture, SCHEDULE, t=t, n_samples=400, generator=seeded(7), bayes=bayes
    )
    assert z_score(full.excess_risk, reduced.excess_risk) < 4
    assert z_score(full.score_error, reduced.score_error) < 4
    assert z_score(full.loss, reduced.loss) < 4
    # A difference of a tenth would have been seen.
    assert full.excess_risk.standard_error < 0.025 * full.excess_risk.value or t is None


def lifted(mixture: MultiTokenGMM, drawn: reduced_tokens.ReducedTokens) -> Tensor:
    """Full tokens ``[batch, N, d]`` with the pattern coordinates and the Gram matrix of ``drawn``.

    The patterns of these mixtures lie along the first axes.
    """
    missing = mixture.dim - mixture.n_patterns - drawn.factor.shape[2]
    nothing = drawn.factor.new_zeros(*drawn.factor.shape[:2], missing)
    return torch.cat([drawn.span, drawn.factor, nothing], dim=2)


@pytest.mark.parametrize("dim", [3, 5, 8, 40])
@pytest.mark.parametrize("k", [2, 3])
def test_same_tokens_same_excess_gradient_and_step(dim, k):
    """On common random numbers reduced and full agree to rounding, a descent step included."""
    mixture = small_mixture(dim=dim, n_active=k)
    weight = trained_like(mixture, 6.0, 0.7 if dim > 3 else 0.0)
    t = torch.tensor([20, 300, 500, 800])
    drawn = draw_tokens(mixture, SCHEDULE, t, seeded(8))
    x_t = lifted(mixture, drawn)
    head = full_head(weight, mixture)
    bayes = BayesDenoiser(mixture, SCHEDULE)(x_t, t)
    full_each = (head(x_t, t) - bayes).square().mean((1, 2))

    def loss(at: ReducedWeight) -> Tensor:
        errors = squared_error(at, mixture, drawn)
        return (drawn.level.gain.flatten() ** 2 * errors).mean()

    each = drawn.level.gain.flatten() ** 2 * squared_error(weight, mixture, drawn)
    torch.testing.assert_close(each, full_each, rtol=1e-10, atol=0)

    lr = mixture.dim / mixture.radius**4
    full_each.mean().backward()
    stepped = head.weight.detach() - lr * head.weight.grad
    projected, _ = ReducedWeight.from_full(stepped, mixture)
    *_, (_, reduced) = weights(weight, loss, 1, lr=lr)
    assert float((reduced.pattern - weight.pattern).norm()) > 1e-4
    torch.testing.assert_close(reduced.pattern, projected.pattern, rtol=0, atol=1e-12)
    torch.testing.assert_close(reduced.complement, projected.complement, rtol=0, atol=1e-12)


def test_chunks_change_neither_value_nor_gradient(monkeypatch):
    mixture = small_mixture()
    monkeypatch.setattr(reduced_tokens, "_CHUNK_ELEMENTS", 2 * mixture.n_tokens**2 + 1)
    t = torch.tensor([100, 200, 300, 400, 500])
    chunks = list(reduced_tokens.draw_in_chunks(mixture, SCHEDULE, t, seeded(9)))
    assert [len(chunk.span) for chunk in chunks] == [2, 2, 1]

    def slopes(loss):
        start = trained_like(mixture, 6.0, 0.5)
        at = ReducedWeight(start.pattern.requires_grad_(), start.complement.requires_grad_())
        value = loss(at)
        return value, *torch.autograd.grad(value, [at.pattern, at.complement])

    def whole(at):
        sums = [
            (chunk.level.gain.flatten() ** 2 * squared_error(at, mixture, chunk)).sum()
            for chunk in chunks
        ]
        return torch.stack(sums).sum() / len(t)

    def chunked(at):
        return simulation.excess_on_fresh_data(at, mixture, SCHEDULE, t, seeded(9))

    for found, expected in zip(slopes(chunked), slopes(whole), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_cost_does_not_depend_on_the_dimension():
    """In 10⁹ dimensions a single token would take 8 GB."""
    mixture = small_mixture(dim=10**9, radius=3e4, n_tokens=16)
    found = simulated(
        ReducedWeight.zero(mixture), mixture, SCHEDULE, t=500, n_samples=64, generator=seeded(10)
    )
    # With uniform attention nearly all of the error is τ²d/N, by the averaged noise.
    level = noise_level(mixture, SCHEDULE, torch.tensor([500]))
    noise = float(level.gain**2 * level.variance / mixture.n_tokens)
    between = float(level.gain**2 * level.signal**2) * mixture.radius**2 / mixture.dim
    assert noise < found.excess_risk.value < noise + between


# --- the invariant family (theory result 2) ---


def outside_ratio(head: AttentionDenoiser, mixture: MultiTokenGMM, seed: int) -> float:
    """‖part of the mean gradient outside the family‖² over its expectation if that were noise."""
    batch, batches = 40, 150
    generator = seeded(seed)
    bayes = BayesDenoiser(mixture, SCHEDULE)
    outside = []
    for _ in range(batches):
        t = stratified_times(SCHEDULE, batch, generator)
        x_0 = mixture.sample(batch, generator, torch.float64).x_0
        noise = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
        x_t = SCHEDULE.add_noise(x_0, t, noise)
        loss = (head(x_t, t) - bayes(x_t, t)).square().mean()
        (gradient,) = torch.autograd.grad(loss, [head.weight])
        inside, _ = ReducedWeight.from_full(gradient, mixture)
        outside.append((gradient - inside.to_full(mixture)).flatten())
    gradients = torch.stack(outside)
    expected = gradients.var(0).sum() / batches
    return float(gradients.mean(0).square().sum() / expected)


def test_population_gradient_stays_in_the_family():
    mixture = small_mixture()
    head = full_head(trained_like(mixture, 5.0, 0.8), mixture)
    assert 0.6 < outside_ratio(head, mixture, 11) < 1.5
    # A weight outside the family breaks the symmetry, and the same measure sees it.
    with torch.no_grad():
        head.weight[8, 8] += 0.5
        head.weight[0, 9] += 0.3
    assert outside_ratio(head, mixture, 11) > 4


def test_full_training_follows_the_reduced_trajectory():
    """Same start, step size and batches: risks, G and κ agree at every record within noise."""
    mixture = small_mixture(dim=16, n_tokens=16)
    start = trained_like(mixture, 1.0, 0.4)
    lr = 4 * mixture.dim / mixture.radius**4
    settings = {"lr": lr, "batch_size": 32, "record_every": 10, "eval_samples": 256}
    full, reduced = [], []
    for seed in range(8):
        head = full_head(start, mixture)
        run = train(head, mixture, SCHEDULE, 30, seed=seed, target="bayes", **settings)
        full.append(
            [state(r.excess_risk, *ReducedWeight.from_full(head.weight, mixture)) for r in run]
        )
        run = population(mixture, SCHEDULE, 30, seed=seed, start=start, **settings)
        reduced.append([state(r.excess_risk, r.weight, 0.0) for r in run])
    one = torch.stack([torch.stack(run) for run in full])
    other = torch.stack([torch.stack(run) for run in reduced])
    assert one.shape == (8, 4, 12)
    difference = (one.mean(0) - other.mean(0))[:, :-1]
    error = ((one.var(0) + other.var(0)) / 8).sqrt()[:, :-1]
    assert bool((difference[0, 1:].abs() < 1e-12).all())  # the same start
    assert float(difference[0, 0].abs()) < 4.5 * float(error[0, 0])
    # Student's t with about 14 degrees of freedom: 4.9 is a two-sided tail of 2e-4.
    assert bool((difference[1:].abs() < 4.9 * error[1:]).all())
    moved = (other.mean(0)[-1] - other.mean(0)[0]).abs()[:-1]
    assert bool((moved[[0, 1, 5, 9, 10]] > 10 * error[-1][[0, 1, 5, 9, 10]]).all())


def state(risk: Estimate, weight: ReducedWeight, outside: float) -> Tensor:
    """Excess risk, G, κ and the norm of the rest, ``[12]``."""
    numbers = [*weight.pattern.flatten().tolist(), float(weight.complement), outside]
    return torch.tensor([risk.value, *numbers], dtype=torch.float64)


def test_part_outside_the_family_is_sampling_noise():
    """It falls like the inverse square root of the batch size, and starts at its predicted size."""
    mixture = small_mixture(dim=16, n_tokens=16)
    lr = 2 * mixture.dim / mixture.radius**4

    def outside(batch_size: int, steps: int, seed: int) -> float:
        head = AttentionDenoiser(mixture, SCHEDULE, torch.float64)
        run = train(
            head,
            mixture,
            SCHEDULE,
            steps,
            seed=seed,
            target="bayes",
            lr=lr,
            batch_size=batch_size,
            record_every=steps,
            eval_samples=2,
        )
        assert len(list(run)) == 2
        return ReducedWeight.from_full(head.weight, mixture)[1]

    def mean_square(batch_size: int, steps: int) -> float:
        return sum(outside(batch_size, steps, seed) ** 2 for seed in range(12)) / 12

    assert 3 < mean_square(16, 20) / mean_square(64, 20) < 5.4
    # After one step it is lr² times the variance of the gradient outside, over the batch size.
    single = variance_outside_at_zero(mixture)
    assert 0.8 < mean_square(64, 1) / (lr**2 * single / 64) < 1.25


def variance_outside_at_zero(mixture: MultiTokenGMM) -> float:
    """Trace of the covariance of one data point's gradient at W = 0, outside the family."""
    head = AttentionDenoiser(mixture, SCHEDULE, torch.float64)
    bayes = BayesDenoiser(mixture, SCHEDULE)
    generator = seeded(12)
    t = stratified_times(SCHEDULE, 1000, generator)
    x_0 = mixture.sample(len(t), generator, torch.float64).x_0
    noise = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    x_t = SCHEDULE.add_noise(x_0, t, noise)
    target = bayes(x_t, t)
    squares = []
    for i in range(len(t)):
        loss = (head(x_t[i : i + 1], t[i : i + 1]) - target[i : i + 1]).square().mean()
        (gradient,) = torch.autograd.grad(loss, [head.weight])
        squares.append(ReducedWeight.from_full(gradient, mixture)[1] ** 2)
    return sum(squares) / len(squares)


# --- the run and its records ---


def test_records_of_a_run():
    mixture = small_mixture(n_active=2)
    settings = {"seed": 3, "lr": 0.05, "batch_size": 8, "eval_samples": 64}
    records = list(population(mixture, SCHEDULE, 25, record_every=10, **settings))
    assert [record.step for record in records] == [0, 10, 20, 25]
    assert bool((records[0].weight.pattern == 0).all())
    assert records[-1].excess_risk.value < 0.8 * records[0].excess_risk.value
    # The loss is the excess above the Bayes risk; the same data at every record.
    floors = [record.loss.value - record.excess_risk.value for record in records]
    assert floors == pytest.approx([bayes_risk(mixture, SCHEDULE).value] * 4, rel=1e-12)
    again = list(population(mixture, SCHEDULE, 25, record_every=5, **settings))
    assert [r.excess_risk for r in again if r.step in (0, 10, 20, 25)] == [
        r.excess_risk for r in records
    ]
    other = list(population(mixture, SCHEDULE, 25, **{**settings, "seed": 4}))
    assert other[-1].excess_risk != records[-1].excess_risk


def test_records_share_their_random_numbers():
    """A weight that hardly moves is found hardly changed, far within the standard error."""
    run = population(
        small_mixture(), SCHEDULE, 3, lr=1e-10, batch_size=4, record_every=1, eval_samples=32
    )
    values = [record.excess_risk.value for record in run]
    assert 0 < max(values) - min(values) < 1e-7 * values[0]


def test_start_and_adam():
    mixture = small_mixture()
    start = trained_like(mixture, 2.0, 0.3)
    run = population(
        mixture, SCHEDULE, 20, start=start, optimizer="adam", batch_size=16, record_every=20
    )
    first, last = run
    torch.testing.assert_close(first.weight.pattern, start.pattern)
    torch.testing.assert_close(first.weight.complement, start.complement)
    assert last.excess_risk.value < 0.9 * first.excess_risk.value


def test_default_step_size_is_that_of_full_training():
    mixture = small_mixture()
    lr = natural_step_size(mixture)
    one, other = (
        list(population(mixture, SCHEDULE, 2, batch_size=4, eval_samples=2, lr=value))[-1]
        for value in (None, lr)
    )
    torch.testing.assert_close(one.weight.pattern, other.weight.pattern, rtol=1e-12, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_law():
    mixture = small_mixture(n_active=2)
    weight = trained_like(mixture, 6.0, 0.5)
    on_cpu, on_gpu = (
        simulated(weight, mixture, SCHEDULE, generator=generator)
        for generator in (seeded(13), torch.Generator("cuda").manual_seed(13))
    )
    assert z_score(on_cpu.excess_risk, on_gpu.excess_risk) < 4
    run = population(mixture, SCHEDULE, 20, lr=0.05, record_every=20, device="cuda")
    first, last = run
    assert last.excess_risk.value < 0.8 * first.excess_risk.value


# --- bad input ---


def skewed_geometry() -> MultiTokenGMM:
    patterns = torch.tensor([[2.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
    return MultiTokenGMM.from_patterns(patterns, n_tokens=4, sigma=0.3)


def unequal_norms() -> MultiTokenGMM:
    patterns = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    return MultiTokenGMM.from_patterns(patterns, n_tokens=4, sigma=0.3)


@pytest.mark.parametrize("make", [skewed_geometry, unequal_norms])
def test_other_geometries_are_refused(make):
    mixture = make()
    weight = ReducedWeight.zero(mixture)
    with pytest.raises(ValueError, match=r"patterns: .*orthogonal patterns of equal norm"):
        simulated(weight, mixture, SCHEDULE)
    with pytest.raises(ValueError, match=r"patterns: .*orthogonal patterns of equal norm"):
        population(mixture, SCHEDULE, 5)
    with pytest.raises(ValueError, match=r"patterns: .*orthogonal patterns of equal norm"):
        draw_tokens(mixture, SCHEDULE, torch.tensor([3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t": 1000}, "t: expected an integer from 0 to 999, got 1000"),
        ({"t": -1}, "t: expected an integer from 0 to 999, got -1"),
        ({"t": 3.5}, "t: expected an integer from 0 to 999, got 3.5"),
        ({"n_samples": 1}, "n_samples: expected an integer of at least 2, got 1"),
    ],
)
def test_evaluate_refuses(changes, message):
    mixture = small_mixture()
    with pytest.raises(ValueError, match=message):
        simulated(ReducedWeight.zero(mixture), mixture, SCHEDULE, **changes)


def test_weight_that_does_not_fit_is_refused():
    mixture = small_mixture()
    wrong = ReducedWeight(torch.zeros(2, 2), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"pattern: expected shape \(3, 3\), got \(2, 2\)"):
        simulated(wrong, mixture, SCHEDULE)
    with pytest.raises(ValueError, match=r"pattern: expected shape \(3, 3\), got \(2, 2\)"):
        population(mixture, SCHEDULE, 5, start=wrong)
    with pytest.raises(ValueError, match="expected finite"):
        ReducedWeight(torch.full((3, 3), math.nan), torch.tensor(0.0))
    huge = ReducedWeight(1e308 * torch.ones(3, 3, dtype=torch.float64), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"weight: expected attention scores .* overflow"):
        simulated(huge, mixture, SCHEDULE, n_samples=4)


def test_too_many_active_sets_are_refused():
    mixture = MultiTokenGMM(n_patterns=40, dim=60, n_tokens=4, radius=5.0, sigma=0.3, n_active=20)
    with pytest.raises(ValueError, match=r"n_active: .*137846528820 active sets"):
        simulated(ReducedWeight.zero(mixture), mixture, SCHEDULE, t=10)
    with pytest.raises(ValueError, match=r"n_active: .*137846528820 active sets"):
        population(mixture, SCHEDULE, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("lr", 0.0),
        ("lr", math.nan),
        ("optimizer", "lion"),
        ("batch_size", 0),
        ("record_every", 0),
        ("eval_samples", 1),
    ],
)
def test_train_refuses_at_the_call(name, value):
    settings = {"steps": 5, name: value}
    with pytest.raises(ValueError, match=f"{name}: expected .*got {value!r}"):
        population(small_mixture(), SCHEDULE, **settings)


def test_times_outside_the_schedule_are_refused():
    with pytest.raises(ValueError, match="t: expected indices from 0 to 999"):
        draw_tokens(small_mixture(), SCHEDULE, torch.tensor([1000]))
