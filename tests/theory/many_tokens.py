"""The excess of a head with infinitely many tokens, written down without the library.

{eq}`eq-app-limit` and {eq}`eq-heads-limit`: attention gives the label k the share α_k ∝ π_k e^{b_k}
and its average tends to Σ α_k √ᾱ μ_k + τ²Wᵀx. Tests compare floors and heads with it.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtri, softmax
from scipy.stats import qmc

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def normals(dim: int, log_points: int = 8) -> np.ndarray:
    """Quasi-random standard normal vectors ``[2^log_points, dim]``."""
    return ndtri(qmc.Sobol(dim, seed=1).random_base2(log_points))


def error_of_heads(
    means: np.ndarray,
    pi: np.ndarray,
    variance: float,
    heads,
    skip: np.ndarray,
    log_points: int = 12,
) -> float:
    """Mean square of Σ_heads V(Σ α_k μ_k + τ²Wᵀx) + Θx - Σ p_k μ_k, for scaled means μ ``[M, d]``.

    ``heads`` holds pairs (W, V); ``variance`` is τ².
    """
    noise = np.sqrt(variance) * normals(means.shape[1], log_points)
    total = 0.0
    for label, share in enumerate(pi):
        x = means[label] + noise
        distances = ((x[:, None] - means) ** 2).sum(-1)
        error = x @ skip.T - softmax(np.log(pi) - distances / (2 * variance), 1) @ means
        for weight, value in heads:
            nu = x @ weight  # rows are Wᵀx
            attention = softmax(np.log(pi) + nu @ means.T, 1)
            error = error + (attention @ means + variance * nu) @ value.T
        total += share * float((error**2).sum(1).mean())
    return total


def symmetric_excess(
    strength, dim: float, alpha_bar: np.ndarray, *, size: int = 8, sigma: float = 0.3, over=False
) -> np.ndarray:
    """Excess at each noise level of W = (s/r²)(I - 11ᵀ/M) on the patterns, with r² = d and K = M.

    ``strength`` holds one s or one for each level; with ``over`` scores are divided by τ².
    """
    variance = alpha_bar * sigma**2 + 1 - alpha_bar
    strength = np.broadcast_to(strength, alpha_bar.shape) / (variance if over else 1.0)
    reach = np.sqrt(alpha_bar * dim)[:, None, None]
    tau_2 = variance[:, None, None]
    a = np.sqrt(tau_2) * normals(size) + reach * np.eye(size)[0]
    nu = (strength / dim)[:, None, None] * (a - a.mean(-1, keepdims=True))
    wrong = softmax(reach * nu, -1) - softmax(reach * a / tau_2, -1)
    square = ((reach * wrong + tau_2 * nu) ** 2).sum(-1).mean(-1)
    return (1 - alpha_bar) / variance**2 / dim * square


def best(excess, high: float) -> float:
    """Smallest mean excess over strengths from 1 to ``high``."""
    found = minimize_scalar(
        lambda log_s: excess(np.exp(log_s)).mean(),
        bounds=(0.0, np.log(high)),
        method="bounded",
        options={"xatol": 0.01},
    )
    return float(found.fun)


def best_at_each(excess, high: float, levels: int) -> float:
    """Mean over noise levels of the smallest excess over a strength for each level."""
    grid = np.geomspace(0.2, high, 24)
    found = np.array([excess(np.full(levels, s)) for s in grid])
    centre, width = np.log(grid[found.argmin(0)]), np.log(grid[1] / grid[0])
    smallest = found.min(0)
    for _ in range(6):
        for side in (-0.5, 0.5):
            there = centre + side * width
            value = excess(np.exp(there))
            centre = np.where(value < smallest, there, centre)
            smallest = np.minimum(value, smallest)
        width /= 2
    return float(smallest.mean())
