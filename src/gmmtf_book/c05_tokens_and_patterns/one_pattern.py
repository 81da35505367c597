"""Simulated excess risk of one pattern's tokens, and descents that meet a rare pattern often.

Where few data points hold a pattern, most of a batch says nothing about it. So data points with it
are drawn more often than the law says, and count for less, which changes no mean.
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

OFTEN = 0.5  # share of data points drawn that hold the rarest pattern, where few do by the law
NEARLY_ALL = 0.95  # the same where its tokens alone are looked at


def drawn_law(mixture: MultiTokenGMM, share: float) -> MultiTokenGMM:
    """Return the law that data points are drawn from: a share of them hold pattern 0."""
    if mixture.inclusion is None:
        return mixture
    others = [(mixture.k - share) / (mixture.n_patterns - 1)] * (mixture.n_patterns - 1)
    return replace(mixture, inclusion=[share, *others])


def draw(
    mixture: MultiTokenGMM, times: Tensor, generator: torch.Generator | None, share: float = OFTEN
) -> Iterator[tuple[ReducedTokens, Tensor]]:
    """Draw chunks of data points, each with what it counts for, ``[batch]``: 1 on average."""
    drawn = drawn_law(mixture, share)
    for tokens in draw_in_chunks(drawn, SCHEDULE, times, generator):
        yield tokens, _counts(tokens.labels, mixture, drawn)


def _counts(labels: Tensor, mixture: MultiTokenGMM, drawn: MultiTokenGMM) -> Tensor:
    """p(S) of the law over p(S) of the one drawn from; S is what occurs among the labels."""
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
    """Gradient descent from W = 0 on fresh data points, drawn as :func:`draw` does.

    Regresses on the oracle's estimate, which has the same expected gradient as the Bayes one.
    """
    generator = torch.Generator(device).manual_seed(seed)

    def loss(weight: ReducedWeight) -> Tensor:
        times = stratified_times(SCHEDULE, batch_size, generator)
        total = torch.zeros((), dtype=torch.float64, device=device)
        for tokens, counts in draw(mixture, times, generator):
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

    With a pattern, each token's squared error counts in proportion to its posterior probability of
    the pattern, as in :func:`gmmtf.scaling.steps.pattern_excess`.
    """
    times = stratified_times(SCHEDULE, n_samples, generator)
    pieces = []
    for tokens, counts in draw(mixture, times, generator, OFTEN if pattern is None else NEARLY_ALL):
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
    span, factor, level, _ = tokens
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    posterior = posterior_from_projections(mixture, radius * span, level)
    chosen = torch.ones_like(posterior[..., 0]) if pattern is None else posterior[..., pattern]
    sums = []
    for weight in several:
        keys = span @ weight.pattern.to(span.device).T
        scores = span @ keys.mT + weight.gamma(mixture).to(span.device) * (factor @ factor.mT)
        attention = torch.softmax(scores, dim=-1)
        in_span = (attention @ span - level.signal * radius * posterior).square().sum(-1)
        square = in_span + (attention @ factor).square().sum(-1)
        sums.append(level.gain.flatten() ** 2 * (square * chosen).sum(1) / mixture.dim)
    return torch.stack(sums), chosen.sum(1)
