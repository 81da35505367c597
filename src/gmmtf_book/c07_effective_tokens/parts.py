"""What the effective picture is made of: tilted clouds, effective tokens, parts of the excess."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from gmmtf import MultiTokenGMM, ReducedWeight
from gmmtf.randomness import standard_normal
from gmmtf.risks.expansion import expand
from gmmtf.risks.head import PLAIN, Scores, output, scores
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.reduced_tokens import draw_tokens
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE, on_patterns

TIMES = (5, 20, *range(50, 650, 50), 700, 800, 900, 990)
"""Times at which the parts of an excess are shown."""


class TokenCloud(NamedTuple):
    """Noisy tokens in the plane, seen from one query.

    ``tokens``: the other tokens ``[n, 2]``; ``attention``: the query's attention to them ``[n]``,
    which sums to one with ``own``, that to itself; ``query``, ``average``: the query and its
    attention average ``[2]``; ``centres``: means of the components ``[2, 2]``; ``spread``: their
    standard deviation τ; ``drift``: the tilt τ²Wᵀx ``[2]``; ``labels``: probabilities of the
    components under the weights w^j for j = 0, 1, 2 ``[3, 2]``; ``limit``: the average of endlessly
    many tokens ``[2]``; ``effective``: predicted effective number of other tokens.
    """

    tokens: Tensor
    attention: Tensor
    own: float
    query: Tensor
    average: Tensor
    centres: Tensor
    spread: float
    drift: Tensor
    labels: Tensor
    limit: Tensor
    effective: float


def token_cloud(
    mixture: MultiTokenGMM, strength: float, query: Tensor, t: int, generator: torch.Generator
) -> TokenCloud:
    """Draw the N - 1 other tokens of a data point in the plane and weigh them from a query.

    ``strength``: βr² of the weight W = βI; ``query``: the query token ``[2]``. A ValueError says if
    the mixture is not one of two patterns in two dimensions, or ``t`` is outside the schedule.
    """
    queries = _one_query(mixture, query, t)
    seen = scores(on_patterns(mixture, strength), queries)
    found = _weights(seen, queries)
    tokens, attention, averages = _attend(queries, seen, 1, generator)
    drift = (queries.level.variance * seen.tilt)[:2, 0]
    centres = float(queries.reach) * torch.eye(2, dtype=torch.float64)
    labels = torch.cat([queries.log_weights.exp(), found.first, found.second], 1).T
    return TokenCloud(
        tokens[0, :-1], attention[0, :-1], float(attention[0, -1]), query, averages[0], centres,
        spread=float(queries.level.variance.sqrt()), drift=drift, labels=labels,
        limit=labels[1] @ centres + drift,
        effective=(mixture.n_tokens - 1) / float(found.rho),
    )  # fmt: skip


def average_again(
    mixture: MultiTokenGMM, strength: float, query: Tensor, t: int, *, n_draws: int,
    generator: torch.Generator,
) -> tuple[Tensor, float]:  # fmt: skip
    """Attention averages ``[n_draws, 2]`` of one query over data points, and what is predicted.

    The second number is the root mean square distance of the average from its limit y∞ that the
    expansion predicts. Arguments and errors as for :func:`token_cloud`.
    """
    queries = _one_query(mixture, query, t)
    seen = scores(on_patterns(mixture, strength), queries)
    averages = _attend(queries, seen, n_draws, generator)[2]
    found = _weights(seen, queries)
    zero = torch.zeros_like(queries.token[:1])
    limit = torch.cat([queries.reach * found.first, zero]) + queries.level.variance * seen.tilt
    away = output(PLAIN, seen.tilt, queries)._replace(offset=-limit)
    return averages, math.sqrt(float(expand(seen, away, queries).square))


def _one_query(mixture: MultiTokenGMM, query: Tensor, t: int) -> Queries:
    """Return a net of a single query token, given in the plane of the patterns."""
    found = mixture.n_patterns, mixture.dim
    if found != (2, 2):
        raise ValueError(f"mixture: expected two patterns in two dimensions, got {found}")
    net = draw_queries(mixture, SCHEDULE, t=t, n_points=1)
    token = torch.cat([query.to(torch.float64), torch.zeros(1, dtype=torch.float64)])[:, None]
    return replace(net, token=token)


def _attend(
    queries: Queries, seen: Scores, n_draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens ``[n_draws, N, 2]`` with the query last, its attention to them, and its averages."""
    mixture = queries.mixture
    labels, _ = mixture.sample_labels(n_draws, generator)
    tokens = queries.level.variance.sqrt() * standard_normal(
        (n_draws, mixture.n_tokens, 2), generator, torch.float64
    )
    tokens += float(queries.reach) * torch.nn.functional.one_hot(labels, 2)
    tokens[:, -1] = queries.token[:2, 0]
    attention = torch.softmax(tokens @ seen.tilt[:2, 0], 1)
    return tokens, attention, (attention[:, :, None] * tokens).sum(1)


class _Weights(NamedTuple):
    """Weights of the others: ``rho`` = E ω², ``own`` = w_s, ``first``, ``second``: α^(1), α^(2)."""

    rho: Tensor
    own: Tensor
    first: Tensor
    second: Tensor


def _weights(seen: Scores, queries: Queries) -> _Weights:
    logs = [queries.log_weights + j * seen.shifts for j in (1, 2)]
    mass = [torch.logsumexp(each, 0) for each in logs]
    own = torch.exp(seen.own - mass[0] - seen.variance / 2) / (queries.mixture.n_tokens - 1)
    rho = torch.exp(seen.variance + mass[1] - 2 * mass[0])
    return _Weights(rho, own, torch.softmax(logs[0], 0), torch.softmax(logs[1], 0))


def effective_tokens(weight: ReducedWeight, mixture: MultiTokenGMM, t: int) -> float:
    """Predicted effective number of tokens, 1/E Σ_m A², to first order in 1/N.

    Given the query, Σ A² is (ρ/(N-1) + w_s²)/(1 + w_s)²: (N-1)/ρ tokens if the query's own weight
    w_s is small (theory result 5).
    """
    queries = draw_queries(mixture, SCHEDULE, t=t, n_points=4096)
    found = _weights(scores(weight, queries), queries)
    squares = (found.rho / (mixture.n_tokens - 1) + found.own**2) / (1 + found.own) ** 2
    return 1 / float((queries.importance * squares).mean())


@torch.no_grad()
def participating_tokens(
    weight: ReducedWeight, mixture: MultiTokenGMM, t: int, *, n_samples: int,
    generator: torch.Generator,
) -> float:  # fmt: skip
    """Measured counterpart of :func:`effective_tokens`: 1 over the mean of Σ_m A_nm²."""
    tokens = draw_tokens(mixture, SCHEDULE, torch.full((n_samples,), t), generator)
    logits = tokens.span @ weight.pattern @ tokens.span.mT
    if float(weight.complement) != 0:
        logits = logits + weight.gamma(mixture) * (tokens.factor @ tokens.factor.mT)
    return 1 / float(torch.softmax(logits, -1).square().sum(-1).mean())


def token_counts(
    mixture: MultiTokenGMM, times: Sequence[int], strengths: Sequence[float], *, seed: int
) -> pd.DataFrame:
    """Effective numbers of tokens under weights βP, ``predicted`` and ``measured``."""
    rows = []
    for t, strength in product(times, strengths):
        weight, generator = on_patterns(mixture, strength), torch.Generator().manual_seed(seed)
        found = participating_tokens(weight, mixture, t, n_samples=2, generator=generator)
        rows.append((t, strength, effective_tokens(weight, mixture, t), found))
    return pd.DataFrame(rows, columns=["t", "strength", "predicted", "measured"])


def by_strength(mixture: MultiTokenGMM, strengths: Sequence[float], *, seed: int) -> pd.DataFrame:
    """Parts of the excess risk of weights βP, a row a strength."""
    weights = [on_patterns(mixture, strength) for strength in strengths]
    rows = [decompose(weight, mixture, n_points=2048, seed=seed) for weight in weights]
    return pd.DataFrame(rows, index=pd.Index(strengths))


def by_time(weight: ReducedWeight, mixture: MultiTokenGMM, *, seed: int) -> pd.DataFrame:
    """Parts of the excess risk of one weight, a row a time."""
    rows = [decompose(weight, mixture, t, n_points=1024, seed=seed) for t in TIMES]
    return pd.DataFrame(rows, index=pd.Index(TIMES))


def decompose(
    weight: ReducedWeight, mixture: MultiTokenGMM, t: int | None = None, *, n_points: int = 4096,
    seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Parts of the plain head's excess risk in the expansion (theory result 5).

    ``wrong patterns``: squared distance of the softmax label weights' pattern from the posterior's;
    ``tilt``: square of the tilt; ``product``: twice their inner product; ``own token``: what the
    query's attention to itself changes; ``variance``: first order of the average's variance;
    ``rest``: the bias of a ratio of means, and the second order. Their sum is ``total``.
    """
    queries = draw_queries(mixture, SCHEDULE, t=t, n_points=n_points, seed=seed)
    seen = scores(weight, queries)
    found = _weights(seen, queries)
    zero = torch.zeros_like(seen.tilt[:1])
    wrong = torch.cat([queries.reach * found.first, zero]) - queries.target
    drift = queries.level.variance * seen.tilt
    # The average is pulled from its limit towards the query, by the query's own weight.
    share = found.own / (1 + found.own)
    pull = share * (wrong + drift + queries.target - queries.token)
    limit_square = (wrong + drift).square().sum(0)
    parts = {
        "wrong patterns": wrong.square().sum(0),
        "tilt": drift.square().sum(0),
        "product": 2 * (wrong * drift).sum(0),
        "own token": (wrong + drift - pull).square().sum(0) - limit_square,
        "variance": _variance(found, seen, queries, pull) * (1 - share) ** 2,
    }
    total = expand(seen, output(PLAIN, seen.tilt, queries), queries).square
    parts["rest"] = total - torch.stack(list(parts.values())).sum(0)
    parts["total"] = total
    return {name: float((queries.factor * value).mean()) for name, value in parts.items()}


def _variance(found: _Weights, seen: Scores, queries: Queries, pull: Tensor) -> Tensor:
    """E‖ω(x - y∞) + (ω - 1) pull‖²/(N - 1): the doubled tilt about the limit y∞."""
    zero = torch.zeros_like(pull[:1])
    moved = torch.cat([queries.reach * (found.second - found.first), zero])
    mean = moved + queries.level.variance * seen.tilt
    labels = queries.reach**2 * (1 - found.second.square().sum(0))
    noise = queries.level.variance * queries.mixture.dim
    about = found.rho * (mean.square().sum(0) + labels + noise + 2 * (mean * pull).sum(0))
    return (about + (found.rho - 1) * pull.square().sum(0)) / (queries.mixture.n_tokens - 1)
