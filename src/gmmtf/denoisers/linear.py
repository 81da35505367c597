"""The best linear denoiser of single tokens: what can be had without attention."""

from __future__ import annotations

from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.tokens import flatten_tokens
from gmmtf.laws.law import Law
from gmmtf.laws.moments import token_moments
from gmmtf.schedule import NoiseSchedule


class LinearDenoiser:
    """Best affine function of one noisy token: the Wiener filter (:prf:ref:`thm-mmse-linear`).

    ε̂_n = √(1-ᾱ) (ᾱΣ + (1-ᾱ)I)⁻¹ (x_n - √ᾱ m), with mean m and covariance Σ of a token of the law.
    It never looks at another token. Computed in float64, returned in the type of ``x_t``.

    Raises
    ------
    TypeError
        If the covariance of the law's tokens is not known.
    """

    @checked
    def __init__(self, law: Law, schedule: NoiseSchedule) -> None:
        self.law = law
        self.schedule = schedule
        self.moments = token_moments(law)

    @checked
    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        x, alpha_bar = flatten_tokens(x_t, t, self.schedule, self.law.dim)
        noise = 1 - alpha_bar
        mean, axes, variances = (value.to(x) for value in self.moments[:3])
        rest = alpha_bar * self.moments.rest + noise
        along = alpha_bar * variances + noise
        centred = x - alpha_bar.sqrt() * mean
        inside = centred @ axes
        shrunk = centred / rest + (inside / along - inside / rest) @ axes.T
        return (noise.sqrt() * shrunk).view(x_t.shape).to(x_t)
