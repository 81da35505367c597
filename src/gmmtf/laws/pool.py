"""Data points whose tokens are drawn from a pool of real ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.arguments import checked, count, fitted, shown, tensor
from gmmtf.laws.law import Tokens
from gmmtf.randomness import generator_device


@dataclass(frozen=True, eq=False, repr=False)
class TokenLaw:
    """Law of data points made of real tokens (C1, with measured component laws).

    The classes of the N tokens are independent with probabilities π; given its class a token is
    drawn evenly from the tokens of that class, with replacement.

    Parameters
    ----------
    tokens
        The pool, float64 ``[n, d]``.
    labels
        Class of each token, integers from 0 to M - 1, ``[n]``; each class must occur.
    probabilities
        π, M positive numbers that sum to one.
    n_tokens
        N, at least 2.

    Raises
    ------
    ValueError
        If an argument is out of these ranges.
    """

    tokens: Tensor
    labels: Tensor
    probabilities: Sequence[float]
    n_tokens: int

    def __post_init__(self) -> None:
        for name in ("tokens", "labels"):
            object.__setattr__(self, name, tensor(name, getattr(self, name)))
        if self.tokens.ndim != 2 or not self.tokens.is_floating_point():
            raise ValueError(f"tokens: expected floats [n, d], got {shown(self.tokens)}")
        if not bool(torch.isfinite(self.tokens).all()):
            raise ValueError("tokens: expected finite numbers")
        if self.labels.shape != self.tokens.shape[:1]:
            raise ValueError(
                f"labels: expected shape [{len(self.tokens)}], got {list(self.labels.shape)}"
            )
        pi = fitted("probabilities", self.probabilities, Sequence[float])
        if not pi or min(pi) <= 0 or abs(sum(pi) - 1) > 1e-9:
            raise ValueError(f"probabilities: expected positive numbers with sum 1, got {pi}")
        if sorted(set(self.labels.tolist())) != list(range(len(pi))):
            raise ValueError(f"labels: expected each of 0 to {len(pi) - 1} to occur, and no other")
        object.__setattr__(self, "n_tokens", count("n_tokens", self.n_tokens, 2))
        # Indexing copies, so the law does not change with the caller's tensors.
        order = self.labels.argsort(stable=True)
        object.__setattr__(self, "tokens", self.tokens[order])
        object.__setattr__(self, "labels", self.labels[order])
        object.__setattr__(self, "probabilities", tuple(pi))

    def __repr__(self) -> str:
        """One line, however many tokens there are."""
        return (
            f"TokenLaw({len(self.tokens)} tokens of {len(self.probabilities)} classes, "
            f"dim={self.dim}, n_tokens={self.n_tokens})"
        )

    @property
    def dim(self) -> int:
        """d, the dimension of a token."""
        return self.tokens.shape[1]

    @property
    def counts(self) -> Tensor:
        """Tokens of each class in the pool, ``[M]``."""
        return self.labels.bincount()

    @property
    def point_weights(self) -> Tensor:
        """Probability of each token of the pool, float64 ``[n]``."""
        pi = torch.tensor(self.probabilities, dtype=torch.float64, device=self.labels.device)
        return (pi / self.counts)[self.labels]

    @checked
    def to(self, device: torch.device | str) -> TokenLaw:
        """Return the law with its pool on another device."""
        return TokenLaw(
            self.tokens.to(device), self.labels.to(device), self.probabilities, self.n_tokens
        )

    @checked
    def sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tokens:
        """Draw ``batch_size`` data points on the generator's device."""
        batch_size = count("batch_size", batch_size, 1)
        device = generator_device(generator)
        shape = (batch_size, self.n_tokens)
        pi = torch.tensor(self.probabilities, dtype=torch.float64, device=device)
        draws = torch.multinomial(pi, math.prod(shape), replacement=True, generator=generator)
        labels = draws.view(shape)
        counts = self.counts.to(device)
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        within = (uniform * counts[labels]).long()
        chosen = (counts.cumsum(0) - counts)[labels] + within
        active = torch.ones(batch_size, len(pi), dtype=torch.bool, device=device)
        return Tokens(self.tokens.to(device)[chosen].to(dtype), labels, active)
