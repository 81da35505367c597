"""Random sets of K of M patterns in which patterns differ in how often they are in a set.

The law is p(S) ∝ Π_{u in S} ω_u over the sets of size K: of all laws with given probabilities
π̃_u = P(u in S) the one of largest entropy, also called conditional Bernoulli (Chen, Dempster and
Liu 1994). What it needs are elementary symmetric polynomials e_k of the ω, all in log space.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

_TOLERANCE = 1e-11  # of inclusion probabilities, relative


def log_suffix_sums(log_weights: Tensor, k: int) -> Tensor:
    """Logarithms of e_j(ω_u, ..., ω_{M-1}), ``[M + 1, k + 1]``; -inf where j > M - u."""
    size = len(log_weights)
    table = torch.full((size + 1, k + 1), -torch.inf, dtype=torch.float64, device="cpu")
    table[:, 0] = 0.0
    for u in range(size - 1, -1, -1):
        table[u, 1:] = torch.logaddexp(table[u + 1, 1:], log_weights[u] + table[u + 1, :-1])
    return table


def inclusion_probabilities(log_weights: Tensor, k: int) -> Tensor:
    """P(u in S) of every pattern, ``[M]``: ω_u e_{K-1}(ω without ω_u) / e_K(ω)."""
    after = log_suffix_sums(log_weights, k)
    before = log_suffix_sums(log_weights.flip(0), k).flip(0)
    # K - 1 others: j of those before u, the rest of those after it.
    others = torch.logsumexp(before[:-1, :k] + after[1:, :k].flip(1), 1)
    return torch.exp(log_weights + others - after[0, k])


def fit_log_weights(inclusion: Tensor, k: int) -> Tensor:
    """Logarithms of the ω with P(u in S) = ``inclusion``, ``[M]``, with mean zero.

    The ω are unique up to a common factor (Chen, Dempster and Liu 1994), so one of them is held.

    Raises
    ------
    ValueError
        If they are not found: a probability is too near 0 or 1.
    """
    wanted = torch.logit(inclusion)

    def unlikelihood(free: np.ndarray) -> tuple[float, np.ndarray]:
        logs = torch.from_numpy(free)
        value = log_suffix_sums(logs, k)[0, k] - logs @ inclusion
        slope: np.ndarray = (inclusion_probabilities(logs, k) - inclusion).numpy()
        return float(value), slope

    def miss(free: np.ndarray) -> np.ndarray:
        logs = torch.cat([torch.from_numpy(free), wanted[-1:]])
        odds: np.ndarray = (torch.logit(inclusion_probabilities(logs, k)) - wanted).numpy()[:-1]
        return odds

    # Minus the likelihood is convex: found from anywhere. The equations then give all digits.
    near = optimize.minimize(unlikelihood, wanted.numpy(), jac=True, method="BFGS").x
    found = optimize.root(miss, (near - near[-1] + float(wanted[-1]))[:-1], tol=1e-14).x
    logs = torch.cat([torch.from_numpy(found), wanted[-1:]])
    if not float((inclusion_probabilities(logs, k) / inclusion - 1).abs().max()) < _TOLERANCE:
        raise ValueError(f"inclusion: no weights found for {inclusion.tolist()} and sets of {k}")
    return logs - logs.mean()


def choose_sets(log_weights: Tensor, k: int, uniform: Tensor) -> Tensor:
    """Sets drawn from uniform numbers in (0, 1) ``[n, M]``, as bool ``[n, M]``.

    Patterns are taken in order, each with its probability given how many are still to be chosen.
    """
    table = log_suffix_sums(log_weights, k).to(uniform)
    left = torch.full(uniform.shape[:1], k, device=uniform.device)
    chosen = torch.zeros_like(uniform, dtype=torch.bool)
    for u, log_weight in enumerate(log_weights.tolist()):
        # e_{left-1} of the later patterns over e_left of this and the later ones
        rest = table[u + 1].gather(0, (left - 1).clamp(min=0))
        taken = torch.exp(log_weight + rest - table[u].gather(0, left))
        chosen[:, u] = (left > 0) & (uniform[:, u] < taken)
        left = left - chosen[:, u].long()
    return chosen


def log_probability(log_weights: Tensor, active: Tensor) -> Tensor:
    """Log p(S) of sets of equal size given as bool ``[n, M]``, ``[n]``."""
    k = int(active[0].sum())
    total = log_suffix_sums(log_weights, k)[0, k].to(active.device)
    return active.double() @ log_weights.to(active.device) - total
