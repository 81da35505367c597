"""Posterior probabilities of the labels given the noisy tokens."""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from gmmtf.laws.level import Level, check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule

MAX_ACTIVE_SETS = 20_000
"""Largest number C(M, K) of active sets that is enumerated."""

_CHUNK_ELEMENTS = 2**23  # bounds the working memory of the enumeration to about 64 MB


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
            f"{count} active sets, more than the limit of {MAX_ACTIVE_SETS}"
        )
    return torch.tensor(list(combinations(range(mixture.n_patterns), mixture.k)), device="cpu")


def _posterior_over_sets(mixture: MultiTokenGMM, logits: Tensor) -> Tensor:
    """Posterior for K < M: the tokens share the unknown active set S.

    p(S | X) ∝ Π_n Σ_{u in S} π_{u|S} φ_u(x_n), with S uniform a priori; given S the tokens are
    independent again. ``logits`` are log π_u φ_u(x_n); everything stays in log space.
    """
    sets = active_sets(mixture).to(logits.device)
    batch, tokens, _ = logits.shape
    log_mass = mixture.probabilities[sets.cpu()].sum(-1).log().to(logits)
    per_chunk = max(1, _CHUNK_ELEMENTS // (batch * tokens * mixture.k))
    chunks = torch.split(sets, per_chunk)
    evidence = [logits[..., chunk].logsumexp(-1).sum(1) for chunk in chunks]
    set_posterior = torch.softmax(torch.cat(evidence, dim=1) - tokens * log_mass, dim=1)
    result = torch.zeros_like(logits)
    for chunk, weights in zip(chunks, torch.split(set_posterior, per_chunk, dim=1), strict=True):
        given_set = torch.softmax(logits[..., chunk], dim=-1) * weights[:, None, :, None]
        result.index_add_(2, chunk.flatten(), given_set.flatten(2))
    return result
