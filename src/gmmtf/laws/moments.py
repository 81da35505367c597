"""Mean and covariance of one token of a law, all that a linear denoiser needs."""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.pool import TokenLaw
from gmmtf.laws.posterior import active_sets


class TokenMoments(NamedTuple):
    """Mean and covariance of one token, float64 on the CPU.

    ``mean``: ``[d]``; ``axes``: k orthonormal columns ``[d, k]``; ``variances``: variances along
    them ``[k]``; ``rest``: the variance in every other direction. The covariance is
    axes diag(variances) axesᵀ + rest (I - axes axesᵀ): k numbers in place of d² for a mixture.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    rest: float

    @classmethod
    @checked
    def of_points(
        cls, weights: Tensor, points: Tensor, within: Tensor | float = 0.0
    ) -> TokenMoments:
        """Moments of weighted points ``[n, d]``, with a mean covariance ``within`` around each."""
        mean = weights @ points
        centred = points - mean
        covariance = within + (weights[:, None] * centred).T @ centred
        values, vectors = torch.linalg.eigh((covariance + covariance.mT) / 2)
        return cls(mean, vectors, values.clamp(min=0), 0.0)


@singledispatch
def token_moments(law: Law) -> TokenMoments:
    """Mean and covariance of one token, whatever its label.

    For a law that is no class of this library it is what its method ``token_moments()`` returns.

    Raises
    ------
    ValueError
        If K < M with unequal weights and too many active sets.
    TypeError
        If the moments of the law are not known.
    """
    known = getattr(law, "token_moments", None)
    if not callable(known):
        raise TypeError(
            f"law: the covariance of a token of a {type(law).__name__} is not known; give the "
            "class a method token_moments() that returns gmmtf.laws.moments.TokenMoments"
        )
    moments: TokenMoments = known()
    return moments


@token_moments.register
def _(law: MultiTokenGMM) -> TokenMoments:
    pi = label_probabilities(law)
    mean = pi @ law.means
    centred = pi.sqrt()[:, None] * (law.means - mean)
    # Right singular vectors with positive singular values span the differences of patterns.
    _, lengths, rows = torch.linalg.svd(centred, full_matrices=False)
    used = lengths > 1e-12 * lengths.amax().clamp(min=1e-300)
    variances = lengths[used].square() + law.sigma**2
    return TokenMoments(mean, rows[used].T, variances, law.sigma**2)


@token_moments.register
def _(law: FullMixture) -> TokenMoments:
    within = torch.einsum("c,cij->ij", law.weights, law.covariances)
    return TokenMoments.of_points(law.weights, law.means, within)


@token_moments.register
def _(law: TokenLaw) -> TokenMoments:
    return TokenMoments.of_points(law.point_weights.cpu(), law.tokens.double().cpu())


@checked
def label_probabilities(law: MultiTokenGMM) -> Tensor:
    """Probability of each pattern for one token, float64 ``[M]``: π where K = M.

    For K < M it is the mean over active sets of π restricted to the set, π̃/K if π̃ is given.

    Raises
    ------
    ValueError
        If K < M with unequal weights and too many active sets.
    """
    if law.inclusion is not None:
        return torch.tensor(law.inclusion, dtype=torch.float64, device="cpu") / law.k
    pi = law.probabilities
    if law.k == law.n_patterns or law.weights is None:
        return pi
    sets = active_sets(law)
    given = pi[sets] / pi[sets].sum(1, keepdim=True)
    total = torch.zeros_like(pi)
    return total.index_add_(0, sets.flatten(), given.flatten()) / len(sets)
