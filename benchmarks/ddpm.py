"""A plain DDPM training step of the attention head: what the theory's steps are compared with.

It is as fast as PyTorch makes it without code of its own: float32 throughout, PyTorch's float32
draws, and of the ways to attend the one that is the fastest on the machine at the time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import Work, seconds
from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.laws.level import noise_level
from gmmtf.risks.first_step import natural_step_size
from gmmtf.schedule import stratified_times

Attend = Callable[[Tensor, Tensor], Tensor]


def written_out(queries: Tensor, tokens: Tensor) -> Tensor:
    """Attend by two products and a softmax."""
    return torch.softmax(queries @ tokens.mT, -1) @ tokens


def fused(queries: Tensor, tokens: Tensor) -> Tensor:
    """Attend by PyTorch's fused kernel, which takes four axes."""
    keys = tokens[:, None]
    return F.scaled_dot_product_attention(queries[:, None], keys, keys, scale=1.0)[:, 0]


WAYS: dict[str, tuple[Attend, bool]] = {
    "written out": (written_out, False),
    "fused": (fused, False),
    "written out, one data point after the other": (written_out, True),
    "fused, one data point after the other": (fused, True),
}
"""Ways to attend: a function, and whether gradients are accumulated over single data points."""


def fastest_step(mixture: MultiTokenGMM, schedule: NoiseSchedule, batch: int) -> tuple[str, Work]:
    """Return the fastest way, found on few data points, and the step."""
    weight = torch.zeros(mixture.dim, mixture.dim, requires_grad=True)
    few = min(batch, 4)
    trials = {n: ddpm_step(weight, mixture, schedule, few, *way) for n, way in WAYS.items()}
    for step in trials.values():
        step()
    name = min(trials, key=lambda each: seconds(trials[each], inner=2))
    return name, ddpm_step(weight, mixture, schedule, batch, *WAYS[name])


def ddpm_step(
    weight: Tensor,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    batch: int,
    attend: Attend,
    one_by_one: bool,
) -> Work:
    """Return a step of ``weight``: fresh data, forward and backward pass, gradient descent."""
    generator = torch.Generator().manual_seed(0)
    means = mixture.means.float()
    shape = (batch, mixture.n_tokens, mixture.dim)
    rate = natural_step_size(mixture)

    def step() -> None:
        labels = torch.randint(mixture.n_patterns, shape[:2], generator=generator)
        x_0 = torch.randn(shape, generator=generator).mul_(mixture.sigma).add_(means[labels])
        t = stratified_times(schedule, batch, generator)
        noise = torch.randn(shape, generator=generator)
        x_t = schedule.add_noise(x_0, t, noise)
        gain = noise_level(mixture, schedule, t).for_tokens(x_t).gain
        gradient = torch.zeros_like(weight)
        for part in torch.arange(batch).split(1 if one_by_one else batch):
            which = slice(int(part[0]), int(part[-1]) + 1)
            x = x_t[which]
            predicted = gain[which] * (x - attend(x @ weight, x))
            loss = (predicted - noise[which]).square().sum() / x_t.numel()
            gradient += torch.autograd.grad(loss, weight)[0]
        with torch.no_grad():
            weight.sub_(gradient, alpha=rate)

    return step
