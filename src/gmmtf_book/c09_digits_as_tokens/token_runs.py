"""Training the one-layer head on any law of tokens, and measuring denoisers on it.

Measured values are ``[value, standard_error]``, so that a study can record them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.law import Tokens
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import natural_step_size
from gmmtf.schedule import NoiseSchedule, stratified_times


class Law(Protocol):
    """What can draw data points."""

    def sample(
        self, batch_size: int, generator: torch.Generator | None = ..., dtype: torch.dtype = ...
    ) -> Tokens:
        """Draw ``batch_size`` data points."""


class Noisy(NamedTuple):
    """Noisy data points ``x_t`` ``[n, N, d]`` with their times, noise and labels."""

    x_t: Tensor
    t: Tensor
    noise: Tensor
    labels: Tensor


def draw_noisy(
    law: Law, schedule: NoiseSchedule, n: int, seed: int, *, t: int | None = None
) -> Noisy:
    """Draw noisy data points, with times stratified over the schedule or all equal to ``t``."""
    generator = torch.Generator().manual_seed(seed)
    tokens = law.sample(n, generator)
    times = stratified_times(schedule, n, generator) if t is None else torch.full((n,), t)
    noise = standard_normal(tokens.x_0.shape, generator)
    return Noisy(schedule.add_noise(tokens.x_0, times, noise), times, noise, tokens.labels)


@torch.no_grad()
def token_losses(denoise: Denoiser, noisy: Noisy, device: torch.device | None = None) -> Tensor:
    """Squared error per coordinate of every token, float64 ``[n, N]``."""
    parts = []
    for some in zip(*(value.split(16) for value in noisy[:3]), strict=True):
        x_t, t, noise = (value.to(device) for value in some)
        parts.append((denoise(x_t, t) - noise).double().square().mean(-1).cpu())
    return torch.cat(parts)


def descend(
    head: AttentionDenoiser,
    law: Law,
    *,
    steps: int,
    relative_step_size: float,
    batch_size: int,
    seed: int,
) -> Iterator[tuple[int, AttentionDenoiser]]:
    """Gradient descent of the head, in place, on the DDPM loss of any law (C3).

    Parameters
    ----------
    head
        Its mixture gives the unit of the step size, :func:`gmmtf.risks.first_step.natural_step_size`.

    Yields
    ------
    tuple[int, AttentionDenoiser]
        The number of steps taken, from 0, and the head.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    rate = relative_step_size * natural_step_size(head.mixture)
    optimizer = torch.optim.SGD(head.parameters(), lr=rate)
    device, schedule = head.weight.device, head.schedule
    # Drawn on the CPU, so that a run sees the same data on every device.
    generator = torch.Generator().manual_seed(seed)
    yield 0, head
    for step in tqdm(range(1, steps + 1), desc="training", leave=False):
        x_0 = law.sample(batch_size, generator).x_0
        t = stratified_times(schedule, batch_size, generator)
        noise = standard_normal(x_0.shape, generator)
        x_t = schedule.add_noise(x_0, t, noise)
        loss = (head(x_t.to(device), t.to(device)) - noise.to(device)).square().mean()
        if not math.isfinite(float(loss.detach())):
            raise FloatingPointError(
                f"the loss is {float(loss.detach())} at step {step}; "
                f"a smaller step size than {relative_step_size} may help"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield step, head


def curve(
    run: Iterator[tuple[int, AttentionDenoiser]],
    noisy: Noisy,
    *,
    records: Sequence[int],
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Loss of a head during training, on fixed noisy data points.

    Parameters
    ----------
    records
        The steps at which to measure; 0 must be among them.

    Returns
    -------
    dict
        ``steps``; ``loss`` at each of them; ``gain``: by how much it is below the loss at step 0,
        point by point; ``by_class``: the loss on the tokens of each class, without errors.
    """
    steps, losses = [], []
    for step, head in run:
        if step in records:
            steps.append(step)
            losses.append(token_losses(head, noisy, device))
    classes = range(int(noisy.labels.max()) + 1)
    return {
        "steps": steps,
        "loss": [_pair(loss.mean(1)) for loss in losses],
        "gain": [_pair((losses[0] - loss).mean(1)) for loss in losses],
        "by_class": [[float(loss[noisy.labels == u].mean()) for u in classes] for loss in losses],
    }


def compare(
    denoisers: Mapping[str, Denoiser],
    law: Law,
    schedule: NoiseSchedule,
    n: int,
    seed: int,
    *,
    reference: str,
    t: int | None = None,
    device: torch.device | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Losses of several denoisers on the same noisy tokens, and how far above ``reference``.

    Returns
    -------
    dict
        For each name ``loss`` and ``above``, the mean difference from the reference's loss, as
        ``[value, standard_error]``. A difference may be negative.
    """
    if reference not in denoisers:
        raise ValueError(f"reference: expected one of {sorted(denoisers)}, got {reference!r}")
    noisy = draw_noisy(law, schedule, n, seed, t=t)
    losses = {f: token_losses(denoise, noisy, device) for f, denoise in denoisers.items()}
    stratified = t is None
    return {
        name: {
            "loss": _pair(loss.mean(1), stratified),
            "above": _pair((loss - losses[reference]).mean(1), stratified),
        }
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
    share = torch.zeros(n_classes, dtype=torch.float64)
    for x_t, t, labels in zip(
        noisy.x_t.split(16), noisy.t.split(16), noisy.labels.split(16), strict=True
    ):
        weights = head.attention(x_t.to(device), t.to(device)).cpu().double()
        one_hot = torch.nn.functional.one_hot(labels, n_classes).double()
        total += torch.einsum("bnu,bnm,bmv->uv", one_hot, weights, one_hot)
        count += one_hot.sum((0, 1))
        share += one_hot.mean(1).sum(0)
    return total / count[:, None] / (share / len(noisy.t))


def measured_direction(
    law: Law,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    n_batches: int,
    batch_size: int,
    seed: int,
) -> Tensor:
    """Minus the gradient of the DDPM loss at W = 0, averaged over batches, ``[d, d]``.

    The head takes its d and σ from ``mixture``, the tokens come from ``law``.
    """
    generator = torch.Generator().manual_seed(seed)
    head = AttentionDenoiser(mixture, schedule)
    for _ in range(n_batches):
        x_0 = law.sample(batch_size, generator).x_0
        t = stratified_times(schedule, batch_size, generator)
        noise = standard_normal(x_0.shape, generator)
        loss = (head(schedule.add_noise(x_0, t, noise), t) - noise).square().mean()
        torch.autograd.backward(loss / n_batches)
    assert head.weight.grad is not None  # n_batches of backward have filled it
    return -head.weight.grad.double()


def _pair(samples: Tensor, stratified: bool = True) -> list[float]:
    estimate = Estimate.from_strata(samples) if stratified else Estimate.from_samples(samples)
    return [estimate.value, estimate.standard_error]
