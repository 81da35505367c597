"""The oracle and the Bayes-optimal estimator of the injected noise."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.laws.level import check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import posterior
from gmmtf.schedule import NoiseSchedule


class OracleDenoiser:
    """MMSE estimator that knows the labels: ε*_n = c (x_n - √ᾱ μ_{z_n}) (C7)."""

    def __init__(self, mixture: MultiTokenGMM, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``.

        ``t``: integers ``[batch]``; ``labels``: integers in [0, M), ``[batch, tokens]``. Raises
        ``ValueError`` for other shapes or values.
        """
        check_tokens(self.mixture, x_t, t)
        self._check_labels(labels, x_t)
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x_t)
        return level.gain * (x_t - level.signal * self.mixture.means.to(x_t)[labels])

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

    No denoiser ``denoise(x_t, t)`` has a smaller risk (C7; theory, section MMSE).
    """

    def __init__(self, mixture: MultiTokenGMM, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``.

        Raises ``ValueError`` for other shapes, times outside the schedule, or too many active sets.
        """
        probabilities = posterior(self.mixture, self.schedule, x_t, t)
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x_t)
        return level.gain * (x_t - level.signal * (probabilities @ self.mixture.means.to(x_t)))


def score(mixture: MultiTokenGMM, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """Score ∇ log p_t(X_t) of the noisy data, of the shape of ``x_t`` ``[batch, tokens, d]``.

    By Tweedie's formula it is -E[ε | X_t]/√(1-ᾱ_t). Raises as :class:`BayesDenoiser` does.
    """
    return schedule.noise_to_score(BayesDenoiser(mixture, schedule)(x_t, t), t)
