"""Data points, the five attention maps on them, and what the head does with a given map (C6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, BayesDenoiser, Estimate, MultiTokenGMM, OracleDenoiser
from gmmtf.denoisers.replaced import GivenAttention, same_pattern_attention, uniform_attention
from gmmtf.randomness import standard_normal
from gmmtf_book.c06_mean_denoising.predictions import require_all_active

MAPS = ("trained", "uniform", "same", "other", "twin")
"""The attention of the trained head, 1/N, uniform on the query's pattern, the map of another data
point, and that of a data point with the same labels and other noise."""


def attention_maps(
    head: AttentionDenoiser, t: int, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Draw data points at time ``t``, and the attention of each intervention on them.

    Returns ``x_t`` ``[batch, N, d]``, labels ``[batch, N]`` and the maps of :data:`MAPS`,
    ``[batch or 1, N, N]``. The other data point is the next of the batch, so two are needed.
    """
    if batch_size < 2:
        raise ValueError(f"batch_size: expected at least 2, got {batch_size}")
    labels, _ = head.mixture.sample_labels(batch_size, generator)
    x_t, twin = (noisy_tokens(head, labels, t, generator) for _ in range(2))
    with torch.no_grad():
        trained, of_twin = (head.attention(x, times(t, x)) for x in (x_t, twin))
    uniform = uniform_attention(head.mixture.n_tokens).to(trained)
    same = same_pattern_attention(labels).to(trained)
    each = (trained, uniform, same, trained.roll(1, 0), of_twin)
    return x_t, labels, dict(zip(MAPS, each, strict=True))


def noisy_tokens(
    head: AttentionDenoiser, labels: Tensor, t: int, generator: torch.Generator
) -> Tensor:
    """Draw noisy tokens ``[batch, N, d]`` for given labels ``[batch, N]``, as the head needs."""
    shape = (*labels.shape, head.mixture.dim)
    clean = head.mixture.means.to(labels.device)[labels]
    clean = clean + head.mixture.sigma * standard_normal(shape, generator, torch.float64)
    noise = standard_normal(shape, generator, torch.float64)
    return head.schedule.add_noise(clean, times(t, labels), noise).to(head.weight.dtype)


def distances(
    head: AttentionDenoiser, maps: Mapping[str, Tensor], x_t: Tensor, labels: Tensor, t: int
) -> dict[tuple[str, str], Tensor]:
    """Mean squared distances ``[batch]`` of the head with given maps from the two estimates.

    Keys are ``("oracle", map)``, the excess over the oracle's risk, and ``("bayes", map)``.
    """
    law, at = (head.mixture, head.schedule), times(t, x_t)
    oracle, bayes = OracleDenoiser(*law)(x_t, at, labels), BayesDenoiser(*law)(x_t, at)
    estimates = {name: GivenAttention(*law, maps[name])(x_t, at) for name in maps}
    return {
        (target, name): (estimate - truth).double().square().mean((1, 2))
        for target, truth in (("oracle", oracle), ("bayes", bayes))
        for name, estimate in estimates.items()
    }


def labels_with_count(
    mixture: MultiTokenGMM, count: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """Draw labels ``[batch, N]`` of which the first ``count`` are one pattern and the rest others.

    Raises ``ValueError`` if K < M or ``count`` is not between 1 and N - 1.
    """
    require_all_active(mixture)
    n = mixture.n_tokens
    if not 1 <= count <= n - 1:
        raise ValueError(f"count: expected 1 to {n - 1}, got {count}")
    pi = mixture.probabilities.to(generator.device)
    chosen = torch.multinomial(pi, batch_size, replacement=True, generator=generator)
    rest = pi.expand(batch_size, -1).scatter(1, chosen[:, None], 0.0)
    others = torch.multinomial(rest, n - count, replacement=True, generator=generator)
    return torch.cat([chosen[:, None].expand(-1, count), others], 1)


def times(t: int, x: Tensor) -> Tensor:
    """``t`` for each data point of a batch."""
    return torch.full((len(x),), t, device=x.device)


def means(batches: Iterable[Mapping[Any, Tensor]]) -> dict[Any, Estimate]:
    """Means over the data points of all batches."""
    each = list(batches)
    return {
        key: Estimate.from_samples(torch.cat([batch[key].double() for batch in each]))
        for key in each[0]
    }
