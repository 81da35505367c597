"""Clouds of tokens: what theory says about heads that generate, and about heads that finish."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf import MultiTokenGMM, ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf_book.c11_sampling.plan import SCHEDULE


def sampler_times(n_calls: int) -> list[int]:
    """Times that :func:`gmmtf.sampling.ddim` visits."""
    last = SCHEDULE.n_steps - 1
    times: list[int] = torch.linspace(last, 0, n_calls, dtype=torch.float64).round().long().tolist()
    return times


def _steps(n_calls: int) -> list[tuple[int, int]]:
    """Times before and after each step, -1 at the end."""
    times = sampler_times(n_calls)
    return list(zip(times, [*times[1:], -1], strict=True))


def _signal(time: int) -> float:
    """ᾱ, 1 for the finished sample."""
    return 1.0 if time < 0 else float(SCHEDULE.alpha_bars[time])


class Cloud(NamedTuple):
    """Law of a Gaussian cloud of tokens at one time of the reverse process.

    In the coordinates along the M patterns and one that stands for each of the d - M others, both
    float64 ``[M + 1, M + 1]``: ``covariance`` of a token about the cloud's mean; ``drift``, the
    covariance of the mean of n tokens, times n. ``time`` is -1 for the finished sample.
    """

    time: int
    covariance: Tensor
    drift: Tensor

    @property
    def moments(self) -> dict[str, float]:
        """Mean variances along the patterns' span and outside it, as of ``runs.moments``."""
        spread, centre = self.covariance.diagonal(), self.drift.diagonal()
        return {
            "spread_span": float(spread[:-1].mean()),
            "spread_rest": float(spread[-1]),
            "centre_span": float(centre[:-1].mean()),
            "centre_rest": float(centre[-1]),
        }


class _Step(NamedTuple):
    """One step of DDIM on a cloud: x ↦ about_mean (x - a) + of_mean a - turn δ + noise.

    a is the cloud's mean, δ an error of the attention average that all tokens share, ``noise`` the
    covariance of the noise.
    """

    about_mean: Tensor
    of_mean: Tensor
    turn: float
    noise: Tensor

    def scattered(self, covariance: Tensor) -> Tensor:
        """Covariance of the tokens after the step."""
        return self.about_mean @ covariance @ self.about_mean.T + self.noise


@dataclass(frozen=True)
class _Sampler:
    """DDIM with a head."""

    weight: ReducedWeight
    mixture: MultiTokenGMM
    eta: float
    tilt_correction: bool

    @cached_property
    def scores(self) -> Tensor:
        """W in the coordinates of a :class:`Cloud`."""
        gamma = self.weight.gamma(self.mixture).reshape(1, 1)
        scores: Tensor = torch.block_diag(self.weight.pattern, gamma)
        return scores

    @property
    def identity(self) -> Tensor:
        return torch.eye(len(self.scores), dtype=torch.float64)

    def step(self, covariance: Tensor, now: int, after: int) -> _Step:
        abar, later = _signal(now), _signal(after)
        level = noise_level(self.mixture, SCHEDULE, torch.tensor(now))
        tilt = covariance @ self.scores.T
        if self.tilt_correction:
            tilt = tilt - float(level.variance) * self.scores.T
        drawn = self.eta**2 * (1 - later) / (1 - abar) * (1 - abar / later)
        keep = math.sqrt(later / abar)
        turn = math.sqrt(max(0.0, 1 - later - drawn)) - keep * math.sqrt(1 - abar)
        turn = turn * float(level.gain)
        of_mean = keep * self.identity - turn * tilt
        return _Step(of_mean + turn * self.identity, of_mean, turn, drawn * self.identity)


def cloud_path(
    weight: ReducedWeight, mixture: MultiTokenGMM, n_calls: int = SCHEDULE.n_steps, *,
    eta: float = 1.0, tilt_correction: bool = False,
) -> list[Cloud]:  # fmt: skip
    """Follow a Gaussian cloud whose tokens attend to each other, from noise through DDIM.

    Attention among many tokens with covariance C returns x̄ + C Wᵀx_n for the query x_n, so the
    cloud stays Gaussian, and two linear recursions describe it. Returns the state before each step,
    and the finished sample; it ends early if the covariance overflows.
    """
    sampler = _Sampler(weight, mixture, eta, tilt_correction)
    path = [Cloud(SCHEDULE.n_steps - 1, sampler.identity, sampler.identity)]
    for now, after in _steps(n_calls):
        at = path[-1]
        step = sampler.step(at.covariance, now, after)
        covariance = step.scattered(at.covariance)
        if not bool(covariance.abs().max() < 1e8):
            break
        drift = step.of_mean @ at.drift @ step.of_mean.T + step.noise
        path.append(Cloud(after, covariance, drift))
    return path


class Finish(NamedTuple):
    """Predicted ratios of a head that finishes: see :func:`gmmtf.fidelity.cluster_ratios`."""

    offset: float
    scatter: float


def finishing(
    weight: ReducedWeight, mixture: MultiTokenGMM, n_calls: int, *,
    handover: int, eta: float = 1.0, tilt_correction: bool = False,
) -> Finish:  # fmt: skip
    """Offset and scatter if the head, below the handover, attends within clusters only (C6).

    A cluster of n tokens is a cloud whose mean m starts at √ᾱ μ_u. Its mean square fluctuation D/n
    has two sources: the mean of the tokens' noise, which the head does not remove, and the error
    of an average over n tokens with weights e^{⟨ν, x⟩}, ν = Wᵀm, which all queries of the cluster
    share; its variance is that of the tokens times (e^{U²} - 1)/n, U² = νᵀCν. What outlives a step
    is taken to be forgotten at the rate of that step.
    """
    radius = mixture.require_equal_orthogonal("the law of finishing")
    head = _Sampler(weight, mixture, eta, tilt_correction)
    bayes = replace(head, weight=ReducedWeight.zero(mixture))  # within a pattern, that is
    unit = mixture.dim * mixture.sigma**2
    offsets, scatters = [], []
    for u, probability in enumerate(mixture.probabilities.tolist()):
        target = radius * head.identity[u]
        mean = math.sqrt(_signal(SCHEDULE.n_steps - 1)) * target
        end = _Cluster(head.identity, mean, head.identity, 0 * head.identity)
        for now, after in _steps(n_calls):
            if now >= handover:
                step = bayes.step(end.covariance, now, after)
                end = end.by_bayes(step, math.sqrt(_signal(after)) * target)
            else:
                end = end.by(head.step(end.covariance, now, after), head.scores)
        bias = float((end.mean - target).square().sum())
        noise = _trace(end.drift, mixture)
        offsets.append((mixture.n_tokens * probability * bias + noise) / unit)
        scatters.append(_trace(end.covariance, mixture) / unit)
    return Finish(sum(offsets) / len(offsets), sum(scatters) / len(scatters))


class _Cluster(NamedTuple):
    """A cluster of n tokens: covariance of a token, mean, and second moments of fluctuations.

    ``drift``: n times the covariance of the mean; ``cross``: n times its covariance with the error
    of the attention average that all queries of the cluster share.
    """

    covariance: Tensor
    mean: Tensor
    drift: Tensor
    cross: Tensor

    def by_bayes(self, step: _Step, mean: Tensor) -> _Cluster:
        """After a step of the Bayes denoiser: tokens stay independent around the pattern."""
        covariance = step.scattered(self.covariance)
        return _Cluster(covariance, mean, covariance, self.cross)

    def by(self, step: _Step, scores: Tensor) -> _Cluster:
        """After a step of the head."""
        query = scores.T @ self.mean
        mean = step.of_mean @ self.mean
        spread = math.expm1(float(query @ self.covariance @ query))
        shared = spread * self.covariance
        moved = step.of_mean @ self.cross
        drift = step.of_mean @ self.drift @ step.of_mean.T - step.turn * (moved + moved.T)
        drift = drift + step.turn**2 * shared + step.noise
        # The share of the common error that outlives the step, as weights and tokens change.
        common = float(scores.T @ mean @ step.about_mean @ self.covariance @ query)
        lasting = math.expm1(common) / spread if spread > 0 else 0.0
        cross = lasting * (moved - step.turn * shared) @ step.about_mean.T
        return _Cluster(step.scattered(self.covariance), mean, drift, cross)


def _trace(matrix: Tensor, mixture: MultiTokenGMM) -> float:
    """Trace over all d coordinates."""
    free = mixture.dim - mixture.n_patterns
    return float(matrix.diagonal()[:-1].sum() + free * matrix[-1, -1])
