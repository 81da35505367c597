"""The multi-token Gaussian mixture: the law of the data (C1).

A data point is a sequence of N tokens in R^d. An active set S of K of the M patterns is drawn (K =
M: all patterns), uniformly among the sets of that size or so that pattern u is in it with a given
probability. Given S, the tokens' labels are independent, with the pattern probabilities π
restricted to S and renormalised, and a token with label u is ``μ_u + σ ξ`` with standard normal ξ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gmmtf.arguments import checked, count, positive, tensor
from gmmtf.laws import sets
from gmmtf.laws.full import FullMixture, component_covariances
from gmmtf.laws.law import Tokens, digest
from gmmtf.randomness import generator_device, normal_rows

ORTHOGONAL_TOLERANCE = 1e-6
"""Deviation, in squared norms, that orthogonal patterns may have: float32 patterns pass."""

_LARGEST = 1e40  # between this and its inverse no power that a formula takes over- or underflows


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MultiTokenGMM:
    """The multi-token Gaussian mixture model (C1).

    Parameters
    ----------
    n_patterns
        M, the number of component means ("patterns").
    dim
        d, the dimension of a token; with ``radius`` at least M.
    n_tokens
        N, the number of tokens of a data point; at least 2.
    radius
        r > 0, the norm of every pattern. The patterns are then r times the first M unit vectors,
        which loses no generality: every result is invariant under rotations of R^d.
    sigma
        σ > 0, the standard deviation of a token's coordinates within its component.
    weights
        Pattern probabilities π, M positive numbers that sum to one; uniform when None.
    n_active
        K, the number of patterns among which a data point draws its labels; M when None.
    inclusion
        π̃, the probability of each pattern to be active, M numbers in (0, 1) that sum to K < M:
        makes *data points* that contain a pattern rare, where ``weights`` make its tokens rare. The
        law of the sets is that of largest entropy, see :mod:`gmmtf.laws.sets`; labels are uniform
        on the active set. K/M each when None.
    patterns
        Means of shape ``[M, d]`` in place of ``radius``, orthogonal or not, and more than
        dimensions if you like; see :meth:`from_patterns`.

    Notes
    -----
    Weights and patterns are copied.

    Raises
    ------
    ValueError
        If an argument is out of the ranges above.
    """

    n_patterns: int
    dim: int
    n_tokens: int
    sigma: float
    radius: float | None = None
    weights: Sequence[float] | Tensor | None = None
    n_active: int | None = None
    patterns: Tensor | None = None
    inclusion: Sequence[float] | Tensor | None = None

    def __post_init__(self) -> None:
        least = {"n_patterns": 1, "dim": 1, "n_tokens": 2}
        for name, smallest in least.items():
            self._set(name, count(name, getattr(self, name), smallest))
        self._set("sigma", positive("sigma", self.sigma, _LARGEST))
        if self.n_active is not None:
            self._set("n_active", count("n_active", self.n_active, 1))
            if self.k > self.n_patterns:
                raise ValueError(
                    f"n_active: expected at most n_patterns = {self.n_patterns}, "
                    f"got {self.n_active}"
                )
        if (self.radius is None) == (self.patterns is None):
            raise ValueError("radius: give either radius or patterns, and not both")
        if self.radius is not None:
            self._set("radius", positive("radius", self.radius, _LARGEST))
            if self.dim < self.n_patterns:
                raise ValueError(
                    f"dim: {self.n_patterns} orthogonal patterns need a dimension of at least "
                    f"{self.n_patterns}, got {self.dim}"
                )
        if self.patterns is not None:
            self._set("patterns", self._checked_patterns(self.patterns))
        if self.weights is not None:
            self._set("weights", self._checked_weights(self.weights))
        if self.inclusion is not None:
            self._set("inclusion", self._checked_inclusion(self.inclusion))

    @classmethod
    @checked
    def from_patterns(
        cls,
        patterns: Tensor,
        *,
        n_tokens: int,
        sigma: float,
        weights: Sequence[float] | Tensor | None = None,
        n_active: int | None = None,
        inclusion: Sequence[float] | Tensor | None = None,
    ) -> MultiTokenGMM:
        """Mixture with given means ``patterns`` of shape ``[M, d]``, orthogonal or not."""
        patterns = tensor("patterns", patterns)
        if patterns.ndim != 2:
            raise ValueError(f"patterns: expected shape [M, d], got {tuple(patterns.shape)}")
        return cls(
            n_patterns=patterns.shape[0],
            dim=patterns.shape[1],
            n_tokens=n_tokens,
            sigma=sigma,
            weights=weights,
            n_active=n_active,
            patterns=patterns,
            inclusion=inclusion,
        )

    @classmethod
    @checked
    def from_sklearn(cls, fitted: Any, *, n_tokens: int) -> MultiTokenGMM | FullMixture:
        """Law of data points of ``n_tokens`` tokens drawn from a mixture fitted by scikit-learn.

        Parameters
        ----------
        fitted
            A fitted ``sklearn.mixture.GaussianMixture`` of any covariance type.

        Returns
        -------
        MultiTokenGMM or FullMixture
            The former if all components have the same isotropic covariance, to a relative 1e-9.

        Raises
        ------
        ValueError
            If the mixture is not fitted, or of another kind.
        """
        covariances = component_covariances(fitted)
        means, weights = (torch.from_numpy(v).double() for v in (fitted.means_, fitted.weights_))
        variance = covariances[0, 0, 0]
        isotropic = variance * torch.eye(means.shape[1], dtype=torch.float64, device="cpu")
        if bool(((covariances - isotropic).abs() <= 1e-9 * variance).all()):
            return cls.from_patterns(
                means, n_tokens=n_tokens, sigma=math.sqrt(float(variance)), weights=weights
            )
        return FullMixture(
            weights, means, covariances, torch.arange(len(means), device="cpu"), n_tokens
        )

    def __repr__(self) -> str:
        """One line, however many patterns there are."""
        shown = [f"n_patterns={self.n_patterns}", f"dim={self.dim}", f"n_tokens={self.n_tokens}"]
        shown += [f"sigma={self.sigma:g}"]
        if self.radius is not None:
            shown.append(f"radius={self.radius:g}")
        for name in ("weights", "inclusion"):
            if (given := getattr(self, name)) is not None:
                first = ", ".join(f"{p:.3g}" for p in given[:4])
                shown.append(f"{name}=[{first}{', ...' if self.n_patterns > 4 else ''}]")
        if self.n_active is not None:
            shown.append(f"n_active={self.n_active}")
        if self.patterns is not None:
            shown.append(f"patterns=<{self.n_patterns} x {self.dim}>")
        return f"{type(self).__name__}({', '.join(shown)})"

    def fingerprint(self) -> dict[str, Any]:
        """What the law is, in JSON values, however its patterns and weights were given."""
        rare = {} if self.inclusion is None else {"inclusion": list(self.inclusion)}
        return {
            "sigma": self.sigma,
            "n_active": self.k,
            "weights": self.probabilities.tolist(),
            "patterns": digest(self.means),
            **rare,
        }

    @property
    def k(self) -> int:
        """K, the number of active patterns of a data point."""
        return self.n_patterns if self.n_active is None else self.n_active

    @cached_property
    def probabilities(self) -> Tensor:
        """π, float64 ``[M]``."""
        if self.weights is None:
            return torch.full(
                (self.n_patterns,), 1 / self.n_patterns, dtype=torch.float64, device="cpu"
            )
        weights = torch.as_tensor(self.weights, dtype=torch.float64, device="cpu")
        return weights / weights.sum()  # removes the rounding of float32 weights

    @cached_property
    def log_set_weights(self) -> Tensor:
        """Logarithms of the ω_u of the active sets' law p(S) ∝ Π_{u in S} ω_u, float64 ``[M]``."""
        if self.inclusion is None:
            return torch.zeros(self.n_patterns, dtype=torch.float64, device="cpu")
        given = torch.as_tensor(self.inclusion, dtype=torch.float64, device="cpu")
        return sets.fit_log_weights(given, self.k)

    @cached_property
    def means(self) -> Tensor:
        """The patterns μ_u as rows, float64 ``[M, d]``."""
        if self.patterns is not None:
            return self.patterns.clone()
        assert self.radius is not None  # __post_init__ demands one of the two
        means = torch.zeros(self.n_patterns, self.dim, dtype=torch.float64, device="cpu")
        means.fill_diagonal_(self.radius)
        return means

    @cached_property
    def gram(self) -> Tensor:
        """Inner products ⟨μ_u, μ_v⟩ of the patterns, float64 ``[M, M]``."""
        if self.patterns is not None:
            return self.means @ self.means.T
        assert self.radius is not None
        return self.radius**2 * torch.eye(self.n_patterns, dtype=torch.float64, device="cpu")

    @checked
    def sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tokens:
        """Draw ``batch_size`` data points on the generator's device."""
        batch_size = count("batch_size", batch_size, 1)
        labels, active = self.sample_labels(batch_size, generator)
        means, flat = self.means.to(labels.device), labels.flatten()
        x_0 = torch.empty(len(flat), self.dim, dtype=dtype, device=labels.device)
        for rows, noise in normal_rows(len(flat), self.dim, generator):
            x_0[rows] = noise.mul_(self.sigma).add_(means[flat[rows]])
        return Tokens(x_0.view(batch_size, self.n_tokens, self.dim), labels, active)

    @checked
    def sample_labels(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw labels ``[batch, N]`` and active sets ``[batch, M]`` without the tokens."""
        batch_size = count("batch_size", batch_size, 1)
        device = generator_device(generator)
        scores = torch.rand(
            (batch_size, self.n_patterns), generator=generator, dtype=torch.float64, device=device
        )
        if self.inclusion is None:
            active = scores.argsort(dim=1).argsort(dim=1) < self.k
        else:
            active = sets.choose_sets(self.log_set_weights, self.k, scores)
        weights = self.probabilities.to(device) * active
        labels = torch.multinomial(weights, self.n_tokens, replacement=True, generator=generator)
        return labels, active

    @checked
    def require_equal_orthogonal(self, needed_by: str) -> float:
        """The common norm r of the patterns.

        Raises
        ------
        ValueError
            If the patterns are not orthogonal with equal norms, which ``needed_by`` needs.
        """
        if self.radius is not None:
            return self.radius
        squares = self.gram.diagonal()
        target = squares.mean() * torch.eye(self.n_patterns, dtype=torch.float64, device="cpu")
        deviation = float((self.gram - target).abs().max() / squares.mean())
        if deviation > ORTHOGONAL_TOLERANCE:
            raise ValueError(
                f"patterns: {needed_by} needs orthogonal patterns of equal norm; "
                f"their inner products deviate from that by {deviation:.2g} of a squared norm"
            )
        return math.sqrt(float(squares.mean()))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen

    def _checked_patterns(self, patterns: Tensor) -> Tensor:
        """A float64 copy of the patterns on the CPU."""
        copy = tensor("patterns", patterns).to("cpu", torch.float64, copy=True)
        if tuple(copy.shape) != (self.n_patterns, self.dim):
            raise ValueError(
                f"patterns: expected shape {(self.n_patterns, self.dim)}, got {tuple(copy.shape)}"
            )
        if not bool(torch.isfinite(copy).all()):
            raise ValueError("patterns: expected finite numbers")
        return copy

    def _checked_weights(self, given: Sequence[float] | Tensor) -> tuple[float, ...]:
        weights = tensor("weights", given).to("cpu", torch.float64)
        if tuple(weights.shape) != (self.n_patterns,):
            raise ValueError(
                f"weights: expected {self.n_patterns} numbers, got shape {tuple(weights.shape)}"
            )
        if not bool((weights > 0).all()):
            raise ValueError(f"weights: expected positive numbers, got {weights.tolist()}")
        if abs(float(weights.sum()) - 1) > 1e-6:
            raise ValueError(f"weights: expected a sum of 1, got {float(weights.sum())!r}")
        return tuple(weights.tolist())

    def _checked_inclusion(self, given: Sequence[float] | Tensor) -> tuple[float, ...]:
        inclusion = tensor("inclusion", given).to("cpu", torch.float64)
        if self.weights is not None:
            raise ValueError("inclusion: give either weights or inclusion, and not both")
        if self.k == self.n_patterns:
            raise ValueError(
                f"inclusion: with n_active = {self.k} of {self.n_patterns} patterns each is always "
                "active; expected n_active below n_patterns"
            )
        if tuple(inclusion.shape) != (self.n_patterns,):
            raise ValueError(
                f"inclusion: expected {self.n_patterns} numbers, got shape {tuple(inclusion.shape)}"
            )
        total = float(inclusion.sum())
        if not abs(total - self.k) <= 1e-6 * self.k:
            raise ValueError(f"inclusion: expected a sum of n_active = {self.k}, got {total!r}")
        inclusion = inclusion * (self.k / total)  # removes the rounding of float32 numbers
        if not bool(((inclusion > 0) & (inclusion < 1)).all()):
            raise ValueError(
                f"inclusion: expected numbers between 0 and 1, got {inclusion.tolist()}"
            )
        return tuple(inclusion.tolist())
