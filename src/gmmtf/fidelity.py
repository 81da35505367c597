"""How far a sample of data points is from the law of the mixture.

Every number is given in a scale on which a sample of the law itself is known: ratios are 1 in
expectation, distances are to be read against the same distance between two samples of the law of
equal size (the *floor*).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.arguments import checked, count, shown
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.moments import label_probabilities
from gmmtf.randomness import standard_normal

LARGEST = 1e15
"""Numbers of a sample are below this, so that no square overflows in float32."""


@dataclass(frozen=True)
class Fidelity:
    """Distances of a sample from the law (C5).

    ``frequency``: total variation distance between the shares of tokens nearest to each pattern
    and the probabilities of the patterns; ``distinct``: distinct patterns of a data point;
    ``within_active``: share of data points with at most K of them; ``offset``: mean square distance
    of a data point's cluster means from the patterns, and ``scatter``: mean square distance of
    tokens from their cluster's mean, each over its expectation under the law; ``covariance``:
    relative Frobenius distance of the covariance about the nearest pattern from σ²I; ``centre``:
    mean square distance of the mean of a data point's tokens from the law's, in the units of the
    data; ``sliced``: sliced Wasserstein distance of the tokens from those of a reference sample.
    """

    frequency: float
    distinct: Estimate
    within_active: float
    offset: Estimate
    scatter: Estimate
    covariance: float
    centre: Estimate
    sliced: float


@checked
def nearest_patterns(x: Tensor, mixture: MultiTokenGMM) -> Tensor:
    """Index of the pattern nearest to each token, long ``[batch, N]``.

    ``x``: tokens ``[batch, N, d]``. Raises ``ValueError`` for another shape.
    """
    _check_tokens("x", x, mixture)
    means = mixture.means.to(x)
    return (x @ means.T - 0.5 * means.square().sum(1)).argmax(-1)


@checked
@torch.no_grad()
def measure(
    x: Tensor,
    mixture: MultiTokenGMM,
    reference: Tensor,
    *,
    n_projections: int = 64,
    generator: torch.Generator | None = None,
) -> Fidelity:
    """Measure how far data points are from the law.

    Parameters
    ----------
    x
        Data points ``[batch, N, d]``, at least two.
    reference
        A sample of the law of the shape of ``x``, for the sliced Wasserstein distance.
    n_projections
        Directions of that distance, drawn from ``generator``.

    Raises
    ------
    ValueError
        If a shape does not fit, or a number is not finite.
    """
    _check_tokens("x", x, mixture)
    _check_tokens("reference", reference, mixture)
    if len(reference) != len(x) or len(x) < 2:
        raise ValueError(
            f"reference: expected as many data points as x, at least 2, got {len(reference)} "
            f"for {len(x)}"
        )
    pi = label_probabilities(mixture)
    x = x.detach().to("cpu", torch.float64)
    labels = nearest_patterns(x, mixture)
    hits = torch.nn.functional.one_hot(labels, mixture.n_patterns).double()
    distinct = hits.amax(1).sum(1)
    residual = (x - mixture.means[labels]).flatten(0, 1)
    covariance = residual.T @ residual / len(residual) / mixture.sigma**2
    identity = torch.eye(mixture.dim, dtype=torch.float64, device="cpu")
    offset, scatter = cluster_ratios(x, mixture)
    centre = (x.mean(1) - pi @ mixture.means).square().sum(1)
    directions = random_directions(mixture.dim, n_projections, generator)
    return Fidelity(
        frequency=float((hits.mean((0, 1)) - pi).abs().sum() / 2),
        distinct=Estimate.from_samples(distinct),
        within_active=float((distinct <= mixture.k).double().mean()),
        offset=Estimate.from_samples(offset),
        scatter=Estimate.from_samples(scatter),
        covariance=float((covariance - identity).norm()) / math.sqrt(mixture.dim),
        centre=Estimate.from_samples(centre),
        sliced=sliced_wasserstein(x, reference.to("cpu", torch.float64), directions),
    )


@checked
def cluster_ratios(x: Tensor, mixture: MultiTokenGMM) -> tuple[Tensor, Tensor]:
    """Offset and scatter of the clusters of each data point, float64 ``[batch]`` each.

    The tokens nearest to one pattern are a cluster. Of Q clusters with n_1, ..., n_Q tokens and
    means m_q near the patterns μ_q, the offset is Σ_q n_q ‖m_q - μ_q‖² / (Q d σ²), the scatter is
    the sum of the squared distances of tokens from their cluster's mean over (N - Q) d σ². Under
    the law both have expectation one, as long as the nearest pattern is the true one. If no cluster
    has two tokens, the scatter is one.
    """
    deviations, counts, means = _clusters(x, mixture)
    hits = torch.nn.functional.one_hot(nearest_patterns(x, mixture), mixture.n_patterns).double()
    unit = mixture.dim * mixture.sigma**2
    present = (counts > 0).sum(1)
    offset = (counts * deviations).sum(1) / (present * unit)
    within = (x.double() - hits @ means).square().sum((1, 2))
    free = mixture.n_tokens - present
    scatter = torch.where(free > 0, within / (free.clamp(min=1) * unit), torch.ones_like(within))
    return offset, scatter


@checked
def cluster_deviations(x: Tensor, mixture: MultiTokenGMM) -> tuple[Tensor, Tensor]:
    """Squared distance of each data point's cluster means from their patterns, and cluster sizes.

    Both float64 ``[batch, M]``; the distance is meaningless where the size is 0. Under the law its
    expectation, given the size n, is dσ²/n. Raises ``ValueError`` for another shape of ``x``.
    """
    deviations, counts, _ = _clusters(x, mixture)
    return deviations, counts


def _clusters(x: Tensor, mixture: MultiTokenGMM) -> tuple[Tensor, Tensor, Tensor]:
    """Squared deviations ``[batch, M]``, sizes ``[batch, M]`` and means ``[batch, M, d]``."""
    labels = nearest_patterns(x, mixture)
    hits = torch.nn.functional.one_hot(labels, mixture.n_patterns).double()
    counts = hits.sum(1)
    means = (hits.mT @ x.double()) / counts.clamp(min=1)[..., None]
    return (means - mixture.means.to(means)).square().sum(-1), counts, means


@checked
def random_directions(
    dim: int, n_projections: int, generator: torch.Generator | None = None
) -> Tensor:
    """Uniform unit vectors, float64 ``[n_projections, dim]``; ``ValueError`` if none is asked."""
    n_projections, dim = count("n_projections", n_projections, 1), count("dim", dim, 1)
    drawn = standard_normal((n_projections, dim), generator, torch.float64)
    unit: Tensor = drawn / drawn.norm(dim=1, keepdim=True)
    return unit


@checked
def sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor) -> float:
    """Sliced 2-Wasserstein distance of two equally large sets of tokens.

    The mean over the directions of the squared 2-Wasserstein distance of the projections, times d,
    under the root: a shift of all tokens by a vector a is at distance about ‖a‖.

    Parameters
    ----------
    x, y
        Tokens ``[..., d]``; all but the last dimension are pooled.
    directions
        Unit vectors ``[P, d]``.

    Raises
    ------
    ValueError
        If the numbers of tokens or the dimensions differ.
    """
    for name, values in (("x", x), ("y", y), ("directions", directions)):
        _check_numbers(name, values)
        if values.ndim == 0 or values.numel() == 0:
            raise ValueError(f"{name}: expected vectors, got shape {tuple(values.shape)}")
    flat_x, flat_y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    if flat_x.shape != flat_y.shape:
        raise ValueError(
            f"y: expected as many tokens of the same dimension as x, {tuple(flat_x.shape)}, "
            f"got {tuple(flat_y.shape)}"
        )
    if directions.ndim != 2 or directions.shape[1] != flat_x.shape[1]:
        raise ValueError(
            f"directions: expected shape [P, {flat_x.shape[1]}], got {tuple(directions.shape)}"
        )
    along_x = (flat_x @ directions.T.to(flat_x)).sort(dim=0).values
    along_y = (flat_y @ directions.T.to(flat_y)).sort(dim=0).values
    return math.sqrt(flat_x.shape[1] * float((along_x - along_y).square().mean()))


def _check_tokens(name: str, x: Tensor, mixture: MultiTokenGMM) -> None:
    if x.ndim != 3 or tuple(x.shape[1:]) != (mixture.n_tokens, mixture.dim):
        raise ValueError(
            f"{name}: expected shape [batch, {mixture.n_tokens}, {mixture.dim}], "
            f"got {tuple(x.shape)}"
        )
    _check_numbers(name, x)


def _check_numbers(name: str, x: Tensor) -> None:
    if not x.is_floating_point() or not bool((x.abs() < LARGEST).all()):
        raise ValueError(f"{name}: expected finite floating point numbers, got {shown(x)}")
