"""The reduced coordinates of the attention weight (:prf:ref:`thm-app-invariant`).

The data law is invariant under rotations of the complement of the patterns' span, and so is the
population objective. Gradient descent from W = 0 therefore never leaves the family
``W = Σ_uv G_uv μ̂_u μ̂_vᵀ + γ P_⊥``: M² + 1 numbers whatever d is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gmmtf.arguments import checked, tensor
from gmmtf.laws.mixture import MultiTokenGMM


@dataclass(frozen=True, eq=False)
class ReducedWeight:
    """An attention weight in reduced coordinates.

    Parameters
    ----------
    pattern
        G, the weight between unit vectors along the patterns, float64 ``[M, M]``.
    complement
        κ = γ √(d - M), a float64 scalar. With this scaling ‖W‖² = ‖G‖² + κ², so that a gradient
        step on (G, κ) is the gradient step on W, and κ is of order one for any d.
    """

    pattern: Tensor
    complement: Tensor

    def __post_init__(self) -> None:
        # Copies, so that the weight does not change with the caller's tensors; gradients pass.
        pattern, complement = (
            _float64(name, getattr(self, name)).clone() for name in ("pattern", "complement")
        )
        if pattern.ndim != 2 or pattern.shape[0] != pattern.shape[1]:
            raise ValueError(f"pattern: expected shape [M, M], got {tuple(pattern.shape)}")
        if complement.ndim != 0:
            raise ValueError(f"complement: expected a scalar, got {tuple(complement.shape)}")
        if not (bool(torch.isfinite(pattern).all()) and bool(torch.isfinite(complement))):
            raise ValueError("pattern, complement: expected finite numbers")
        object.__setattr__(self, "pattern", pattern)
        object.__setattr__(self, "complement", complement)

    @classmethod
    @checked
    def zero(cls, mixture: MultiTokenGMM) -> ReducedWeight:
        """Return the start of training, W = 0."""
        size = mixture.n_patterns
        zero = torch.zeros((), dtype=torch.float64, device="cpu")
        return cls(torch.zeros(size, size, dtype=torch.float64, device="cpu"), zero)

    @classmethod
    @checked
    def on_patterns(cls, mixture: MultiTokenGMM, strength: float) -> ReducedWeight:
        """Return W = βP with βr² = ``strength``, P the projection on the patterns' span.

        Raises
        ------
        ValueError
            If the patterns are not orthogonal with equal norms.
        """
        radius = mixture.require_equal_orthogonal("the weight")
        identity = torch.eye(mixture.n_patterns, dtype=torch.float64, device="cpu")
        zero = torch.zeros((), dtype=torch.float64, device="cpu")
        return cls(strength / radius**2 * identity, zero)

    @classmethod
    @checked
    def from_full(cls, weight: Tensor, mixture: MultiTokenGMM) -> tuple[ReducedWeight, float]:
        """Project a full weight ``[d, d]`` on the family.

        Returns the projection and the Frobenius norm of what is left over.

        Raises
        ------
        ValueError
            If the shape is wrong, or the patterns are not orthogonal with equal norms.
        """
        if tuple(weight.shape) != (mixture.dim, mixture.dim):
            raise ValueError(
                f"weight: expected shape {(mixture.dim, mixture.dim)}, got {tuple(weight.shape)}"
            )
        full = weight.detach().to("cpu", torch.float64)
        unit = mixture.means / mixture.require_equal_orthogonal("the reduced family")
        pattern = unit @ full @ unit.T
        free = mixture.dim - mixture.n_patterns
        outside = float(full.diagonal().sum() - pattern.diagonal().sum())
        complement = outside / math.sqrt(free) if free else 0.0
        reduced = cls(pattern, torch.tensor(complement, dtype=torch.float64, device="cpu"))
        return reduced, float((full - reduced.to_full(mixture)).norm())

    @checked
    def to_full(self, mixture: MultiTokenGMM) -> Tensor:
        """Return the full weight, float64 ``[d, d]``."""
        unit = mixture.means / mixture.require_equal_orthogonal("the reduced family")
        span = unit.T @ unit
        complement = torch.eye(mixture.dim, dtype=torch.float64, device="cpu") - span
        return unit.T @ self.pattern @ unit + self.gamma(mixture) * complement

    @checked
    def products(self, mixture: MultiTokenGMM) -> Tensor:
        """Return the query-key products μ_uᵀ W μ_v of the patterns, float64 ``[M, M]``.

        r²G for orthogonal patterns of norm r. For other patterns it is SGS, with S the symmetric
        root of their Gram matrix: G then is in the orthonormal basis of their span that is nearest
        to them (the rows of S⁻¹U, with the patterns as rows of U).
        """
        self.check_fits(mixture)
        root = gram_root(mixture)
        return root @ self.pattern @ root

    @classmethod
    @checked
    def from_json(cls, stored: Mapping[str, Any]) -> ReducedWeight:
        """Read what :meth:`as_json` gave; other entries are ignored.

        Raises
        ------
        ValueError
            If an entry is missing or is not as said.
        """
        if not {"pattern", "complement"} <= set(stored):
            raise ValueError(f"stored: expected 'pattern' and 'complement', got {sorted(stored)}")
        return cls(stored["pattern"], stored["complement"])

    def as_json(self) -> dict[str, Any]:
        """Return the coordinates as lists and numbers, for recorded results."""
        return {"pattern": self.pattern.tolist(), "complement": float(self.complement)}

    def symmetric(self) -> ReducedWeight:
        """Return the mean over all orders of the patterns.

        A law of patterns that are alike never leads a descent away from such weights. On a net,
        whose queries hold some patterns more often than others, it does; without that part a small
        net is enough, since every query teaches all patterns.
        """
        size = len(self.pattern)
        same = self.pattern.diagonal().mean()
        other = (self.pattern.sum() - size * same) / max(1, size * (size - 1))
        eye = torch.eye(size, dtype=torch.float64, device=self.pattern.device)
        return ReducedWeight(other + (same - other) * eye, self.complement)

    @checked
    def gamma(self, mixture: MultiTokenGMM) -> Tensor:
        """Return γ, the factor on the complement; 0 where there is no complement."""
        free = mixture.dim - mixture.n_patterns
        return self.complement / math.sqrt(free) if free else torch.zeros_like(self.complement)

    @checked
    def check_fits(self, mixture: MultiTokenGMM) -> None:
        """Raise ``ValueError`` unless the weight has the number of patterns of the mixture."""
        if self.pattern.shape[0] != mixture.n_patterns:
            raise ValueError(
                f"pattern: expected shape {(mixture.n_patterns, mixture.n_patterns)}, "
                f"got {tuple(self.pattern.shape)}"
            )


@checked
def gram_root(mixture: MultiTokenGMM) -> Tensor:
    """Symmetric square root of the Gram matrix of the patterns, ``[M, M]``; r I if orthogonal."""
    if mixture.radius is not None:
        return mixture.radius * torch.eye(mixture.n_patterns, dtype=torch.float64, device="cpu")
    values, vectors = torch.linalg.eigh(mixture.gram)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _float64(name: str, value: Any) -> Tensor:
    numbers = value if isinstance(value, Tensor) else tensor(name, value)  # gradients pass
    return numbers.to("cpu", torch.float64)
