"""Risks of the oracle and of the Bayes estimator, per coordinate."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import qmc
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.laws.level import Level, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.randomness import standard_normal
from gmmtf.schedule import NoiseSchedule

N_REPLICATES = 16
"""Independent randomisations from which the standard error of a risk is estimated."""

MAX_PAIRED_PATTERNS = 64
"""Up to this many patterns the points of the Bayes risk are also drawn between pairs of them."""


def oracle_risk(mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int | None = None) -> float:
    """Risk ᾱσ²/τ² of the oracle at time ``t``, or its mean over the schedule when None.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule.
    """
    level = noise_level(mixture, schedule, schedule.times(t))
    return float((level.signal**2 * mixture.sigma**2 / level.variance).mean())


def bayes_risk(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    t: int | None = None,
    *,
    n_points: int | None = None,
    seed: int = 0,
) -> Estimate:
    """Risk of the Bayes estimator at time ``t``, or its mean over the schedule when None.

    It is the oracle's risk plus (c²ᾱ/d) E‖μ_z - m‖², where m is the posterior mean of the pattern
    (theory, section MMSE). Given the tokens, the mean of ‖μ_z - m‖² is the posterior variance of
    the pattern, which depends on the tokens through their projections on the patterns only; so the
    cost does not depend on d. For K = M the expectation is over M Gaussian coordinates, the label
    and the time, and is taken by randomised quasi-Monte Carlo (scrambled Sobol points). For K < M
    the tokens of a data point are coupled, and it is taken by Monte Carlo over data points.

    Parameters
    ----------
    n_points
        Quasi-random points (default 2¹⁶) for K = M, data points (default 2048) for K < M, rounded
        up so that each of the 16 replicates is equal, and for K = M a power of two.

    Returns
    -------
    Estimate
        The risk and its standard error.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule, or K < M with too many active sets.
    """
    schedule.times(t)  # refuses a wrong time before any work
    coupled = mixture.k < mixture.n_patterns
    total = n_points if n_points is not None else (2**11 if coupled else 2**16)
    if total < N_REPLICATES:
        raise ValueError(f"n_points: expected at least {N_REPLICATES}, got {total}")
    per_replicate = -(-total // N_REPLICATES)
    draw = _mean_gap_of_data_points if coupled else _mean_gap_of_points
    seeds = np.random.SeedSequence(seed).generate_state(N_REPLICATES)
    gaps = [draw(mixture, schedule, t, per_replicate, int(s)) for s in seeds]
    gap = Estimate.from_samples(torch.tensor(gaps, dtype=torch.float64))
    return Estimate(oracle_risk(mixture, schedule, t) + gap.value, gap.standard_error)


def _mean_gap_of_points(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int | None, n_points: int, seed: int
) -> float:
    """One replicate for K = M: scrambled Sobol points for time, token and M Gaussians.

    Where confusions are rare, the integrand is large only between two patterns, where tokens
    hardly ever fall. So half of the points are drawn around midpoints of two patterns, drawn like
    two labels, and every point is weighted by the density of tokens over that of points.
    """
    sobol = qmc.Sobol(mixture.n_patterns + 4, scramble=True, rng=np.random.default_rng(seed))
    # A power of two keeps the net balanced; the clip keeps the normal quantiles finite.
    net = sobol.random_base2(max(0, (n_points - 1).bit_length())).clip(1e-15, 1 - 1e-15)
    points = torch.from_numpy(net)
    times = schedule.times_at(points[:, 0], t)
    edges = mixture.probabilities.cumsum(0)[:-1].contiguous()
    first, second = (
        torch.searchsorted(edges, points[:, column].contiguous(), right=True) for column in (1, 2)
    )
    paired = mixture.n_patterns <= MAX_PAIRED_PATTERNS
    second = torch.where(points[:, 3] < 0.5, second, first) if paired else first
    normals = torch.from_numpy(ndtri(net[:, 4:]))
    level = Level(*(value[:, None, None] for value in noise_level(mixture, schedule, times)))
    centres = (mixture.gram[first] + mixture.gram[second]) / 2
    projections = _noisy(mixture, level, centres[:, None], normals[:, None])
    weights = _density_ratio(mixture, level, projections) if paired else torch.ones(())
    return float((weights * _gap(mixture, level, projections)).mean())


def _density_ratio(mixture: MultiTokenGMM, level: Level, projections: Tensor) -> Tensor:
    """Density of tokens over that of the points, ``[n, 1]``; at most 2."""
    scaled = level.signal * projections / level.variance
    factor = level.signal**2 / level.variance
    gram = mixture.gram
    logs = mixture.probabilities.log()
    token = torch.logsumexp(logs + scaled - factor * gram.diagonal() / 2, -1)
    squares = (gram.diagonal()[:, None] + gram.diagonal() + 2 * gram) / 4
    parts = []
    # A few points at a time: every pair of patterns is a component.
    for some, weight in zip(scaled.split(2048), factor.split(2048), strict=True):
        centres = (some[..., None] + some[..., None, :]) / 2 - weight[..., None] * squares / 2
        parts.append(torch.logsumexp((logs[:, None] + logs + centres).flatten(-2), -1))
    return 2 / (1 + torch.exp(torch.cat(parts) - token))


def _mean_gap_of_data_points(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int | None, n_points: int, seed: int
) -> float:
    """One replicate for K < M: ``n_points`` whole data points, times stratified."""
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.rand(n_points, generator=generator, dtype=torch.float64)
    times = schedule.times_at((torch.arange(n_points) + offsets) / n_points, t)
    labels, _ = mixture.sample_labels(n_points, generator)
    shape = (n_points, mixture.n_tokens, mixture.n_patterns)
    level = Level(*(value[:, None, None] for value in noise_level(mixture, schedule, times)))
    normals = standard_normal(shape, generator, torch.float64)
    return float(_gap(mixture, level, _noisy(mixture, level, mixture.gram[labels], normals)).mean())


def _noisy(mixture: MultiTokenGMM, level: Level, centres: Tensor, normals: Tensor) -> Tensor:
    """Inner products ⟨μ_u, x⟩ of tokens around given centres, ``[n, tokens, M]``."""
    noise = normals @ _square_root(mixture.gram)
    return level.signal * centres + level.variance.sqrt() * noise


def _gap(mixture: MultiTokenGMM, level: Level, projections: Tensor) -> Tensor:
    """(c²ᾱ/d) times the posterior variance of the pattern, ``[n, tokens]``."""
    p = posterior_from_projections(mixture, projections, level)
    # Centring on the likeliest pattern avoids the cancellation in Σp‖μ‖² - ‖m‖² when p is sharp.
    nearest = p.argmax(-1)
    gram = mixture.gram
    squares = gram.diagonal()
    distances = squares + squares[nearest][..., None] - 2 * gram[nearest]
    # The posterior of the nearest pattern is one less the others: no cancellation there either.
    others = p.scatter(-1, nearest[..., None], 0.0)
    shift = others.scatter(-1, nearest[..., None], -others.sum(-1, keepdim=True))
    variance = (p * distances).sum(-1) - torch.einsum("...u,uv,...v->...", shift, gram, shift)
    return (level.gain * level.signal)[..., 0] ** 2 * variance / mixture.dim


def _square_root(gram: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(gram)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
