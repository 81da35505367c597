"""The attention head against closed forms, explicit loops and its symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule

SCHEDULE = NoiseSchedule.linear(100, 1e-3, 0.1)
MIXTURE = MultiTokenGMM(
    n_patterns=3, dim=5, n_tokens=7, radius=2.0, sigma=0.4, weights=[0.5, 0.3, 0.2]
)
TIMES = torch.tensor([0, 10, 60, 99])


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def head(weight: torch.Tensor | None = None) -> AttentionDenoiser:
    denoiser = AttentionDenoiser(MIXTURE, SCHEDULE, torch.float64)
    if weight is not None:
        with torch.no_grad():
            denoiser.weight.copy_(weight)
    return denoiser


def noisy(batch: int = 4, times: torch.Tensor = TIMES, seed: int = 0) -> torch.Tensor:
    x_0 = MIXTURE.sample(batch, torch.Generator().manual_seed(seed), torch.float64).x_0
    return SCHEDULE.add_noise(x_0, times, normal(*x_0.shape, seed=seed + 1))


def gains(times: torch.Tensor = TIMES) -> np.ndarray:
    abar = np.cumprod(1 - np.linspace(1e-3, 0.1, 100))[times]
    return np.sqrt(1 - abar) / (abar * 0.16 + 1 - abar)


WEIGHTS = {
    "identity": 0.8 * torch.eye(5, dtype=torch.float64),
    "negative": -0.3 * torch.eye(5, dtype=torch.float64),
    "one sided": torch.diag(torch.ones(4, dtype=torch.float64), 1),
    "general": normal(5, 5, seed=3),
    "sharp": 50.0 * torch.eye(5, dtype=torch.float64),
}


def test_the_start_is_the_closed_form():
    denoiser, x_t = AttentionDenoiser(MIXTURE, SCHEDULE, torch.float64), noisy()
    assert denoiser.weight.shape == (5, 5)
    assert not bool(denoiser.weight.any())
    expected = gains()[:, None, None] * (x_t - x_t.mean(1, keepdim=True)).numpy()
    np.testing.assert_allclose(denoiser(x_t, TIMES).detach(), expected, rtol=1e-10, atol=1e-12)
    uniform = np.full((4, 7, 7), 1 / 7)
    np.testing.assert_allclose(denoiser.attention(x_t, TIMES).detach(), uniform, rtol=1e-12)


@pytest.mark.parametrize("name", WEIGHTS)
def test_forward_and_attention_are_the_explicit_loops(name):
    weight, x_t = WEIGHTS[name], noisy()
    denoiser = head(weight)
    noise, attention = denoiser(x_t, TIMES).detach(), denoiser.attention(x_t, TIMES).detach()
    for b in range(4):
        for n in range(7):
            scores = [float(x_t[b, n] @ weight @ x_t[b, m]) for m in range(7)]
            top = max(scores)
            exponentials = [math.exp(s - top) for s in scores]
            row = torch.tensor([e / sum(exponentials) for e in exponentials], dtype=torch.float64)
            average = sum(row[m] * x_t[b, m] for m in range(7))
            torch.testing.assert_close(attention[b, n], row, rtol=1e-10, atol=1e-12)
            expected = gains()[b] * (x_t[b, n] - average)
            torch.testing.assert_close(noise[b, n], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", WEIGHTS)
def test_attention_rows_sum_to_one(name):
    attention = head(WEIGHTS[name]).attention(noisy(), TIMES)
    assert bool((attention >= 0).all())
    np.testing.assert_allclose(attention.sum(-1).detach(), np.ones((4, 7)), rtol=1e-12)


def test_permuting_the_tokens_permutes_the_output():
    denoiser, x_t, order = head(WEIGHTS["general"]), noisy(), [3, 0, 6, 1, 5, 2, 4]
    found = denoiser(x_t[:, order], TIMES)
    torch.testing.assert_close(found, denoiser(x_t, TIMES)[:, order], rtol=1e-10, atol=1e-12)


def test_rotating_the_tokens_and_the_weight_rotates_the_output():
    rotation = torch.from_numpy(np.linalg.qr(normal(5, 5, seed=8).numpy())[0])
    weight, x_t = WEIGHTS["general"], noisy()
    turned = head(rotation.T @ weight @ rotation)(x_t @ rotation, TIMES)
    expected = head(weight)(x_t, TIMES) @ rotation
    torch.testing.assert_close(turned, expected, rtol=1e-10, atol=1e-12)


def test_gradients_pass_gradcheck():
    denoiser, x_t = head(), noisy(2, TIMES[1:3]).requires_grad_()
    weight = (0.3 * normal(5, 5, seed=4)).requires_grad_()

    def call(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(denoiser, {"weight": w}, (x, TIMES[1:3]))

    assert torch.autograd.gradcheck(call, (x_t, weight))


def test_pattern_products():
    weight, patterns = WEIGHTS["general"], normal(3, 5, seed=5)
    mixture = MultiTokenGMM.from_patterns(patterns, n_tokens=2, sigma=1.0)
    denoiser = AttentionDenoiser(mixture, SCHEDULE, torch.float64)
    with torch.no_grad():
        denoiser.weight.copy_(weight)
    found = denoiser.pattern_products()
    for u in range(3):
        for v in range(3):
            expected = float(patterns[u] @ weight @ patterns[v])
            assert float(found[u, v]) == pytest.approx(expected, rel=1e-10)
    assert not found.requires_grad


def first_step(x_t: torch.Tensor, times: torch.Tensor, noise: torch.Tensor) -> np.ndarray:
    """-∇L of every data point at W = 0 for the DDPM loss, by autograd."""
    denoiser, rows = head(), []
    for x, t, eps in zip(x_t, times, noise, strict=True):
        loss = (denoiser(x[None], t[None]) - eps).square().mean()
        rows.append(-torch.autograd.grad(loss, denoiser.weight)[0].numpy())
    return np.stack(rows)


def theory_first_step(x: np.ndarray, abar: float) -> np.ndarray:
    """Theory result 1 at finite N: (2c²/(Nd)) Σ_n x_n (√ᾱ m_n - x̄)ᵀ Ĉ, for each data point."""
    variance = abar * 0.16 + 1 - abar
    gain = math.sqrt(1 - abar) / variance
    means = 2.0 * np.eye(3, 5)
    squared = ((x[:, :, None] - math.sqrt(abar) * means) ** 2).sum(-1)
    p = np.array([0.5, 0.3, 0.2]) * np.exp(-squared / (2 * variance))
    m = p / p.sum(-1, keepdims=True) @ means
    centre = x.mean(1, keepdims=True)
    covariance = np.einsum("bni,bnj->bij", x - centre, x - centre) / x.shape[1]
    rows = np.einsum("bni,bnj->bij", x, math.sqrt(abar) * m - centre)
    return 2 * gain**2 / (x.shape[1] * x.shape[2]) * rows @ covariance


@pytest.mark.parametrize("t", [5, 30, 70])
def test_first_step_is_theory_result_1(t):
    batch = 2000
    times = torch.full((batch,), t)
    x_0 = MIXTURE.sample(batch, torch.Generator().manual_seed(11), torch.float64).x_0
    noise = normal(*x_0.shape, seed=12)
    x_t = SCHEDULE.add_noise(x_0, times, noise)
    abar = float(np.cumprod(1 - np.linspace(1e-3, 0.1, 100))[t])
    expected = theory_first_step(x_t.numpy(), abar)
    # Same draws on both sides: the difference has mean zero and little variance.
    difference = first_step(x_t, times, noise) - expected
    error = difference.std(0) / math.sqrt(batch)
    assert (np.abs(difference.mean(0)) / error).max() < 4.5
    signal = np.abs(expected.mean(0)[:3, :3].diagonal())
    assert (signal > 7 * error[:3, :3].diagonal()).all()


def test_first_step_with_many_tokens_is_along_the_patterns():
    """As N → ∞ it is (2c²ᾱ/d) C_μ (ᾱ C_μ + τ² I)."""
    n_tokens, abar, pi = 1500, 0.5, np.array([0.5, 0.3, 0.2])
    schedule = NoiseSchedule(torch.tensor([0.5]))
    mixture = MultiTokenGMM(
        n_patterns=3, dim=5, n_tokens=n_tokens, radius=2.0, sigma=0.4, weights=pi.tolist()
    )
    denoiser = AttentionDenoiser(mixture, schedule, torch.float64)
    times, total = torch.zeros(1, dtype=torch.long), torch.zeros(5, 5, dtype=torch.float64)
    for seed in range(8):
        x_0 = mixture.sample(1, torch.Generator().manual_seed(seed), torch.float64).x_0
        noise = normal(*x_0.shape, seed=100 + seed)
        loss = (denoiser(schedule.add_noise(x_0, times, noise), times) - noise).square().mean()
        total -= torch.autograd.grad(loss, denoiser.weight)[0] / 8
    spread = np.zeros((5, 5))
    spread[:3, :3] = 4 * (np.diag(pi) - np.outer(pi, pi))
    variance = abar * 0.16 + 1 - abar
    gain = math.sqrt(1 - abar) / variance
    expected = 2 * gain**2 * abar / 5 * spread @ (abar * spread + variance * np.eye(5))
    np.testing.assert_allclose(total, expected, atol=0.06 * np.abs(expected).max())


BAD_INPUT = {
    "two axes": (torch.zeros(2, 5), torch.tensor([0, 1]), "x_t"),
    "wrong dim": (torch.zeros(2, 7, 6), torch.tensor([0, 1]), "x_t"),
    "four axes": (torch.zeros(2, 7, 5, 1), torch.tensor([0, 1]), "x_t"),
    "integers": (torch.zeros(2, 7, 5, dtype=torch.long), torch.tensor([0, 1]), "x_t"),
    "other precision": (torch.zeros(2, 7, 5, dtype=torch.float64), torch.tensor([0, 1]), "x_t"),
    "too few times": (torch.zeros(2, 7, 5), torch.tensor([0]), "t"),
    "late": (torch.zeros(2, 7, 5), torch.tensor([0, 100]), "t"),
    "early": (torch.zeros(2, 7, 5), torch.tensor([-1, 0]), "t"),
    "float times": (torch.zeros(2, 7, 5), torch.tensor([0.0, 1.0]), "t"),
}


@pytest.mark.parametrize("method", ["forward", "attention"])
@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_named(name, method):
    x_t, t, named = BAD_INPUT[name]
    denoiser = AttentionDenoiser(MIXTURE, SCHEDULE)  # float32
    with pytest.raises(ValueError, match=rf"^{named}: "):
        getattr(denoiser, method)(x_t, t)
