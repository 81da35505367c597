"""The ways of attention: the same averages, and memory that is linear in the number of tokens."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from gmmtf.denoisers import attention
from gmmtf.denoisers.attention import attend

WAYS = {"all at once": (99, 99), "one by one": (0, 99), "fused": (0, 0)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("own", [True, False], ids=["own tokens", "other context"])
def test_all_ways_give_the_same_averages_and_gradients(monkeypatch, way, own):
    """Against the sums written out, in float64."""
    few, many = WAYS[way]
    monkeypatch.setattr(attention, "FEW_TOKENS", few)
    monkeypatch.setattr(attention, "MANY_TOKENS", many)
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 9, 5), (3, 9 if own else 12, 5), (3, 9, 5)]
    queries, context, slope = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    queries.requires_grad_()
    context.requires_grad_()
    weights = torch.exp(torch.einsum("bnd,bmd->bnm", queries, context))
    expected = torch.einsum("bnm,bmd->bnd", weights, context) / weights.sum(-1, keepdim=True)
    found = attend(queries, context)
    torch.testing.assert_close(found, expected)
    for each, other in zip(
        torch.autograd.grad(found, (queries, context), slope),
        torch.autograd.grad(expected, (queries, context), slope),
        strict=True,
    ):
        torch.testing.assert_close(each, other)
    assert attend(queries[:0], context[:0]).shape == (0, 9, 5)


def test_the_way_is_chosen_by_the_tokens_attended_to(monkeypatch):
    seen = []
    real = torch.nn.functional.scaled_dot_product_attention

    def watched(queries: torch.Tensor, *rest: torch.Tensor, scale: float) -> torch.Tensor:
        seen.append(queries.ndim)
        return real(queries, *rest, scale=scale)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    for n_tokens in (512, 513, 4095, 4096):
        attend(torch.zeros(1, 2, 3), torch.zeros(1, n_tokens, 3))
        seen.append(n_tokens)
    assert seen == [3, 512, 513, 4095, 4, 4096]  # a number of axes, then which number of tokens


PEAK = """
import torch
from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule

def peak():
    return int(next(x for x in open("/proc/self/status") if x.startswith("VmHWM")).split()[1])

for n_tokens in (4096, 4096, 8192):
    law = MultiTokenGMM(n_patterns=2, dim=8, n_tokens=n_tokens, radius=2.0, sigma=0.3)
    head = AttentionDenoiser(law, NoiseSchedule.linear(10))
    head(law.sample(1).x_0, torch.tensor([5])).square().mean().backward()
    print(peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_is_linear_in_the_number_of_tokens():
    """One matrix of float32 would add 64 and 256 MiB."""
    command = [sys.executable, "-c", PEAK]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    _, small, large = (int(kilobytes) / 1024 for kilobytes in printed.split())
    assert large - small < 32
