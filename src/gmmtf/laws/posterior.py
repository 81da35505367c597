"""Posterior probabilities of the labels given the noisy tokens."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws.level import Level, check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

MAX_ACTIVE_SETS = 1_000_000
"""Largest number C(M, K) of active sets that is enumerated."""

_PART_ELEMENTS = 2**23  # data points times sets at a time: bounds the memory to 64 MB a matrix
_CHUNK_ELEMENTS = 2**18  # tokens times sets at a time: 2 MB a matrix, which stays in the cache

_SMALLEST = 1e-290  # sums below it have lost digits, or all
_NEGLIGIBLE = 100.0  # a set e^100 times less likely than another changes no digit


@checked
def posterior(mixture: MultiTokenGMM, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """Posterior p(z_n = u | X_t) of every token's label (theory, section MMSE).

    Parameters
    ----------
    x_t
        Noisy tokens ``[batch, tokens, d]``.
    t
        Times, integers ``[batch]``.

    Returns
    -------
    Tensor
        Probabilities ``[batch, tokens, M]``, computed in float64, in the dtype of ``x_t``.

    Raises
    ------
    ValueError
        If a shape or a time is wrong, or C(M, K) exceeds ``MAX_ACTIVE_SETS``.
    """
    check_tokens(mixture, x_t, t)
    x = x_t.double()
    level = noise_level(mixture, schedule, t).for_tokens(x)
    projections = x @ mixture.means.to(x).T
    return posterior_from_projections(mixture, projections, level).to(x_t)


@checked
def posterior_from_projections(mixture: MultiTokenGMM, projections: Tensor, level: Level) -> Tensor:
    """Posterior from the inner products ⟨μ_u, x_n⟩, ``[batch, tokens, M]``.

    The noisy tokens matter only through these M numbers a token, so nothing here depends on d.
    """
    squares = mixture.gram.diagonal().to(projections)
    likelihoods = (level.signal * projections - level.signal**2 * squares / 2) / level.variance
    logits = likelihoods + mixture.probabilities.log().to(projections)
    if mixture.k == mixture.n_patterns:
        return torch.softmax(logits, dim=-1)
    return _posterior_over_sets(mixture, logits)


@checked
def active_sets(mixture: MultiTokenGMM) -> Tensor:
    """All sets of K patterns, long ``[C(M, K), K]``.

    Raises
    ------
    ValueError
        If there are more than ``MAX_ACTIVE_SETS``.
    """
    count = math.comb(mixture.n_patterns, mixture.k)
    if count > MAX_ACTIVE_SETS:
        raise ValueError(
            f"n_active: the exact posterior enumerates C({mixture.n_patterns}, {mixture.k}) = "
            f"{count} active sets, more than the limit of {MAX_ACTIVE_SETS}; "
            "fewer patterns, or fewer or more active ones, have fewer sets"
        )
    return _sets_of(mixture.n_patterns, mixture.k)


@checked
def set_probabilities(mixture: MultiTokenGMM) -> Tensor:
    """Probability of each of the :func:`active_sets`, float64 ``[C(M, K)]``; errors as there."""
    return torch.softmax(mixture.log_set_weights[active_sets(mixture)].sum(1), 0)


@lru_cache(maxsize=4)
def _sets_of(size: int, k: int) -> Tensor:
    flat = itertools.chain.from_iterable(itertools.combinations(range(size), k))
    listed = np.fromiter(flat, dtype=np.int64, count=k * math.comb(size, k))
    return torch.from_numpy(listed).view(-1, k)


def _posterior_over_sets(mixture: MultiTokenGMM, logits: Tensor) -> Tensor:
    """Posterior for K < M: the tokens share the unknown active set S.

    p(S | X) ∝ p(S) Π_n Σ_{u in S} π_{u|S} φ_u(x_n); given S the tokens are independent again.
    ``logits`` are log π_u φ_u(x_n). With the sets as rows of a matrix of zeros and ones, the sums
    over u in S and over S are matrix products. They work with numbers, not with logarithms: a data
    point for which that could lose a set is done again in log space.
    """
    sets = active_sets(mixture)
    log_prior = mixture.log_set_weights[sets].sum(-1)
    log_prior = log_prior - logits.shape[1] * mixture.probabilities[sets].sum(-1).log()
    sets, log_prior = sets.to(logits.device), log_prior.to(logits)
    result = torch.empty_like(logits)
    exact = torch.empty(len(logits), dtype=torch.bool, device=logits.device)
    per_part = max(1, min(_PART_ELEMENTS // len(sets), _CHUNK_ELEMENTS // (256 * logits.shape[1])))
    for part in torch.arange(len(logits), device=logits.device).split(per_part):
        result[part], exact[part] = _by_products(logits[part], sets, log_prior)
    if not bool(exact.all()):
        result[~exact] = _in_log_space(logits[~exact], sets, log_prior)
    return result


def _by_products(logits: Tensor, sets: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """Posteriors by matrix products, and for which data points they are exact."""
    batch, tokens, patterns = logits.shape
    per_chunk = max(1, _CHUNK_ELEMENTS // (batch * tokens))
    likelihood = torch.exp(logits - logits.amax(-1, keepdim=True)).flatten(0, 1)
    evidence, lost = [], []
    for chunk in sets.split(per_chunk):
        sums = likelihood @ _members(chunk, patterns, likelihood).T
        lost.append((sums < _SMALLEST).view(batch, tokens, -1).any(1))
        logs = sums.clamp_(min=_SMALLEST).log_().view(batch, tokens, -1)
        evidence.append(logs.sum(1))
    found, is_lost = torch.cat(evidence, 1) + log_prior, torch.cat(lost, 1)
    # The evidence of a lost set is too large, if wrong: the others are exact if it is negligible.
    best = found.masked_fill(is_lost, -torch.inf).amax(1)
    exact = (found.masked_fill(~is_lost, -torch.inf).amax(1) < best - _NEGLIGIBLE) | ~is_lost.any(1)
    found = found.masked_fill(is_lost, -torch.inf)
    # A data point tells most sets apart, and the negligible ones need no second look.
    kept = (found > best[:, None] - _NEGLIGIBLE).any(0)
    sets, weights = sets[kept], torch.softmax(found[:, kept], 1)
    mixed = torch.zeros_like(likelihood)
    for chunk, weight in zip(sets.split(per_chunk), weights.split(per_chunk, 1), strict=True):
        members = _members(chunk, patterns, likelihood)
        sums = (likelihood @ members.T).clamp_(min=_SMALLEST)
        share = weight[:, None].expand(-1, tokens, -1).flatten(0, 1) / sums
        mixed += share @ members
    return (mixed * likelihood).view_as(logits), exact


def _members(sets: Tensor, patterns: int, like: Tensor) -> Tensor:
    """Sets as rows of zeros and ones, ``[sets, M]``."""
    return like.new_zeros(len(sets), patterns).scatter_(1, sets, 1.0)


def _in_log_space(logits: Tensor, sets: Tensor, log_prior: Tensor) -> Tensor:
    """Posteriors ``[batch, tokens, M]`` without underflow, slower."""
    batch, tokens, _ = logits.shape
    per_chunk = max(1, _CHUNK_ELEMENTS // (batch * tokens * sets.shape[1]))
    chunks = torch.split(sets, per_chunk)
    evidence = torch.cat([logits[..., chunk].logsumexp(-1).sum(1) for chunk in chunks], 1)
    weights = torch.softmax(evidence + log_prior, 1).split(per_chunk, 1)
    result = torch.zeros_like(logits)
    for chunk, weight in zip(chunks, weights, strict=True):
        given_set = torch.softmax(logits[..., chunk], dim=-1) * weight[:, None, :, None]
        result.index_add_(2, chunk.flatten(), given_set.flatten(2))
    return result
