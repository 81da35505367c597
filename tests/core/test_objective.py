"""The DDPM loss, the excess risk and the score-matching error against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.risks.evaluate import ddpm_loss, evaluate
from gmmtf.risks.optimum import bayes_risk
from gmmtf.schedule import stratified_times

PI = np.array([0.5, 0.3, 0.2])
MIXTURE = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=5, radius=2.0, sigma=0.5, weights=PI.tolist())
PAIRS = MultiTokenGMM(
    n_patterns=3, dim=4, n_tokens=5, radius=2.0, sigma=0.5, weights=PI.tolist(), n_active=2
)
SCHEDULE = NoiseSchedule.linear(50, 1e-3, 0.15)


def zero(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x_t)


def shrink(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return 0.6 * x_t


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(NoiseSchedule):
    """A schedule that keeps what it noises."""

    def add_noise(self, x_0, t, noise):
        x_t = super().add_noise(x_0, t, noise)
        self.__dict__.setdefault("calls", []).append((x_0, t, noise, x_t))
        return x_t

    def seen(self) -> list[np.ndarray]:
        return [torch.cat(parts).numpy() for parts in zip(*self.calls, strict=True)]


def recorder() -> Recorder:
    return Recorder(SCHEDULE.betas)


def bayes_noise(x_t: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Bayes estimate for K = M, from Bayes' rule with full Gaussian densities."""
    abar = np.cumprod(1 - np.linspace(1e-3, 0.15, 50))[t][:, None, None]
    variance = abar * 0.25 + 1 - abar
    means = 2.0 * np.eye(3, 4)
    squared = ((x_t[:, :, None] - np.sqrt(abar)[..., None] * means) ** 2).sum(-1)
    p = softmax(np.log(PI) - squared / (2 * variance), axis=-1)
    return np.sqrt(1 - abar) / variance * (x_t - np.sqrt(abar) * (p @ means))


def test_loss_is_the_mean_square_of_the_noise_error():
    x_0 = torch.randn(6, 5, 4, generator=generator(), dtype=torch.float64)
    noise = torch.randn(6, 5, 4, generator=generator(1), dtype=torch.float64)
    t = torch.tensor([0, 3, 10, 20, 40, 49])
    loss = ddpm_loss(shrink, SCHEDULE, x_0, t, noise)
    abar = np.cumprod(1 - np.linspace(1e-3, 0.15, 50))[t][:, None, None]
    x_t = np.sqrt(abar) * x_0.numpy() + np.sqrt(1 - abar) * noise.numpy()
    assert loss.shape == ()
    assert float(loss) == pytest.approx(np.mean((0.6 * x_t - noise.numpy()) ** 2), rel=1e-12)


def test_loss_is_differentiable_and_works_for_images():
    scale = torch.tensor(0.3, requires_grad=True)
    x_0 = torch.randn(2, 1, 8, 8, generator=generator())
    noise = torch.randn(2, 1, 8, 8, generator=generator(1))
    t = torch.tensor([5, 40])
    ddpm_loss(lambda x, t: scale * x, SCHEDULE, x_0, t, noise).backward()
    x_t = SCHEDULE.add_noise(x_0, t, noise)
    expected = (2 * (0.3 * x_t - noise) * x_t).mean()
    assert float(scale.grad) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("t", [None, 0, 49])
def test_the_zero_denoiser_loses_one(t):
    found = evaluate(
        zero, MIXTURE, SCHEDULE, t=t, n_samples=2000, generator=generator(), dtype=torch.float64
    ).loss
    assert abs(found.value - 1) < 4 * found.standard_error
    # The mean of 20 squared normals has variance 2/20.
    assert found.standard_error == pytest.approx(math.sqrt(0.1 / 2000), rel=0.1)


@pytest.mark.parametrize("mixture", [MIXTURE, PAIRS])
def test_the_bayes_denoiser_has_no_excess_and_its_loss_is_the_bayes_risk(mixture):
    found = evaluate(
        BayesDenoiser(mixture, SCHEDULE),
        mixture, SCHEDULE, n_samples=4000, generator=generator(), dtype=torch.float64,
    )  # fmt: skip
    assert (found.excess_risk.value, found.score_error.value) == (0, 0)
    risk = bayes_risk(mixture, SCHEDULE)
    assert abs(found.loss.value - risk.value) < 4 * math.hypot(
        found.loss.standard_error, risk.standard_error
    )


@pytest.mark.parametrize("mixture", [MIXTURE, PAIRS])
@pytest.mark.parametrize("t", [None, 5, 30])
def test_excess_is_loss_minus_bayes_risk(mixture, t):
    found = evaluate(
        shrink, mixture, SCHEDULE, t=t, n_samples=4000, generator=generator(2), dtype=torch.float64
    )
    risk = bayes_risk(mixture, SCHEDULE, t=t)
    error = math.hypot(found.loss.standard_error, risk.standard_error)
    difference = found.loss.value - risk.value
    assert abs(difference - found.excess_risk.value) < 4 * error
    assert found.excess_risk.value > 10 * error


@pytest.mark.parametrize("t", [None, 20])
def test_all_three_numbers_from_the_draws_themselves(t):
    schedule = recorder()
    found = evaluate(
        shrink, MIXTURE, schedule,
        t=t, n_samples=150, batch_size=64, generator=generator(), dtype=torch.float64,
    )  # fmt: skip
    _, times, noise, x_t = schedule.seen()
    assert x_t.shape == (150, 5, 4)
    abar = np.cumprod(1 - np.linspace(1e-3, 0.15, 50))[times]
    bayes = bayes_noise(x_t, times)
    sigma = np.sqrt(1 - abar)[:, None, None]
    samples = {
        "loss": ((0.6 * x_t - noise) ** 2).mean((1, 2)),
        "excess_risk": ((0.6 * x_t - bayes) ** 2).mean((1, 2)),
        "score_error": ((-0.6 * x_t / sigma + bayes / sigma) ** 2).mean((1, 2)),
    }
    for name, values in samples.items():
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(values.mean(), rel=1e-10)
        # Stratified times: neighbours, which share a stratum's level, are compared in pairs.
        pairs = math.sqrt(np.mean((values[0::2] - values[1::2]) ** 2) / 2)
        spread = pairs if t is None else values.std(ddof=1)
        assert estimate.standard_error == pytest.approx(spread / math.sqrt(150), rel=1e-10)
    if t is not None:
        assert set(times) == {t}
        expected = found.excess_risk.value / (1 - abar[0])
        assert found.score_error.value == pytest.approx(expected, rel=1e-12)


def test_standard_error_with_stratified_times_is_the_scatter_between_runs():
    runs = [
        evaluate(shrink, MIXTURE, SCHEDULE, n_samples=200, generator=generator(s))
        for s in range(150)
    ]
    for name in ("loss", "excess_risk", "score_error"):
        scatter = np.std([getattr(run, name).value for run in runs], ddof=1)
        claimed = math.sqrt(np.mean([getattr(run, name).standard_error ** 2 for run in runs]))
        assert 0.8 < scatter / claimed < 1.25


def test_evaluation_repeats_with_its_generator():
    runs = [
        evaluate(shrink, MIXTURE, SCHEDULE, n_samples=8, generator=generator(s)) for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    before = torch.random.get_rng_state()
    evaluate(shrink, MIXTURE, SCHEDULE, n_samples=8, generator=generator())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_evaluation_builds_no_graph():
    weight = torch.ones(1, requires_grad=True)
    seen = []

    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(weight * x_t)
        return seen[-1]

    evaluate(denoise, MIXTURE, SCHEDULE, n_samples=4, generator=generator())
    assert not any(s.requires_grad for s in seen)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_denoiser_gets_the_asked_dtype_and_batches(dtype):
    shapes = []

    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert x_t.dtype == dtype
        assert t.dtype == torch.long
        shapes.append((tuple(x_t.shape), tuple(t.shape)))
        return torch.zeros_like(x_t)

    evaluate(denoise, MIXTURE, SCHEDULE, n_samples=10, batch_size=4, dtype=dtype)
    assert shapes == [((4, 5, 4), (4,)), ((4, 5, 4), (4,)), ((2, 5, 4), (2,))]


def test_batches_are_no_larger_than_memory_allows(monkeypatch):
    """Ten data points of 160 bytes in float64: three at a time in 500, one where not one fits."""
    sizes = []

    def denoise(x_t, t):
        sizes.append(len(x_t))
        return torch.zeros_like(x_t)

    for limit, expected in ((500, [3, 3, 3, 1]), (640, [4, 4, 2]), (100, [1] * 10)):
        sizes.clear()
        monkeypatch.setattr("gmmtf.risks.evaluate._BATCH_BYTES", limit)
        evaluate(denoise, MIXTURE, SCHEDULE, n_samples=10, batch_size=4)
        assert sizes == expected


def test_stratified_times_fill_their_strata():
    for n in (1, 7, 50, 64):
        t = stratified_times(SCHEDULE, n, generator(n))
        assert (t.shape, t.dtype) == ((n,), torch.long)
        stratum = np.arange(n)
        assert (t.numpy() >= np.floor(stratum * 50 / n)).all()
        assert (t.numpy() <= np.ceil((stratum + 1) * 50 / n) - 1 + 1e-9).all()
    assert stratified_times(SCHEDULE, 50, generator()).tolist() == list(range(50))


@pytest.mark.parametrize("n", [3, 16])
def test_stratified_times_are_uniform_in_total(n):
    source, schedule = generator(5), NoiseSchedule.linear(10)
    draws = torch.cat([stratified_times(schedule, n, source) for _ in range(4000)])
    counts = np.bincount(draws.numpy(), minlength=10)
    assert len(counts) == 10
    share = len(draws) / 10
    assert (np.abs(counts - share) < 5 * np.sqrt(share)).all()


@pytest.mark.parametrize(
    "denoise",
    [lambda x, t: x[:1], lambda x, t: x.mean(-1), lambda x, t: x[..., None], lambda x, t: x.sum()],
)
def test_denoiser_of_another_shape_is_named(denoise):
    x = torch.ones(2, 5, 4)
    with pytest.raises(ValueError, match=r"^denoise: "):
        ddpm_loss(denoise, SCHEDULE, x, torch.tensor([0, 1]), x)
    with pytest.raises(ValueError, match=r"^denoise: "):
        evaluate(denoise, MIXTURE, SCHEDULE, n_samples=4)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n_samples": 1}, "n_samples"),
        ({"n_samples": 0}, "n_samples"),
        ({"t": -1}, "t"),
        ({"t": 50}, "t"),
        ({"t": 1.5}, "t"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": -1}, "batch_size"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=rf"^{named}: "):
        evaluate(zero, MIXTURE, SCHEDULE, **{"n_samples": 4, **arguments})


def test_bad_batches_are_named():
    x = torch.ones(2, 5, 4)
    with pytest.raises(ValueError, match=r"^noise: "):
        ddpm_loss(zero, SCHEDULE, x, torch.tensor([0, 1]), x[:, :4])
    with pytest.raises(ValueError, match=r"^t: "):
        ddpm_loss(zero, SCHEDULE, x, torch.tensor([0, 50]), x)


def test_errors_of_half_precision_are_squared_in_float64():
    """300² is beyond float16."""

    def far(x_t, t):
        return torch.full_like(x_t, 300.0)

    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=2, radius=1.0, sigma=0.5)
    found = evaluate(far, law, SCHEDULE, n_samples=8, dtype=torch.float16)
    assert found.loss.value == pytest.approx(300.0**2 + 1, rel=0.02)


def test_a_module_is_scored_in_evaluation_mode_and_keeps_the_modes_of_its_parts():
    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Dropout(0.5), torch.nn.Dropout(0.5).eval()
            self.seen = []

        def forward(self, x_t, t):
            self.seen.append([part.training for part in self.modules()])
            return torch.zeros_like(x_t)

    network = Noisy()
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=2, radius=1.0, sigma=0.5)
    evaluate(network, law, SCHEDULE, n_samples=4)
    assert network.seen == [[False, False, False]]
    assert [part.training for part in network.modules()] == [True, True, False]
