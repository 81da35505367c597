"""The exact risk of the best linear denoiser of single tokens."""

from __future__ import annotations

import torch

from gmmtf.arguments import checked
from gmmtf.laws.law import Law
from gmmtf.laws.moments import token_moments
from gmmtf.schedule import NoiseSchedule, Times


@checked
def linear_risk(law: Law, schedule: NoiseSchedule, *, t: Times = None) -> float:
    """Risk of the best linear denoiser, in closed form (:prf:ref:`thm-mmse-linear`).

    The mean of ᾱλ/(ᾱλ + 1-ᾱ) over the d eigenvalues λ of the covariance of a token. For M
    orthogonal patterns of norm r, equally likely, it is the oracle's risk plus
    (c²/d)(M-1) sτ²/(s + τ²) with s = ᾱr²/M.

    Parameters
    ----------
    law
        Any law with a covariance: a :class:`~gmmtf.laws.mixture.MultiTokenGMM`, a
        :class:`~gmmtf.laws.full.FullMixture`, a :class:`~gmmtf.laws.pool.TokenLaw`, or a law of
        your own with a method ``token_moments()``.
    t
        A time, several, or None for all of the schedule: the mean over them.

    Raises
    ------
    ValueError
        If ``t`` is outside the schedule.
    TypeError
        If the covariance of the law's tokens is not known.
    """
    alpha_bar = schedule.alpha_bar(schedule.times(t))[:, None]
    moments = token_moments(law)
    rest = torch.tensor([moments.rest], dtype=torch.float64, device="cpu")
    total = 0.0
    for values, count in ((moments.variances, 1), (rest, law.dim - len(moments.variances))):
        signal = alpha_bar * values
        total += count * float((signal / (signal + 1 - alpha_bar)).sum(1).mean())
    return total / law.dim
