"""Risks of the oracle and of the Bayes estimator, per coordinate."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import qmc
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.mixture import MultiTokenGMM
from gmmtf.mmse.level import Level, noise_level
from gmmtf.mmse.posterior import posterior_from_projections
from gmmtf.noise import standard_normal
from gmmtf.schedule import NoiseSchedule

N_REPLICATES = 16
"""Independent randomisations from which the standard error of a risk is estimated."""


def oracle_risk(mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int | None = None) -> float:
    """Risk ᾱσ²/τ² of the oracle at time ``t``, or its mean over the schedule when None.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule.
    """
    times = torch.arange(schedule.n_steps) if t is None else torch.tensor([t])
    level = noise_level(mixture, schedule, times)
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
        up to a multiple of the 16 replicates.

    Returns
    -------
    Estimate
        The risk and its standard error.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule, or K < M with too many active sets.
    """
    if t is not None:
        schedule.check_times(torch.tensor([t]))
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
    """One replicate for K = M: scrambled Sobol points for time, label and M Gaussians."""
    sobol = qmc.Sobol(mixture.n_patterns + 2, scramble=True, rng=np.random.default_rng(seed))
    # A power of two keeps the net balanced; the clip keeps the normal quantiles finite.
    net = sobol.random_base2(max(0, (n_points - 1).bit_length())).clip(1e-15, 1 - 1e-15)
    points = torch.from_numpy(net)
    times = _times_from_uniform(schedule, t, points[:, 0])
    edges = mixture.probabilities.cumsum(0)[:-1].contiguous()
    labels = torch.searchsorted(edges, points[:, 1].contiguous(), right=True)
    normals = torch.from_numpy(ndtri(net[:, 2:]))
    return _mean_gap(mixture, schedule, times, labels[:, None], normals[:, None, :])


def _mean_gap_of_data_points(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int | None, n_points: int, seed: int
) -> float:
    """One replicate for K < M: ``n_points`` whole data points, times stratified."""
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.rand(n_points, generator=generator, dtype=torch.float64)
    times = _times_from_uniform(schedule, t, (torch.arange(n_points) + offsets) / n_points)
    labels, _ = mixture.sample_labels(n_points, generator)
    shape = (n_points, mixture.n_tokens, mixture.n_patterns)
    normals = standard_normal(shape, generator, torch.float64)
    return _mean_gap(mixture, schedule, times, labels, normals)


def _mean_gap(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Tensor,
    labels: Tensor,
    normals: Tensor,
) -> float:
    """Mean of (c²ᾱ/d) times the posterior variance of the pattern.

    ``times``: ``[n]``; ``labels``: ``[n, tokens]``; ``normals``: ``[n, tokens, M]``.
    """
    level = Level(*(value.view(-1, 1, 1) for value in noise_level(mixture, schedule, times)))
    noise = normals @ _square_root(mixture.gram)
    projections = level.signal * mixture.gram[labels] + level.variance.sqrt() * noise
    p = posterior_from_projections(mixture, projections, level)
    # Centring on the likeliest pattern avoids the cancellation in Σp‖μ‖² - ‖m‖² when p is sharp.
    nearest = p.argmax(-1)
    gram = mixture.gram
    squares = gram.diagonal()
    distances = squares + squares[nearest][..., None] - 2 * gram[nearest]
    shift = p - torch.nn.functional.one_hot(nearest, mixture.n_patterns)
    variance = (p * distances).sum(-1) - torch.einsum("...u,uv,...v->...", shift, gram, shift)
    weights = (level.gain * level.signal)[..., 0] ** 2
    return float((weights * variance).mean()) / mixture.dim


def _times_from_uniform(schedule: NoiseSchedule, t: int | None, uniform: Tensor) -> Tensor:
    """Times from numbers in [0, 1): uniform on the schedule, or all equal to ``t``."""
    if t is not None:
        return torch.full(uniform.shape, t)
    return (uniform * schedule.n_steps).long().clamp(max=schedule.n_steps - 1)


def _square_root(gram: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(gram)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
