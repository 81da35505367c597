"""Clouds of tokens: what theory says about heads that generate, and about heads that finish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


def sampler_times(schedule: NoiseSchedule, n_steps: int) -> list[int]:
    """Times that :func:`gmmtf.sampling.ddim` visits."""
    last = schedule.n_steps - 1
    times: list[int] = torch.linspace(last, 0, n_steps, dtype=torch.float64).round().long().tolist()
    return times


class Cloud(NamedTuple):
    """Law of a Gaussian cloud of tokens at one time of the reverse process.

    In the coordinates along the M patterns and one that stands for each of the d - M others, both
    float64 ``[M + 1, M + 1]``: ``covariance`` of a token about the cloud's mean; ``drift``, the
    covariance of the mean of n tokens, times n. ``time`` is -1 for the finished sample.
    """

    time: int
    covariance: Tensor
    drift: Tensor


class _Step(NamedTuple):
    """One step of DDIM on a cloud: x ↦ about_mean (x - a) + of_mean a - turn δ + noise.

    a is the cloud's mean, δ an error of the attention average that all tokens share, ``drawn`` the
    variance of the noise.
    """

    about_mean: Tensor
    of_mean: Tensor
    turn: float
    drawn: float


def _step(
    covariance: Tensor,
    scores: Tensor,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    now: int,
    after: int,
    *,
    eta: float,
    tilt_correction: bool,
) -> _Step:
    abar = float(schedule.alpha_bars[now])
    later = 1.0 if after < 0 else float(schedule.alpha_bars[after])
    level = noise_level(mixture, schedule, torch.tensor(now))
    tilt = covariance @ scores.T
    if tilt_correction:
        tilt = tilt - float(level.variance) * scores.T
    drawn = eta**2 * (1 - later) / (1 - abar) * (1 - abar / later)
    keep = math.sqrt(later / abar)
    turn = math.sqrt(max(0.0, 1 - later - drawn)) - keep * math.sqrt(1 - abar)
    turn = turn * float(level.gain)
    identity = torch.eye(len(scores), dtype=torch.float64)
    of_mean = keep * identity - turn * tilt
    return _Step(of_mean + turn * identity, of_mean, turn, drawn)


def _scores(weight: ReducedWeight, mixture: MultiTokenGMM) -> Tensor:
    """W in the coordinates of a :class:`Cloud`."""
    size = mixture.n_patterns + 1
    scores = torch.zeros(size, size, dtype=torch.float64)
    scores[:-1, :-1], scores[-1, -1] = weight.pattern, weight.gamma(mixture)
    return scores


def cloud_path(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    eta: float,
    tilt_correction: bool = False,
) -> list[Cloud]:
    """Follow a Gaussian cloud whose tokens attend to each other, from noise through DDIM.

    Attention among many tokens with covariance C returns x̄ + C Wᵀx_n for the query x_n, so the
    cloud stays Gaussian, and two linear recursions describe it.

    Parameters
    ----------
    times
        Times visited, falling.
    eta
        DDIM's parameter; 1 with all times is ancestral sampling.

    Returns
    -------
    list[Cloud]
        The state before each step, and the finished sample; it ends early if the covariance
        overflows.
    """
    scores = _scores(weight, mixture)
    identity = torch.eye(len(scores), dtype=torch.float64)
    path = [Cloud(times[0], identity, identity)]
    for now, after in zip(times, [*times[1:], -1], strict=True):
        at = path[-1]
        step = _step(
            at.covariance,
            scores,
            mixture,
            schedule,
            now,
            after,
            eta=eta,
            tilt_correction=tilt_correction,
        )
        noise = step.drawn * identity
        covariance = step.about_mean @ at.covariance @ step.about_mean.T + noise
        if not bool(covariance.abs().max() < 1e8):
            break
        drift = step.of_mean @ at.drift @ step.of_mean.T + noise
        path.append(Cloud(after, covariance, drift))
    return path


class Finish(NamedTuple):
    """Predicted ratios of a head that finishes: see :func:`gmmtf.fidelity.cluster_ratios`."""

    offset: float
    scatter: float


def finishing(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    eta: float,
    handover: int,
    tilt_correction: bool = False,
) -> Finish:
    """Offset and scatter if the head, below the handover, attends within clusters only (C6).

    A cluster of n tokens is a cloud whose mean m starts at √ᾱ μ_u. Its mean square fluctuation D/n
    has two sources: the mean of the tokens' noise, which the head does not remove, and the error
    of an average over n tokens with weights e^{⟨ν, x⟩}, ν = Wᵀm, which all queries of the cluster
    share; its variance is that of the tokens times (e^{U²} - 1)/n, U² = νᵀCν. What outlives a step
    is taken to be forgotten at the rate of that step.
    """
    radius = mixture.require_equal_orthogonal("the law of finishing")
    scores = _scores(weight, mixture)
    unit = mixture.dim * mixture.sigma**2
    offsets, scatters = [], []
    for u, probability in enumerate(mixture.probabilities.tolist()):
        target = torch.zeros(len(scores), dtype=torch.float64)
        target[u] = radius
        end = _Cluster.decided(target, schedule, times[0])
        for now, after in zip(times, [*times[1:], -1], strict=True):
            ahead = now >= handover
            step = _step(
                end.covariance,
                torch.zeros_like(scores) if ahead else scores,
                mixture,
                schedule,
                now,
                after,
                eta=eta,
                tilt_correction=tilt_correction and not ahead,
            )
            end = end.by_bayes(step, target, schedule, after) if ahead else end.by(step, scores)
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

    @classmethod
    def decided(cls, target: Tensor, schedule: NoiseSchedule, time: int) -> _Cluster:
        """Return independent tokens of unit variance around the scaled pattern."""
        identity = torch.eye(len(target), dtype=torch.float64)
        mean = math.sqrt(float(schedule.alpha_bars[time])) * target
        return cls(identity, mean, identity, torch.zeros_like(identity))

    def by_bayes(
        self, step: _Step, target: Tensor, schedule: NoiseSchedule, after: int
    ) -> _Cluster:
        """After a step of the Bayes denoiser: tokens stay independent around the pattern."""
        covariance = self._scattered(step)
        later = 1.0 if after < 0 else float(schedule.alpha_bars[after])
        return _Cluster(covariance, math.sqrt(later) * target, covariance, self.cross)

    def by(self, step: _Step, scores: Tensor) -> _Cluster:
        """After a step of the head."""
        query = scores.T @ self.mean
        mean = step.of_mean @ self.mean
        spread = math.expm1(float(query @ self.covariance @ query))
        shared = spread * self.covariance
        moved = step.of_mean @ self.cross
        drift = step.of_mean @ self.drift @ step.of_mean.T - step.turn * (moved + moved.T)
        drift = (
            drift + step.turn**2 * shared + step.drawn * torch.eye(len(drift), dtype=drift.dtype)
        )
        # The share of the common error that outlives the step, as weights and tokens change.
        common = float(scores.T @ mean @ step.about_mean @ self.covariance @ query)
        lasting = math.expm1(common) / spread if spread > 0 else 0.0
        cross = lasting * (moved - step.turn * shared) @ step.about_mean.T
        return _Cluster(self._scattered(step), mean, drift, cross)

    def _scattered(self, step: _Step) -> Tensor:
        noise = step.drawn * torch.eye(len(self.covariance), dtype=torch.float64)
        return step.about_mean @ self.covariance @ step.about_mean.T + noise


def _trace(matrix: Tensor, mixture: MultiTokenGMM) -> float:
    """Trace over all d coordinates."""
    free = mixture.dim - mixture.n_patterns
    return float(matrix.diagonal()[:-1].sum() + free * matrix[-1, -1])
