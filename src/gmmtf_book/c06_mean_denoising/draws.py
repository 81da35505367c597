"""Interventions on the attention, simulated on whole data points (C6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.optimal import BayesDenoiser, OracleDenoiser
from gmmtf.denoisers.replaced import (
    GivenAttention,
    map_numbers,
    same_pattern_attention,
    uniform_attention,
)
from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import natural_step_size
from gmmtf.schedule import NoiseSchedule
from gmmtf.training import train

MAPS = ("trained", "uniform", "same", "other", "twin")
"""The attention of the trained head, 1/N, uniform on the query's pattern, the map of another data
point, and that of a data point with the same labels and other noise."""

Pair = list[float]
"""An estimate as JSON: value and standard error."""


def train_head(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    steps: int,
    batch_size: int,
    relative_step_size: float,
    seed: int,
    device: torch.device | str = "cpu",
) -> AttentionDenoiser:
    """Train the full d x d weight from W = 0, on the Bayes estimate as the target (C3).

    ``relative_step_size`` is in units of :func:`gmmtf.risks.first_step.natural_step_size`.
    """
    head = AttentionDenoiser(mixture, schedule).to(device)
    run = train(
        head,
        mixture,
        schedule,
        steps,
        target="bayes",
        lr=relative_step_size * natural_step_size(mixture),
        batch_size=batch_size,
        record_every=steps,
        eval_samples=2,
        seed=seed,
    )
    for _ in run:
        pass
    return head


def attention_maps(
    head: AttentionDenoiser, t: int, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Draw data points at time ``t``, and the attention of each intervention on them.

    Returns
    -------
    tuple[Tensor, Tensor, dict[str, Tensor]]
        ``x_t`` ``[batch, N, d]``, labels ``[batch, N]`` and the maps of :data:`MAPS`,
        ``[batch or 1, N, N]``. The other data point is the next of the batch.

    Raises
    ------
    ValueError
        If ``batch_size`` is below 2: the map of another data point is needed.
    """
    if batch_size < 2:
        raise ValueError(f"batch_size: expected at least 2, got {batch_size}")
    mixture, dtype = head.mixture, head.weight.dtype
    times = torch.full((batch_size,), t, device=head.weight.device)
    labels, _ = mixture.sample_labels(batch_size, generator)
    x_t, twin = (noisy_tokens(head, labels, times, generator) for _ in range(2))
    with torch.no_grad():
        trained = head.attention(x_t, times)
        maps = {
            "trained": trained,
            "uniform": uniform_attention(mixture.n_tokens).to(trained),
            "same": same_pattern_attention(labels).to(dtype),
            "other": trained.roll(1, 0),
            "twin": head.attention(twin, times),
        }
    return x_t, labels, maps


def noisy_tokens(
    head: AttentionDenoiser, labels: Tensor, times: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw noisy tokens ``[batch, N, d]`` for given labels ``[batch, N]``, as the head needs."""
    mixture, dtype = head.mixture, head.weight.dtype
    shape = (*labels.shape, mixture.dim)
    clean = mixture.means.to(labels.device)[labels]
    clean = clean + mixture.sigma * standard_normal(shape, generator, torch.float64)
    noise = standard_normal(shape, generator, torch.float64)
    return head.schedule.add_noise(clean, times, noise).to(dtype)


def measure(
    head: AttentionDenoiser, t: int, *, n_samples: int, batch_size: int, seed: int
) -> dict[str, Any]:
    """Simulate all interventions on the same data points at time ``t``.

    Returns
    -------
    dict
        ``oracle`` and ``bayes``: for each of :data:`MAPS` the mean squared distance from the two
        estimates, per coordinate, as a :data:`Pair`; the first is the excess over the oracle's
        risk. ``map``: the numbers of the trained map (:class:`gmmtf.denoisers.replaced.MapNumbers`).
    """
    mixture, schedule = head.mixture, head.schedule
    generator = torch.Generator(head.weight.device).manual_seed(seed)
    oracle, bayes = OracleDenoiser(mixture, schedule), BayesDenoiser(mixture, schedule)
    found: dict[str, dict[str, list[Tensor]]] = {"oracle": {}, "bayes": {}, "map": {}}
    for _ in range(-(-n_samples // batch_size)):
        x_t, labels, maps = attention_maps(head, t, batch_size, generator)
        times = torch.full((batch_size,), t, device=x_t.device)
        targets = {"oracle": oracle(x_t, times, labels), "bayes": bayes(x_t, times)}
        for name, attention in maps.items():
            estimate = GivenAttention(mixture, schedule, attention)(x_t, times)
            for target, truth in targets.items():
                distance = (estimate - truth).double().square().mean((1, 2))
                found[target].setdefault(name, []).append(distance)
        for name, value in map_numbers(maps["trained"], labels)._asdict().items():
            found["map"].setdefault(name, []).append(value.double())
    return {
        group: {name: _pair(torch.cat(values)) for name, values in rows.items()}
        for group, rows in found.items()
    }


def measure_counts(
    head: AttentionDenoiser,
    t: int,
    counts: Sequence[int],
    *,
    n_samples: int,
    batch_size: int,
    seed: int,
) -> dict[str, dict[str, Pair]]:
    """Error of the attention output, ‖Σ_m A_nm x_m - √ᾱ μ_{z_n}‖²/(dτ²), against n_u.

    In each data point one pattern, drawn with probability π, has exactly ``count`` tokens, and the
    labels of the others are independent; the error is that of the tokens of this pattern. In these
    units it is 1/count for same-pattern attention.

    Returns
    -------
    dict
        For each count (as text) the errors of the ``trained`` and the ``same``-pattern map.
    """
    mixture = head.mixture
    generator = torch.Generator(head.weight.device).manual_seed(seed)
    times = torch.full((batch_size,), t, device=head.weight.device)
    level = noise_level(mixture, head.schedule, times).for_tokens(head.weight)
    result = {}
    for count in counts:
        found: dict[str, list[Tensor]] = {"trained": [], "same": []}
        for _ in range(-(-n_samples // batch_size)):
            labels = labels_with_count(mixture, count, batch_size, generator)
            x_t = noisy_tokens(head, labels, times, generator)
            truth = level.signal * mixture.means.to(x_t)[labels[:, :1]]
            with torch.no_grad():
                averages = {
                    "trained": head.attention(x_t, times)[:, :count] @ x_t,
                    "same": x_t[:, :count].mean(1, keepdim=True),
                }
            for name, average in averages.items():
                error = (average - truth).double().square().mean((1, 2))
                found[name].append(error / level.variance[:, 0, 0].double())
        result[str(count)] = {name: _pair(torch.cat(rows)) for name, rows in found.items()}
    return result


def labels_with_count(
    mixture: MultiTokenGMM, count: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """Draw labels ``[batch, N]`` of which the first ``count`` are one pattern and the rest others.

    Raises
    ------
    ValueError
        If K < M or ``count`` is not between 1 and N - 1.
    """
    if mixture.k < mixture.n_patterns:
        raise ValueError(f"n_active: expected all {mixture.n_patterns} patterns, got {mixture.k}")
    if not 1 <= count <= mixture.n_tokens - 1:
        raise ValueError(f"count: expected 1 to {mixture.n_tokens - 1}, got {count}")
    pi = mixture.probabilities.to(generator.device)
    chosen = torch.multinomial(pi, batch_size, replacement=True, generator=generator)
    rest = pi.expand(batch_size, -1).scatter(1, chosen[:, None], 0.0)
    others = torch.multinomial(
        rest, mixture.n_tokens - count, replacement=True, generator=generator
    )
    return torch.cat([chosen[:, None].expand(-1, count), others], 1)


def _pair(samples: Tensor) -> Pair:
    estimate = Estimate.from_samples(samples)
    return [estimate.value, estimate.standard_error]
