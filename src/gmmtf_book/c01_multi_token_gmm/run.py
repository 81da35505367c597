"""The chapter's draws, each beside the closed form that it is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import active_sets


def distinct_patterns(
    laws: Mapping[str, MultiTokenGMM],
    sizes: Sequence[int],
    n_draws: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Distinct patterns of a data point, expected and drawn: a row for each law and size N."""
    cells = [(name, n, replace(law, n_tokens=n)) for name, law in laws.items() for n in sizes]
    rows = [
        (name, n, expected_distinct(law), drawn_distinct(law, n_draws, generator))
        for name, n, law in cells
    ]
    return pd.DataFrame(rows, columns=["law", "n_tokens", "expected", "drawn"])


def expected_distinct(law: MultiTokenGMM) -> float:
    """E D, averaged over all active sets."""
    given_set = law.probabilities[active_sets(law)]
    given_set = given_set / given_set.sum(1, keepdim=True)
    return float((1 - (1 - given_set) ** law.n_tokens).sum(1).mean())


def drawn_distinct(law: MultiTokenGMM, n_draws: int, generator: torch.Generator) -> Estimate:
    """Mean of D over drawn data points."""
    labels, _ = law.sample_labels(n_draws, generator)
    return Estimate.from_samples(one_hot(labels, law.n_patterns).amax(1).sum(1).double())


def directions(n: int, dim: int, generator: torch.Generator) -> Tensor:
    """``n`` independent uniform unit vectors, ``[n, dim]``."""
    return normalize(torch.randn(n, dim, generator=generator, dtype=torch.float64), dim=1)


def pairs_of_directions(n: int, dim: int, generator: torch.Generator) -> Tensor:
    """Inner products of ``n`` independent pairs of directions."""
    return (directions(n, dim, generator) * directions(n, dim, generator)).sum(1)


def largest_product(n: int, dim: int, generator: torch.Generator) -> float:
    """The largest inner product, in absolute value, among ``n`` directions."""
    w = directions(n, dim, generator)
    return float((w @ w.T).fill_diagonal_(0).abs().max())


def coherence(
    n: int, dims: Sequence[int], generator: torch.Generator, delta: float = 0.01
) -> pd.DataFrame:
    """The largest product of ``n`` directions and its bound: a row for each dimension."""
    largest = [largest_product(n, dim, generator) for dim in dims]
    bound = [math.sqrt(2 * math.log(n**2 / delta) / dim) for dim in dims]
    return pd.DataFrame({"dim": dims, "largest": largest, "bound": bound})


def label_errors(
    n_patterns: int, dims: Sequence[int], n_drawn: int, generator: torch.Generator
) -> pd.DataFrame:
    """Fractions of wrong nearest patterns, exact and drawn: a row for each dimension and r/σ."""
    rows = []
    for dim in dims:
        for ratio in (0.5, 1.0, 2.0, 3.0, 4.0):
            exact = float(nearest_error(torch.tensor([ratio], dtype=torch.float64), n_patterns))
            error = math.sqrt(exact * (1 - exact) / n_drawn)
            drawn = drawn_error(n_patterns, dim, ratio, n_drawn, generator)
            rows.append((dim, ratio, exact, Estimate(drawn, error)))
    return pd.DataFrame(rows, columns=["dim", "ratio", "exact", "drawn"])


def drawn_error(
    n_patterns: int, dim: int, ratio: float, n_drawn: int, generator: torch.Generator
) -> float:
    """Fraction of drawn tokens whose nearest pattern is not their own (r = 1)."""
    law = MultiTokenGMM(n_patterns=n_patterns, dim=dim, n_tokens=2, radius=1.0, sigma=1 / ratio)
    batch, wrong = 2000, 0.0
    n_batches = max(1, n_drawn // batch)
    for _ in range(n_batches):
        tokens, truth, _ = law.sample(batch // 2, generator, dtype=torch.float64)
        nearest = (tokens @ law.means.to(tokens).T).argmax(-1)
        wrong += float((nearest != truth).double().mean())
    return wrong / n_batches


def nearest_error(ratios: Tensor, n_patterns: int) -> Tensor:
    """The probability of a wrong nearest pattern at r/σ, by the trapezoidal rule in g."""
    g = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    density = torch.exp(-(g**2) / 2) / math.sqrt(2 * math.pi)
    right = torch.special.ndtr(ratios[:, None] + g) ** (n_patterns - 1)
    return 1 - torch.trapezoid(density * right, g)
