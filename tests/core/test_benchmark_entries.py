"""The benchmark's entries: what each computes before it is trained, and how rates are set."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from gmmtf import AttentionDenoiser, LinearDenoiser, MultiTokenGMM, optimal_denoiser
from gmmtf.benchmark import ENTRIES, TASKS, Entry, entries, running
from gmmtf.benchmark.averages import KernelAverage, LinearAttention
from gmmtf.benchmark.entries import KERNEL_WIDTH, START, entry, isotropic
from gmmtf.benchmark.networks import Preconditioned, TokenMLP
from gmmtf.benchmark.tasks import SCHEDULE, STEPS, TOKENS_PER_STEP
from gmmtf.denoisers.empirical import empirical_ideal
from gmmtf.laws.level import noise_level
from gmmtf.laws.moments import token_moments
from gmmtf.optimizer import resolve_lr
from gmmtf.parametrisation import from_noise

LAW = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=5, radius=2.0, sigma=0.5, n_active=2)
NETWORKS = ("MLP", "deep sets", "transformer", "DiT", "U-Net")


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(law, n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Something of the form of noisy data, and times."""
    x_t = torch.randn(n, law.n_tokens, law.dim, generator=source(), dtype=torch.float64)
    return x_t, torch.linspace(50, 900, n).long()


def test_the_network_is_between_variances_of_one():
    law = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=16, radius=6.0, sigma=0.5)
    seen = []

    class Body(torch.nn.Module):
        def forward(self, x, t):
            seen.append(x)
            return torch.zeros_like(x)

    x_0 = law.sample(200, source()).x_0
    noise = torch.randn(x_0.shape, generator=source(1))
    network = Preconditioned(Body(), law, SCHEDULE)
    for level in (50, 400, 900):
        t = torch.full((200,), level)
        x_t = SCHEDULE.add_noise(x_0, t, noise)
        left = noise - network(x_t, t)
        assert float(seen[-1].square().mean()) == pytest.approx(1, rel=0.03)
        alpha_bar = float(SCHEDULE.alpha_bars[level])
        square = alpha_bar * network.square + 1 - alpha_bar
        gain = alpha_bar * network.square / square
        assert float(left.square().mean()) == pytest.approx(gain, rel=0.03)
        product = left * x_t  # of the best multiple nothing is left along x_t
        assert abs(product.mean()) < 4 * product.std() / product.numel() ** 0.5
        network.body.forward = lambda x, t: torch.ones_like(x)
        assert torch.allclose(network(x_t, t) - (noise - left), torch.tensor(gain**0.5))
        del network.body.forward


def test_the_mean_and_all_directions_count_in_the_variance_of_one():
    single = MultiTokenGMM.from_patterns(torch.full((1, 4), 3.0), n_tokens=2, sigma=0.5)
    assert Preconditioned(TokenMLP(4), single, SCHEDULE).square == pytest.approx(9.25)
    assert len(token_moments(single).variances) == 0
    assert Preconditioned(TokenMLP(4), LAW, SCHEDULE).square == pytest.approx(4 / 4 + 0.25)


def test_heads_are_made_for_the_isotropic_mixture():
    law = TASKS["covariances"].law
    found = isotropic(law)
    mean = torch.einsum("cii->c", law.covariances).mean() / law.dim
    assert found.sigma**2 == pytest.approx(float(mean))
    assert torch.equal(found.means, law.means)
    digits = TASKS["digits"].law
    assert torch.allclose(isotropic(digits).probabilities, digits.weights)
    assert isotropic(TASKS["few"].law) is TASKS["few"].law


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_networks_start_near_the_best_multiple_and_see_what_they_should(name):
    network = ENTRIES[name].make(TASKS["every"].law, SCHEDULE, 0)
    x_t = torch.randn(2, 64, 32, generator=source())
    t = torch.tensor([9, 500])
    assert network(x_t, t).shape == x_t.shape
    if name == "U-Net":  # its convolutions see an order, and it does not start at zero
        assert not torch.allclose(network(x_t, t).roll(1, 1), network(x_t.roll(1, 1), t))
        return
    assert float(network.body(x_t, t).abs().max()) == 0
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    found = network(x_t, t)
    torch.testing.assert_close(found.roll(1, 1), network(x_t.roll(1, 1), t), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(network.body(x_t, t), network.body(x_t, t.flip(0)), atol=1e-3)
    other = x_t.clone()
    other[:, 1:] += 1.0
    change = float((found - network(other, t))[:, 0].abs().max())
    assert change == 0 if name == "MLP" else change > 1e-3


def test_networks_differ_by_seed_and_are_the_same_for_one():
    law = TASKS["every"].law
    one, same, other = (ENTRIES["MLP"].make(law, SCHEDULE, seed) for seed in (3, 3, 4))
    assert torch.equal(one.body.first.weight, same.body.first.weight)
    assert not torch.equal(one.body.first.weight, other.body.first.weight)


def test_token_bayes_is_blind_to_the_set_and_best_so():
    law = TASKS["rare-data"].law
    denoise = ENTRIES["token Bayes"].make(law, SCHEDULE, 0)
    x_t = law.sample(3, source(), torch.float64).x_0
    t = torch.full((3,), 300)
    changed = x_t.clone()
    changed[:, 1:] = 0
    assert torch.equal(denoise(x_t, t)[:, 0], denoise(changed, t)[:, 0])
    assert denoise.mixture.probabilities.tolist() == pytest.approx([0.02] + [0.14] * 7)
    full = TASKS["covariances"].law  # whose tokens are independent
    x_t, t = noisy(full)
    found = ENTRIES["token Bayes"].make(full, SCHEDULE, 0)(x_t, t)
    assert torch.equal(found, optimal_denoiser(full, SCHEDULE)(x_t, t))


def test_no_denoising_and_the_linear_filter():
    x_t, t = noisy(LAW)
    assert torch.equal(ENTRIES["zero"].make(LAW, SCHEDULE, 0)(x_t, t), torch.zeros_like(x_t))
    expected = LinearDenoiser(LAW, SCHEDULE)(x_t, t)
    assert torch.equal(ENTRIES["linear"].make(LAW, SCHEDULE, 0)(x_t, t), expected)


def test_the_ideal_knows_as_many_data_points_as_the_budget_has(monkeypatch):
    seen = []

    def ideal(x_0, schedule):
        seen.append(x_0)
        return empirical_ideal(x_0[:2], schedule)

    monkeypatch.setattr(entries, "empirical_ideal", ideal)
    for seed in (0, 0, 1):
        ENTRIES["empirical ideal"].make(LAW, SCHEDULE, seed)
    assert seen[0].shape == (STEPS * TOKENS_PER_STEP // 5, 5, 4)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not ENTRIES["empirical ideal"].any_length


def test_the_kernel_average_weighs_tokens_by_their_distance():
    x_t, t = noisy(LAW)
    width = 0.7
    found = KernelAverage(LAW, SCHEDULE, width)(x_t, t)
    level = noise_level(LAW, SCHEDULE, t)
    for b, n in ((0, 1), (1, 4), (2, 0)):
        x, tau = x_t[b], float(level.variance[b])
        logits = [-float((x[n] - y).square().sum()) / (2 * width * 4 * tau) for y in x]
        weights = torch.tensor(logits, dtype=torch.float64).exp()
        mean = (weights / weights.sum()) @ x
        assert torch.allclose(found[b, n], level.gain[b] * (x[n] - mean))
    assert KernelAverage(LAW, SCHEDULE, width)(x_t.float(), t).dtype == torch.float32
    made = ENTRIES["kernel average"].make(LAW, SCHEDULE, 0)
    assert made.width == KERNEL_WIDTH


@torch.no_grad()
def test_linear_attention_is_a_sum_of_products():
    x_t, t = noisy(LAW)
    made = LinearAttention(LAW, SCHEDULE).double()
    level = noise_level(LAW, SCHEDULE, t).for_tokens(x_t)
    assert torch.allclose(made(x_t, t), level.gain * x_t)  # W starts at zero
    made.weight.copy_(torch.randn(4, 4, generator=source(1)))
    made.value.copy_(torch.randn(4, 4, generator=source(2)))
    found = made(x_t, t)
    for b, n in ((0, 1), (2, 3)):
        x = x_t[b]
        terms = [float(x[n] @ made.weight @ y) * (made.value @ y) for y in x]
        expected = level.gain[b, 0, 0] * (x[n] - sum(terms) / 5)
        assert torch.allclose(found[b, n], expected)


def test_how_heads_start():
    square = 4.0  # r²
    eye = torch.eye(4)
    made = {name: ENTRIES[name].make(LAW, SCHEDULE, 0) for name in ENTRIES if "head" in name}
    for name in ("head", "head, Adam", "head + tilt", "head + skip", "head + value"):
        head = made[name]
        assert torch.equal(head.weight, torch.zeros(4, 4))
        assert head.tilt_correction == (name == "head + tilt")
        assert (head.skip is not None) == (name == "head + skip")
        assert (head.value is not None) == (name == "head + value")
    first, second = made["two heads"].heads
    assert torch.allclose(first.weight, START / square * eye)
    assert torch.allclose(second.weight, START / 5 / square * eye)
    assert torch.allclose(first.value, 0.85 * eye)
    assert torch.allclose(second.value, 0.15 * eye)
    layers = ENTRIES["two layers"].make(LAW, SCHEDULE, 0)
    weights = [p for name, p in layers.named_parameters() if name.endswith("weight")]
    assert len(weights) == 2
    assert all(torch.allclose(weight, START / square * eye) for weight in weights)
    uniform = ENTRIES["uniform attention"].make(LAW, SCHEDULE, 0)
    assert not any(p.requires_grad for p in uniform.parameters())
    x_t, t = noisy(LAW)
    level = noise_level(LAW, SCHEDULE, t).for_tokens(x_t)
    expected = level.gain * (x_t - x_t.mean(1, keepdim=True))
    assert torch.allclose(uniform(x_t.float(), t), expected.float(), atol=1e-5)


def test_rates_are_in_units_of_the_patterns():
    assert ENTRIES["head"].optimizer == "gd"
    assert ENTRIES["head"].lr(LAW) == resolve_lr("gd", None, LAW)
    full = TASKS["covariances"].law
    for name in ("head, Adam", "head + value", "two layers", "linear attention"):
        assert ENTRIES[name].optimizer == "adam"
        assert ENTRIES[name].lr(LAW) == pytest.approx(0.3 / 4)
        assert ENTRIES[name].lr(full) == pytest.approx(0.3 / 9)
    assert {ENTRIES[name].lr for name in NETWORKS} == {1e-2}


def test_the_rate_rises_and_falls():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = running.annealed(0.5, 40)([parameter])
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        parameter.grad = torch.ones(1)
        optimizer.step()
    assert rates[0] == pytest.approx(0.25)
    assert max(rates) == pytest.approx(rates[1]) == pytest.approx(0.5, rel=0.01)
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert rates[20] == pytest.approx(0.25)
    assert rates[-1] < 0.01


class OneMultiple(torch.nn.Module):
    """A multiple of what it sees, as any parametrisation."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.prediction = prediction
        self.factor = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x_t, t):
        return from_noise(self.factor * x_t, SCHEDULE, x_t, t, prediction=self.prediction)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_networks_of_every_parametrisation_are_trained_to_the_same(prediction):
    made = Entry("mine", "", lambda *_: OneMultiple(prediction), prediction=prediction)
    denoise = running.trained(made, TASKS["every"], 0, steps=4)
    x_t, t = noisy(TASKS["every"].law)
    found = denoise(x_t.float(), t)
    factor = denoise.network.factor.item()
    assert abs(factor - 0.5) > 0.01
    assert torch.allclose(found, factor * x_t.float(), atol=1e-4)
    plain = Entry("mine", "", lambda *_: OneMultiple("noise"))
    other = running.trained(plain, TASKS["every"], 0, steps=4)
    assert factor == pytest.approx(other.network.factor.item(), rel=1e-3)


def test_training_data_come_from_where_they_are_asked_for():
    """One step of gradient descent on the rate given, from data of the law or of another."""

    def made(lr: float) -> Entry:
        return Entry("mine", "", lambda *_: OneMultiple("noise"), optimizer="gd", lr=lr)

    on = TASKS["every"]
    small = MultiTokenGMM(n_patterns=4, dim=32, n_tokens=64, radius=0.1, sigma=0.01)
    factors = [
        running.trained(made(lr), on, 0, steps=1, data=data).network.factor.item()
        for data, lr in ((None, 0.1), (on.law, 0.1), (small, 0.1), (None, 0.2))
    ]
    assert factors[3] - 0.5 == pytest.approx(2 * (factors[0] - 0.5), rel=1e-4)
    assert factors[0] == factors[1] < factors[2]  # of nothing but noise, more is noise


def own_head(law, schedule, seed):
    """Return a head."""
    return AttentionDenoiser(isotropic(law), schedule)


ENTRY = Entry("mine", "as an entry", own_head, lr=None, optimizer="gd")
NUMBER = 3


def test_entries_of_ones_own():
    assert entry(f"{__name__}:ENTRY") is ENTRY
    assert entry("DiT") is ENTRIES["DiT"]
    made = entry(f"{__name__}:own_head")
    assert (made.name, made.about) == (f"{__name__}:own_head", "Return a head.")
    assert made.make is own_head
    with pytest.raises(ValueError, match="expected module:function"):
        entry("own_head")
    for name in ("no_such_module:f", f"{__name__}:nothing"):
        with pytest.raises(ValueError, match="cannot import"):
            entry(name)
    with pytest.raises(ValueError, match="to be a function or an Entry, got 3"):
        entry(f"{__name__}:NUMBER")


def test_all_entries_are_made_for_all_kinds_of_law():
    for name in ("covariances", "crowded"):
        law = TASKS[name].law
        x_t, t = noisy(law, 2)
        for each in ENTRIES.values():
            if each.name == "empirical ideal":
                continue
            found = each.make(law, SCHEDULE, 0)(x_t.float(), t)
            assert found.shape == x_t.shape
            assert math.isfinite(float(found.detach().abs().max()))
