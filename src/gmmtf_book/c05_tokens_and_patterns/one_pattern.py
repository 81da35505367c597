"""Simulated excess risk of one pattern's tokens, and descents that meet a rare pattern often.

Where few data points hold pattern 0, most of a batch says nothing about it. So those that hold it
are drawn apart from those that do not, and count for as much as the law says: that changes no mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gmmtf import Estimate, MultiTokenGMM, ReducedWeight
from gmmtf.descent import weights
from gmmtf.laws import sets
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.risks.reduced_tokens import ReducedTokens, draw_in_chunks
from gmmtf.risks.simulation import squared_error
from gmmtf.schedule import stratified_times
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE

NEARLY_ALL = 0.95  # share that holds pattern 0 where data points are drawn that do


def draw(
    mixture: MultiTokenGMM, n_samples: int, generator: torch.Generator | None, *, apart: bool = True
) -> Iterator[tuple[ReducedTokens, Tensor]]:
    """Draw chunks of noisy data points, each with what it counts for, ``[batch]``.

    If few data points hold pattern 0, ``n_samples`` are drawn by the law, of which only those
    without it count, and as many of which nearly all hold it; without ``apart`` the latter alone.
    The counts of all add up to ``n_samples`` in the mean.
    """
    parts = [(mixture, torch.ones(2))]
    if mixture.inclusion is not None:
        n_others = mixture.n_patterns - 1
        others = [(mixture.k - NEARLY_ALL) / n_others] * n_others
        with_it = replace(mixture, inclusion=[NEARLY_ALL, *others])
        parts = [(mixture, torch.tensor([1.0, 0.0])), (with_it, torch.tensor([0.0, 1.0]))]
        parts = parts if apart else parts[1:]
    for drawn, kept in parts:
        times = stratified_times(SCHEDULE, n_samples, generator)
        for tokens in draw_in_chunks(drawn, SCHEDULE, times, generator):
            holds = (tokens.labels == 0).any(1).long()
            yield tokens, kept.to(times.device)[holds] * _ratio(tokens.labels, mixture, drawn)


def _ratio(labels: Tensor, mixture: MultiTokenGMM, drawn: MultiTokenGMM) -> Tensor:
    """p(S) of a law over p(S) of the one drawn from; S is what occurs among the labels."""
    if drawn is mixture:
        return torch.ones(len(labels), dtype=torch.float64, device=labels.device)
    active = one_hot(labels, mixture.n_patterns).amax(1)
    if not bool((active.sum(1) == mixture.k).all()):
        raise ValueError(f"n_tokens: {mixture.n_tokens} tokens do not show all active patterns")
    logs = [sets.log_probability(law.log_set_weights, active) for law in (mixture, drawn)]
    return torch.exp(logs[0] - logs[1])


def descend(
    mixture: MultiTokenGMM,
    steps: int,
    *,
    lr: float,
    batch_size: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, ReducedWeight]]:
    """Gradient descent from W = 0 on fresh data points, a batch of each kind in :func:`draw`.

    Regresses on the oracle's estimate, which has the same expected gradient as the Bayes one.
    """
    generator = torch.Generator(device).manual_seed(seed)

    def loss(weight: ReducedWeight) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=device)
        for tokens, counts in draw(mixture, batch_size, generator):
            known = one_hot(tokens.labels, mixture.n_patterns)
            errors = squared_error(weight, mixture, tokens, known)
            total = total + (counts * tokens.level.gain.flatten() ** 2 * errors).sum()
        return total / batch_size

    return weights(ReducedWeight.zero(mixture), loss, steps, lr=lr)


@torch.no_grad()
def simulated_excess(
    several: Sequence[ReducedWeight],
    mixture: MultiTokenGMM,
    n_samples: int,
    generator: torch.Generator | None = None,
    *,
    pattern: int | None = None,
) -> list[Estimate]:
    """Excess risk of weights, of all tokens or of those of one pattern, on the same data points.

    A token is of the pattern whose label it has. If few data points hold pattern 0, it is the one
    that may be asked for.
    """
    pieces = []
    for tokens, counts in draw(mixture, n_samples, generator, apart=pattern is None):
        errors, share = _errors(several, mixture, tokens, pattern)
        pieces.append((counts * errors, counts * share))
    errors, shares = torch.cat([e for e, _ in pieces], 1), torch.cat([s for _, s in pieces])
    found = []
    for each in errors:
        ratio = float(each.sum() / shares.sum())
        # To first order the error of a ratio is that of its numerator minus ratio x denominator.
        scatter = Estimate.from_strata((each - ratio * shares) / float(shares.mean()))
        found.append(Estimate(ratio, scatter.standard_error))
    return found


def _errors(
    several: Sequence[ReducedWeight],
    mixture: MultiTokenGMM,
    tokens: ReducedTokens,
    pattern: int | None,
) -> tuple[Tensor, Tensor]:
    """Sums over tokens of squared errors ``[weights, batch]``, and of what they count for."""
    span, factor, level, labels = tokens
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    posterior = posterior_from_projections(mixture, radius * span, level)
    chosen = torch.ones_like(labels) if pattern is None else (labels == pattern).long()
    sums = []
    for weight in several:
        keys = span @ weight.pattern.to(span.device).T
        scores = span @ keys.mT + weight.gamma(mixture).to(span.device) * (factor @ factor.mT)
        attention = torch.softmax(scores, dim=-1)
        in_span = (attention @ span - level.signal * radius * posterior).square().sum(-1)
        square = in_span + (attention @ factor).square().sum(-1)
        sums.append(level.gain.flatten() ** 2 * (square * chosen).sum(1) / mixture.dim)
    return torch.stack(sums), chosen.sum(1)
