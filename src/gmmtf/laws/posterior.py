"""Posterior probabilities of the labels given the noisy tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws import half_sets
from gmmtf.laws.half_sets import SMALLEST
from gmmtf.laws.level import Level, check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

MAX_ACTIVE_SETS = 1_000_000
"""Largest number C(M, K) of active sets that is enumerated."""

_PART_ELEMENTS = 2**23  # data points times sets at a time: bounds the memory to 64 MB a matrix
_CHUNK_ELEMENTS = 2**18  # tokens times sets at a time: 2 MB a matrix, which stays in the cache

_NEGLIGIBLE = 100.0  # a set e^100 times less likely than another changes no digit
_MANY_SETS = 1024  # from here on a bound on their weights is worth its time
_FEW = 16  # sums over one set in 16 take less time than shared ones over all
_SHARED = 4  # of smaller sets, or of all but so few patterns, the halves are many

_Compute = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@checked
def posterior(mixture: MultiTokenGMM, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """Posterior p(z_n = u | X_t) of every token's label (:prf:ref:`thm-mmse-bayes`).

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
    return half_sets.all_sets(mixture.n_patterns, mixture.k)


@checked
def set_probabilities(mixture: MultiTokenGMM) -> Tensor:
    """Probability of each of the :func:`active_sets`, float64 ``[C(M, K)]``; errors as there."""
    return torch.softmax(mixture.log_set_weights[active_sets(mixture)].sum(1), 0)


def _posterior_over_sets(mixture: MultiTokenGMM, logits: Tensor) -> Tensor:
    """Posterior for K < M: the tokens share the unknown active set S.

    p(S | X) ∝ p(S) Π_n Σ_{u in S} π_{u|S} φ_u(x_n); given S the tokens are independent again.
    ``logits`` are log π_u φ_u(x_n). Of many sets, a bound tells which can weigh anything: at little
    noise very few. Where it leaves many, the sums over all sets share their work.
    """
    sets = active_sets(mixture)
    log_prior = mixture.log_set_weights[sets].sum(-1)
    log_prior = log_prior - logits.shape[1] * mixture.probabilities[sets].sum(-1).log()
    sets, log_prior = sets.to(logits.device), log_prior.to(logits)
    result = torch.empty_like(logits)
    n_idle = mixture.n_patterns - mixture.k
    per_part = max(1, min(_PART_ELEMENTS // len(sets), _CHUNK_ELEMENTS // (256 * logits.shape[1])))
    for part in torch.arange(len(logits), device=logits.device).split(per_part):
        if len(sets) < _MANY_SETS:
            result[part] = _exactly(_by_products, logits[part], sets, log_prior)
            continue
        possible = _possible(logits[part], sets, log_prior)
        few = (possible.sum(1) <= len(sets) // _FEW) | (min(mixture.k, n_idle) < _SHARED)
        if bool(few.any()):
            kept = possible[few].any(0)
            found = _exactly(_by_products, logits[part[few]], sets[kept], log_prior[kept])
            result[part[few]] = found
        if not bool(few.all()):
            result[part[~few]] = _exactly(_by_halves, logits[part[~few]], sets, log_prior)
    return result


def _possible(logits: Tensor, sets: Tensor, log_prior: Tensor) -> Tensor:
    """Which sets can weigh more than e^-100 of another, ``[batch, sets]``.

    A token's sum over S is at most that of its K largest likelihoods, and if its likeliest pattern
    is not in S, that of the K next ones. The logarithm of this bound, summed over the tokens, is
    linear in S.
    """
    k = sets.shape[1]
    largest, patterns = logits.topk(k + 1)
    at_most, without = largest[..., :k].logsumexp(-1), largest[..., 1:].logsumexp(-1)
    gain = torch.zeros_like(logits[:, 0]).scatter_add_(1, patterns[..., 0], at_most - without)
    bound = log_prior + without.sum(1, keepdim=True)
    for members in sets.T:
        bound += gain[:, members]
    likely = bound.argmax(1)
    chosen = sets[likely][:, None].expand(-1, logits.shape[1], -1)
    reached = log_prior[likely] + logits.gather(2, chosen).logsumexp(-1).sum(1)
    rounding = 1e-12 * (reached.abs() + log_prior[likely].abs())
    return ~(bound < (reached - _NEGLIGIBLE - rounding)[:, None])  # NaN stays


def _exactly(compute: _Compute, logits: Tensor, sets: Tensor, log_prior: Tensor) -> Tensor:
    """Posteriors by numbers, which may lose a set, and where they do by logarithms."""
    found, exact = compute(logits, sets, log_prior)
    if not bool(exact.all()):
        found[~exact] = _in_log_space(logits[~exact], sets, log_prior)
    return found


def _by_halves(logits: Tensor, sets: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """Posteriors over all sets of one size, and for which data points they are exact."""
    likelihood = torch.exp(logits - logits.amax(-1, keepdim=True))
    blocks, order = half_sets.blocks(logits.shape[-1], sets.shape[1])
    blocks = [half_sets.Block(*(rows.to(logits) for rows in block)) for block in blocks]
    found, is_lost = half_sets.log_evidence(likelihood, blocks, _CHUNK_ELEMENTS)
    found += log_prior[order.to(logits.device)]
    exact = _nothing_lost(found, is_lost)
    weights = torch.softmax(found.masked_fill_(is_lost, -torch.inf), 1)
    return half_sets.mean_shares(likelihood, blocks, weights, _CHUNK_ELEMENTS), exact


def _nothing_lost(evidence: Tensor, is_lost: Tensor) -> Tensor:
    """For which data points the lost sets are negligible: their evidence is a bound from above."""
    best = evidence.masked_fill(is_lost, -torch.inf).amax(1)
    lost = evidence.masked_fill(~is_lost, -torch.inf).amax(1)
    return (lost < best - _NEGLIGIBLE) | ~is_lost.any(1)


def _by_products(logits: Tensor, sets: Tensor, log_prior: Tensor) -> tuple[Tensor, Tensor]:
    """Posteriors over some sets, as the rows of a matrix, and for which data points exact."""
    batch, tokens, _ = logits.shape
    per_chunk = max(1, _CHUNK_ELEMENTS // (batch * tokens))
    likelihood = torch.exp(logits - logits.amax(-1, keepdim=True)).flatten(0, 1)
    evidence, lost = [], []
    for chunk in sets.split(per_chunk):
        sums = likelihood @ half_sets.as_rows(chunk, likelihood).T
        lost.append((sums < SMALLEST).view(batch, tokens, -1).any(1))
        logs = sums.clamp_(min=SMALLEST).log_().view(batch, tokens, -1)
        evidence.append(logs.sum(1))
    found, is_lost = torch.cat(evidence, 1) + log_prior, torch.cat(lost, 1)
    exact = _nothing_lost(found, is_lost)
    found = found.masked_fill(is_lost, -torch.inf)
    # A data point tells most sets apart, and the negligible ones need no second look.
    kept = (found > found.amax(1, keepdim=True) - _NEGLIGIBLE).any(0)
    sets, weights = sets[kept], torch.softmax(found[:, kept], 1)
    mixed = torch.zeros_like(likelihood)
    for chunk, weight in zip(sets.split(per_chunk), weights.split(per_chunk, 1), strict=True):
        members = half_sets.as_rows(chunk, likelihood)
        sums = (likelihood @ members.T).clamp_(min=SMALLEST)
        share = weight[:, None].expand(-1, tokens, -1).flatten(0, 1) / sums
        mixed += share @ members
    return (mixed * likelihood).view_as(logits), exact


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
