"""What is timed is what the titles say: the same step by every way, the same products, a power."""

from __future__ import annotations

import itertools

import pytest
import torch
from benchmarks import cases, ddpm, growth, head
from torch.utils.flop_counter import FlopCounterMode

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers import attention

SMALL = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=16, radius=3.0, sigma=0.3)


def weight_after(n_steps: int, way: tuple[ddpm.Attend, bool]) -> torch.Tensor:
    weight = torch.zeros(SMALL.dim, SMALL.dim, requires_grad=True)
    step = ddpm.ddpm_step(weight, SMALL, cases.SCHEDULE, 5, *way)
    for _ in range(n_steps):
        step()
    return weight.detach()


def test_all_ways_to_attend_make_the_same_ddpm_step():
    first, *others = (weight_after(3, way) for way in ddpm.WAYS.values())
    assert float(first.abs().max()) > 1e-4
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-4, atol=1e-7)


def test_the_ddpm_step_is_gradient_descent_of_the_head_on_the_objective(monkeypatch):
    """Of the library's head, on the data that the step has drawn."""
    drawn = []
    real = NoiseSchedule.add_noise

    def noted(self: NoiseSchedule, x_0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor):
        drawn.append((real(self, x_0, t, noise), t, noise))
        return drawn[-1][0]

    monkeypatch.setattr(NoiseSchedule, "add_noise", noted)
    weight = weight_after(1, ddpm.WAYS["written out"])
    x_t, t, noise = drawn[0]
    network = AttentionDenoiser(SMALL, cases.SCHEDULE)
    (network(x_t, t) - noise).square().mean().backward()
    rate = cases.natural_step_size(SMALL)
    torch.testing.assert_close(weight, -rate * network.weight.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("few", [0, 99], ids=["one by one", "all at once"])
def test_the_products_are_those_of_a_training_step(monkeypatch, few):
    """Counted: the head's passes need the products, and no others."""
    monkeypatch.setattr(head, "MIXTURE", SMALL)
    monkeypatch.setattr(attention, "FEW_TOKENS", few)
    network = AttentionDenoiser(SMALL, head.SCHEDULE)
    x_t, t = SMALL.sample(head.BATCH).x_0, torch.arange(head.BATCH)
    products = head._products()
    with FlopCounterMode(display=False) as expected:
        network(x_t, t).square().mean().backward()
    with FlopCounterMode(display=False) as found:
        products()
    assert found.get_total_flops() == expected.get_total_flops() > 0


def test_growth_is_the_power_of_the_time(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(growth, "seconds", lambda work, n=1: work() * (1 + next(clock) % 3 / 10))
    title, spread = growth.growth("work", "N", [2, 4, 8, 16], lambda n: lambda: 3 * n**1.5)()
    assert spread.median == pytest.approx(1.5, abs=0.05)
    assert spread.minimum < spread.maximum
    assert title.startswith("work grows with N from 2 to 16 by the power (standard error 0.0")


def test_sets_are_as_many_as_the_case_says(monkeypatch):
    seen = []
    monkeypatch.setattr(
        growth, "posterior", lambda law, *rest: seen.append((law.n_patterns, law.k))
    )
    for n_sets in (70, 252, 924):
        growth.over_sets(n_sets)()
    assert seen == [(8, 4), (10, 5), (12, 6)]
