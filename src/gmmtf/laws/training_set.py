"""The law of a finite training set: some data points that were drawn once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from gmmtf.arguments import checked, count
from gmmtf.laws.law import Law, Tokens, fingerprint
from gmmtf.randomness import derived_seed

_KEPT = 2**17  # data points that are not drawn anew each time


class TrainingSet:
    """Law that draws evenly, with replacement, from ``size`` data points of another law.

    The data points are made when they are drawn, each from a seed of its own, so that a set may be
    larger than the memory.

    Parameters
    ----------
    law
        The law that the data points come from.
    size
        How many there are.
    seed
        Of the set: two sets of one law and seed have their first data points in common.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    @checked
    def __init__(self, law: Law, size: int, seed: int = 0) -> None:
        self.law = law
        self.size = count("size", size, 1)
        self.seed = count("seed", seed, 0)
        self._one = lru_cache(maxsize=_KEPT)(self._draw)

    def __repr__(self) -> str:
        """One line."""
        return f"TrainingSet({self.size} data points of {self.law!r}, seed={self.seed})"

    @property
    def dim(self) -> int:
        """d, the dimension of a token."""
        return self.law.dim

    @property
    def n_tokens(self) -> int:
        """N, the number of tokens of a data point."""
        return self.law.n_tokens

    def fingerprint(self) -> dict[str, Any]:
        """What the set is, in JSON values."""
        return {"of": fingerprint(self.law), "size": self.size, "seed": self.seed}

    @checked
    def sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tokens:
        """Draw ``batch_size`` data points on the CPU."""
        shape = (count("batch_size", batch_size, 1),)
        chosen = torch.randint(self.size, shape, generator=generator).tolist()
        return self._points(chosen, dtype)

    @checked
    def points(self, dtype: torch.dtype = torch.float32) -> Tokens:
        """Return all data points, in their order."""
        return self._points(range(self.size), dtype)

    def _points(self, chosen: Any, dtype: torch.dtype) -> Tokens:
        x_0, labels, active = zip(*map(self._one, chosen), strict=True)
        return Tokens(torch.cat(x_0).to(dtype), torch.cat(labels), torch.cat(active))

    def _draw(self, index: int) -> Tokens:
        own = torch.Generator().manual_seed(derived_seed(self.seed, index))
        return self.law.sample(1, own)
