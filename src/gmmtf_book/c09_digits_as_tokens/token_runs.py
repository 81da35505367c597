"""Training the one-layer head on any law of tokens, and measuring denoisers on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, Estimate, Law, NoiseSchedule, natural_step_size, train
from gmmtf.denoisers import Denoiser
from gmmtf.laws.noisy import Noisy
from gmmtf.randomness import standard_normal
from gmmtf.schedule import stratified_times


def draw_noisy(
    law: Law, schedule: NoiseSchedule, n: int, seed: int, *, t: int | None = None
) -> Noisy:
    """Draw noisy data points, with times stratified over the schedule or all equal to ``t``."""
    generator = torch.Generator().manual_seed(seed)
    x_0, labels, active = law.sample(n, generator)
    times = stratified_times(schedule, n, generator) if t is None else torch.full((n,), t)
    noise = standard_normal(x_0.shape, generator)
    return Noisy(schedule.add_noise(x_0, times, noise), times, noise, x_0, labels, active)


@torch.no_grad()
def token_losses(denoise: Denoiser, noisy: Noisy, device: torch.device | None = None) -> Tensor:
    """Squared error per coordinate of every token, float64 ``[n, N]``."""
    parts = []
    for some in zip(*(value.split(16) for value in noisy[:3]), strict=True):
        x_t, t, noise = (value.to(device) for value in some)
        parts.append((denoise(x_t, t) - noise).double().square().mean(-1).cpu())
    return torch.cat(parts)


def training_curve(
    head: AttentionDenoiser, law: Law, noisy: Noisy, *, records: Sequence[int],
    relative_step_size: float, batch_size: int, seed: int, device: torch.device | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train the head, in place, on a law, and measure it on fixed noisy data points (C3).

    The data are drawn on the CPU, so that a run sees the same ones on every device. Returns the
    ``steps``; ``loss`` at each of them; ``gain``: by how much it is below the loss at step 0, point
    by point; ``by_class``: the loss on the tokens of each class, without errors.
    """
    run = train(
        head, law, head.schedule, records[-1],
        lr=relative_step_size * natural_step_size(head.mixture), batch_size=batch_size,
        seed=seed, record_at=records, eval_samples=None, data_device="cpu",
    )  # fmt: skip
    losses = [token_losses(head, noisy, device) for _ in run]
    classes = range(int(noisy.labels.max()) + 1)
    return {
        "steps": list(records),
        "loss": [Estimate.from_strata(loss.mean(1)) for loss in losses],
        "gain": [Estimate.paired(losses[0].mean(1), loss.mean(1), strata=True) for loss in losses],
        "by_class": [[float(loss[noisy.labels == u].mean()) for u in classes] for loss in losses],
    }


def compare(
    denoisers: Mapping[str, Denoiser], law: Law, schedule: NoiseSchedule, n: int, seed: int, *,
    reference: str, t: int | None = None, device: torch.device | None = None,
) -> dict[str, dict[str, Estimate]]:  # fmt: skip
    """Losses of several denoisers on the same noisy tokens, and how far above ``reference``.

    For each name ``loss`` and ``above``, the mean difference from the reference's loss, which may
    be negative.
    """
    if reference not in denoisers:
        raise ValueError(f"reference: expected one of {sorted(denoisers)}, got {reference!r}")
    noisy = draw_noisy(law, schedule, n, seed, t=t)
    losses = {f: token_losses(denoise, noisy, device) for f, denoise in denoisers.items()}
    base = losses[reference]
    estimate = Estimate.from_strata if t is None else Estimate.from_samples
    return {
        name: {"loss": estimate(loss.mean(1)), "above": estimate((loss - base).mean(1))}
        for name, loss in losses.items()
    }


@torch.no_grad()
def attention_by_class(
    head: AttentionDenoiser, noisy: Noisy, n_classes: int, device: torch.device | None = None
) -> Tensor:
    """Attention from tokens of class u to tokens of class v over their share of tokens, [M, M].

    The head's mean total weight on a class, divided by the mean fraction of tokens of that class:
    1 for uniform attention, and a little more on the diagonal, since a token is of its own class.
    """
    total = torch.zeros(n_classes, n_classes, dtype=torch.float64)
    count = torch.zeros(n_classes, dtype=torch.float64)
    parts = (value.split(16) for value in (noisy.x_t, noisy.t, noisy.labels))
    for x_t, t, labels in zip(*parts, strict=True):
        weights = head.attention(x_t.to(device), t.to(device)).cpu().double()
        one_hot = torch.nn.functional.one_hot(labels, n_classes).double()
        total += torch.einsum("bnu,bnm,bmv->uv", one_hot, weights, one_hot)
        count += one_hot.sum((0, 1))
    return total / count[:, None] / (count / noisy.labels.numel())
