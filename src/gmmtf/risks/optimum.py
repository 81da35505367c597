"""Risks of the oracle and of the optimal estimator, per coordinate."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import qmc
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.denoisers.optimal import optimal_denoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law
from gmmtf.laws.level import Level, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import draw_noisy
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.randomness import standard_normal
from gmmtf.schedule import NoiseSchedule, Times, stratified_times

N_REPLICATES = 16
"""Independent randomisations from which the standard error of a risk is estimated."""

MAX_PAIRED_PATTERNS = 64
"""Up to this many patterns the points of the Bayes risk are also drawn between pairs of them."""

_RARE = 0.01  # probability of a pattern below which its labels are drawn more often

_BATCH = 64  # data points at a time where a risk is found by Monte Carlo


@checked
def oracle_risk(
    law: MultiTokenGMM | FullMixture, schedule: NoiseSchedule, *, t: Times = None
) -> float:
    """Risk of the oracle, which knows the component of every token.

    It is ᾱσ²/τ² for a :class:`~gmmtf.laws.mixture.MultiTokenGMM` (C7); for a
    :class:`~gmmtf.laws.full.FullMixture` the mean of ᾱλ/(ᾱλ + 1-ᾱ) over the eigenvalues λ of the
    components' covariances. Where a class has several components, labels tell less: the risk of
    the oracle of :func:`gmmtf.measure`, which knows labels, is then between this and Bayes's.

    Parameters
    ----------
    t
        A time, several, or None for all of the schedule: the mean over them.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule.
    TypeError
        If the law has no components.
    """
    times = schedule.times(t)
    if isinstance(law, MultiTokenGMM):
        level = noise_level(law, schedule, times)
        return float((level.signal**2 * law.sigma**2 / level.variance).mean())
    if not isinstance(law, FullMixture):
        raise TypeError(f"law: expected a mixture, got a {type(law).__name__}")
    alpha_bar = schedule.alpha_bar(times)[:, None, None]
    signal = alpha_bar * law.eigen[0]
    return float((signal / (signal + 1 - alpha_bar)).mean((0, 2)) @ law.weights)


@checked
def bayes_risk(
    law: Law,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    n_points: int | None = None,
    seed: int = 0,
) -> Estimate:
    """Risk of the optimal denoiser of a law.

    For a :class:`~gmmtf.laws.mixture.MultiTokenGMM` it is the oracle's risk plus
    (c²ᾱ/d) E‖μ_z - m‖², where m is the posterior mean of the pattern (:prf:ref:`thm-mmse-gap`).
    Given the tokens, the mean of ‖μ_z - m‖² is the posterior variance of the pattern, which depends
    on the tokens through their projections on the patterns only; so the cost does not depend on d.
    For K = M the expectation is over M Gaussian coordinates, the label and the time, and is taken
    by randomised quasi-Monte Carlo (scrambled Sobol points). For K < M the tokens of a data point
    are coupled, and it is taken by Monte Carlo over data points.

    For a law that has a method ``bayes_risk(schedule, t=...)`` it is what that returns, and for any
    other the loss of its :func:`~gmmtf.denoisers.optimal.optimal_denoiser` by Monte Carlo.

    Parameters
    ----------
    t
        A time, several, or None for all of the schedule: the mean over them.
    n_points
        For a ``MultiTokenGMM`` quasi-random points (default 2¹⁶) for K = M, data points (default
        2048) for K < M, rounded up so that each of the 16 replicates is equal, and for K = M a
        power of two. For other laws data points (default 256).

    Returns
    -------
    Estimate
        The risk and its standard error.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule, or K < M with too many active sets.
    TypeError
        If the law has no optimal denoiser.
    """
    schedule.times(t)  # refuses a wrong time before any work
    if not isinstance(law, MultiTokenGMM):
        return _risk_of_another_law(law, schedule, t, n_points, seed)
    coupled = law.k < law.n_patterns
    total = n_points if n_points is not None else (2**11 if coupled else 2**16)
    per_replicate = -(-count("n_points", total, N_REPLICATES) // N_REPLICATES)
    draw = _mean_gap_of_data_points if coupled else _mean_gap_of_points
    seeds = np.random.SeedSequence(count("seed", seed, 0)).generate_state(N_REPLICATES)
    gaps = [draw(law, schedule, t, per_replicate, int(s)) for s in seeds]
    gap = Estimate.from_samples(torch.tensor(gaps, dtype=torch.float64, device="cpu"))
    return Estimate(oracle_risk(law, schedule, t=t) + gap.value, gap.standard_error)


@torch.no_grad()
def _risk_of_another_law(
    law: Law, schedule: NoiseSchedule, t: Times, n_points: int | None, seed: int
) -> Estimate:
    known = getattr(law, "bayes_risk", None)
    if callable(known):
        risk: Estimate = known(schedule, t=t)
        return risk
    denoise = optimal_denoiser(law, schedule)
    total = count("n_points", 256 if n_points is None else n_points, 2)
    generator = torch.Generator().manual_seed(count("seed", seed, 0))
    losses = []
    for times in stratified_times(schedule, total, generator, t=t).split(_BATCH):
        noisy = draw_noisy(law, schedule, times, generator, torch.float64)
        losses.append((denoise(noisy.x_t, noisy.t) - noisy.noise).square().flatten(1).mean(1))
    return Estimate.from_strata(torch.cat(losses))


def _mean_gap_of_points(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, t: Times, n_points: int, seed: int
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
    drawn = _drawn_labels(mixture)
    edges = drawn.cumsum(0)[:-1].contiguous()
    first, second = (
        torch.searchsorted(edges, points[:, column].contiguous(), right=True) for column in (1, 2)
    )
    paired = mixture.n_patterns <= MAX_PAIRED_PATTERNS
    second = torch.where(points[:, 3] < 0.5, second, first) if paired else first
    normals = torch.from_numpy(ndtri(net[:, 4:]))
    level = Level(*(value[:, None, None] for value in noise_level(mixture, schedule, times)))
    centres = (mixture.gram[first] + mixture.gram[second]) / 2
    projections = _noisy(mixture, level, centres[:, None], normals[:, None])
    if paired:
        weights = _density_ratio(mixture, drawn, level, projections)
    else:
        weights = (mixture.probabilities / drawn)[first][:, None]
    return float((weights * _gap(mixture, level, projections)).mean())


def _drawn_labels(mixture: MultiTokenGMM) -> Tensor:
    """Probabilities with which points draw labels: the law's, or half evenly where one is rare.

    A pattern of small probability would own a handful of points, though its tokens carry much of
    the risk.
    """
    pi = mixture.probabilities
    return pi if float(pi.min()) > _RARE * (1 - 1e-9) else (pi + 1 / len(pi)) / 2


def _density_ratio(
    mixture: MultiTokenGMM, drawn: Tensor, level: Level, projections: Tensor
) -> Tensor:
    """Density of tokens over that of the points, ``[n, 1]``; at most 2, or 4 with rare labels."""
    scaled = level.signal * projections / level.variance
    factor = level.signal**2 / level.variance
    gram = mixture.gram
    logs = mixture.probabilities.log()
    likelihoods = scaled - factor * gram.diagonal() / 2
    token = torch.logsumexp(logs + likelihoods, -1)
    logs = drawn.log()
    single = torch.logsumexp(logs + likelihoods, -1)
    squares = (gram.diagonal()[:, None] + gram.diagonal() + 2 * gram) / 4
    parts = []
    # A few points at a time: every pair of patterns is a component.
    for some, weight in zip(scaled.split(2048), factor.split(2048), strict=True):
        centres = (some[..., None] + some[..., None, :]) / 2 - weight[..., None] * squares / 2
        parts.append(torch.logsumexp((logs[:, None] + logs + centres).flatten(-2), -1))
    return 2 / (torch.exp(single - token) + torch.exp(torch.cat(parts) - token))


def _mean_gap_of_data_points(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, t: Times, n_points: int, seed: int
) -> float:
    """One replicate for K < M: ``n_points`` whole data points, times stratified."""
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.rand(n_points, generator=generator, dtype=torch.float64, device="cpu")
    times = schedule.times_at((torch.arange(n_points, device="cpu") + offsets) / n_points, t)
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
