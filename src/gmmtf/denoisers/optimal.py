"""The oracle, and the optimal estimator of the injected noise: one for each law."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.empirical import EmpiricalDenoiser, empirical_ideal
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law
from gmmtf.laws.level import check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.pool import TokenLaw
from gmmtf.laws.posterior import posterior
from gmmtf.laws.training_set import TrainingSet
from gmmtf.schedule import NoiseSchedule


class OracleDenoiser:
    """MMSE estimator that knows the labels: ε*_n = c (x_n - √ᾱ μ_{z_n}) (C7).

    Computed in float64, which autocast leaves alone, and returned in the type of ``x_t``.
    """

    @checked
    def __init__(self, mixture: MultiTokenGMM, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule

    @checked
    def __call__(self, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``.

        ``t``: integers ``[batch]``; ``labels``: integers in [0, M), ``[batch, tokens]``. Raises
        ``ValueError`` for other shapes or values.
        """
        check_tokens(self.mixture, x_t, t)
        self._check_labels(labels, x_t)
        x = x_t.double()
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x)
        return (level.gain * (x - level.signal * self.mixture.means.to(x)[labels])).to(x_t)

    def _check_labels(self, labels: Tensor, x_t: Tensor) -> None:
        if labels.shape != x_t.shape[:2]:
            raise ValueError(
                f"labels: expected shape {tuple(x_t.shape[:2])}, got {tuple(labels.shape)}"
            )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(f"labels: expected integers, got {labels.dtype}")
        n_patterns = self.mixture.n_patterns
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < n_patterns:
            raise ValueError(
                f"labels: expected values from 0 to {n_patterns - 1}, "
                f"got {int(labels.min())} to {int(labels.max())}"
            )


class BayesDenoiser:
    """MMSE estimator given the noisy tokens alone: ε^B_n = c (x_n - √ᾱ Σ_u p(z_n=u|X_t) μ_u).

    No denoiser ``denoise(x_t, t)`` has a smaller risk (C7; :prf:ref:`thm-mmse-bayes`). Computed in
    float64, which autocast leaves alone, and returned in the type of ``x_t``.
    """

    @checked
    def __init__(self, mixture: MultiTokenGMM, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule
        # Computed once, here: torch.compile cannot trace the lock of a cached property.
        _ = mixture.means, mixture.gram, mixture.probabilities, schedule.alpha_bars

    @checked
    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``.

        Raises ``ValueError`` for other shapes, times outside the schedule, or too many active sets.
        """
        check_tokens(self.mixture, x_t, t)
        x = x_t.double()
        probabilities = posterior(self.mixture, self.schedule, x, t)
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x)
        mean = (probabilities @ self.mixture.means.to(x)).mul_(level.signal)
        return mean.neg_().add_(x).mul_(level.gain).to(x_t)


@singledispatch
def optimal_denoiser(law: Law, schedule: NoiseSchedule) -> Denoiser:
    """E[ε | X_t] of a law: no denoiser ``denoise(x_t, t)`` has a smaller risk.

    :class:`BayesDenoiser` for a :class:`~gmmtf.laws.mixture.MultiTokenGMM`,
    :class:`~gmmtf.denoisers.full.FullBayesDenoiser` for a
    :class:`~gmmtf.laws.full.FullMixture`, :class:`~gmmtf.denoisers.empirical.EmpiricalDenoiser`
    for a :class:`~gmmtf.laws.pool.TokenLaw`,
    :func:`~gmmtf.denoisers.empirical.empirical_ideal` of all its points for a
    :class:`~gmmtf.laws.training_set.TrainingSet`, which has to fit into the memory, and what
    ``law.denoiser(schedule)`` returns for any other law.

    Raises
    ------
    TypeError
        If the law is none of these and has no method ``denoiser``.
    """
    make = getattr(law, "denoiser", None)
    if not callable(make):
        raise TypeError(
            f"law: the optimal denoiser of a {type(law).__name__} is not known; "
            "give the class a method denoiser(schedule) that returns it"
        )
    denoiser: Denoiser = make(schedule)
    return denoiser


@optimal_denoiser.register
def _(law: MultiTokenGMM, schedule: NoiseSchedule) -> Denoiser:
    return BayesDenoiser(law, schedule)


@optimal_denoiser.register
def _(law: FullMixture, schedule: NoiseSchedule) -> Denoiser:
    return FullBayesDenoiser(law, schedule)


@optimal_denoiser.register
def _(law: TokenLaw, schedule: NoiseSchedule) -> Denoiser:
    return EmpiricalDenoiser(law.tokens, law.point_weights, schedule)


@optimal_denoiser.register
def _(law: TrainingSet, schedule: NoiseSchedule) -> Denoiser:
    return empirical_ideal(law.points().x_0, schedule)


@checked
def score(law: Law, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """Score ∇ log p_t(X_t) of the noisy data, of the shape of ``x_t`` ``[batch, tokens, d]``.

    By Tweedie's formula it is -E[ε | X_t]/√(1-ᾱ_t). Raises as the law's optimal denoiser does.
    """
    return schedule.noise_to_score(optimal_denoiser(law, schedule)(x_t, t), t)
