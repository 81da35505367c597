"""Query tokens: the points at which the risk of the effective picture is evaluated.

Given its own token, a head sees the other tokens as independent draws. The risk is then an
expectation over one query token, of which only M + 1 numbers matter: its pattern coordinates and
the length of the rest. Nothing here depends on the attention weight, so the points are drawn once
and serve a whole training run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import gammaincinv, ndtri
from scipy.stats import qmc
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.laws import sets
from gmmtf.laws.level import Level, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule, Times

_EVEN_SHARE = 0.5  # of labels and of active sets: drawn evenly, the rest as in the law


@dataclass(frozen=True, eq=False)
class Queries:
    """Q weighted query tokens of a mixture, float64.

    Vectors of R^d are held in M + 1 coordinates: along the patterns, and along the query's own
    complement part. Every mean that occurs lies in their span. Coordinates come first and queries
    last, which is the fast order for arithmetic on many queries.

    Attributes
    ----------
    mixture
        The data law.
    level
        Noise level of each query, entries of shape ``[Q]``.
    alpha_bar
        ᾱ of each query, ``[Q]``.
    token
        The query x_n in M + 1 coordinates, ``[M + 1, Q]``.
    target
        √ᾱ times the posterior mean of its pattern, ``[M + 1, Q]``. For K < M the posterior is given
        the active set, which many tokens reveal.
    log_weights
        Log probabilities of the other tokens' labels, ``[M, Q]``; -inf outside the active set.
    gap
        Posterior variance of the pattern times ᾱ, ``[Q]``: what the target itself misses.
    importance
        Weight of each query in means, about 1 on average, ``[Q]``: rare patterns are drawn more
        often than the law says, and count for less.
    """

    mixture: MultiTokenGMM
    level: Level
    alpha_bar: Tensor
    token: Tensor
    target: Tensor
    log_weights: Tensor
    gap: Tensor
    importance: Tensor

    @cached_property
    def reach(self) -> Tensor:
        """√ᾱ r, the length of a scaled pattern, ``[Q]``."""
        return self.level.signal * self.mixture.require_equal_orthogonal("the effective picture")

    @cached_property
    def factor(self) -> Tensor:
        """Weight times c²/d, from the squared error of √ᾱ m_n to the risk, ``[Q]``."""
        return self.importance * self.level.gain**2 / self.mixture.dim

    @checked
    def parts(self, size: int) -> Iterator[Queries]:
        """Yield the queries ``size`` at a time."""
        for start in range(0, len(self.alpha_bar), size):
            which = slice(start, start + size)
            yield Queries(
                mixture=self.mixture,
                level=Level(*(value[which] for value in self.level)),
                alpha_bar=self.alpha_bar[which],
                token=self.token[:, which],
                target=self.target[:, which],
                log_weights=self.log_weights[:, which],
                gap=self.gap[which],
                importance=self.importance[which],
            )


@checked
def draw_queries(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    n_points: int = 2048,
    seed: int = 0,
) -> Queries:
    """Draw query tokens from a scrambled Sobol net.

    Half of the labels are drawn evenly over the (active) patterns, so that rare patterns are not
    starved; the importance weights, at most 2, correct for it.

    Parameters
    ----------
    t
        A time, several, or None for times uniform on them or on the schedule.
    n_points
        Q, rounded up to a power of two.
    seed
        Seed of the scrambling.

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, a time is outside the schedule, or
        ``n_points`` is not positive.
    """
    radius = mixture.require_equal_orthogonal("the effective picture")
    n_points = count("n_points", n_points, 1)
    size = mixture.n_patterns
    coupled = mixture.k < size
    more = (size if coupled else 0) + (mixture.inclusion is not None)
    sobol = qmc.Sobol(
        size + 3 + more,
        scramble=True,
        rng=np.random.default_rng(count("seed", seed, 0)),
    )
    net = sobol.random_base2((n_points - 1).bit_length()).clip(1e-15, 1 - 1e-15)
    uniform = torch.from_numpy(net)
    times = schedule.times_at(uniform[:, 0], t)
    log_weights = mixture.probabilities.log()[:, None].expand(size, len(net))
    set_importance = torch.ones(len(net), dtype=torch.float64, device="cpu")
    if coupled:
        active, set_importance = _active(mixture, uniform[:, size + 3 :])
        log_weights = log_weights.masked_fill(~active.T, -torch.inf).log_softmax(0)
    given = log_weights.exp()
    drawn = (1 - _EVEN_SHARE) * given + _EVEN_SHARE * (given > 0).double() / mixture.k
    labels = (uniform[:, 1] >= drawn.cumsum(0)[:-1]).sum(0)
    level = noise_level(mixture, schedule, times)
    span = level.variance.sqrt() * torch.from_numpy(ndtri(net[:, 3 : size + 3])).T
    span = span + level.signal * radius * torch.nn.functional.one_hot(labels, size).T
    rest = level.variance.sqrt() * _chi(mixture.dim - size, net[:, 2])
    probabilities = torch.softmax(log_weights + level.signal * radius * span / level.variance, 0)
    scaled = level.signal * radius * probabilities
    alpha_bar = schedule.alpha_bar(times)
    return Queries(
        mixture=mixture,
        level=level,
        alpha_bar=alpha_bar,
        token=torch.cat([span, rest[None]]).contiguous(),
        target=torch.cat([scaled, torch.zeros_like(rest)[None]]).contiguous(),
        log_weights=log_weights.contiguous(),
        gap=alpha_bar * radius**2 * (1 - probabilities.square().sum(0)),
        importance=set_importance * (given / drawn).gather(0, labels[None])[0],
    )


def _active(mixture: MultiTokenGMM, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Active sets, bool ``[Q, M]``, from uniform numbers, and the importance of each ``[Q]``.

    If some patterns are rarely active, half of the sets are drawn evenly from all of their size.
    """
    size, k = mixture.n_patterns, mixture.k
    even = uniform[:, :size].argsort(1).argsort(1) < k
    if mixture.inclusion is None:
        return even, torch.ones(len(uniform), dtype=torch.float64, device="cpu")
    chosen = sets.choose_sets(mixture.log_set_weights, k, uniform[:, :size])
    active = torch.where(uniform[:, size:] < _EVEN_SHARE, even, chosen)
    ratio = sets.log_probability(mixture.log_set_weights, active) + math.log(math.comb(size, k))
    return active, 1 / (_EVEN_SHARE * torch.exp(-ratio) + 1 - _EVEN_SHARE)


def _chi(degrees: int, uniform: np.ndarray) -> Tensor:
    """Quantiles of the length of a standard normal vector with ``degrees`` entries."""
    if degrees == 0:
        return torch.zeros(uniform.shape, dtype=torch.float64, device="cpu")
    return torch.from_numpy(np.sqrt(2 * gammaincinv(degrees / 2, uniform)))
