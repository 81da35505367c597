"""The chapter's measurements, and the score of the mixture by automatic differentiation.

``draws`` are what `evaluate` draws with: ``n_samples``, ``generator``, ``dtype``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import torch
from scipy.special import ndtri
from torch import Tensor
from torch.distributions import Normal

from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.laws.level import noise_level
from gmmtf.laws.margin import snr_at_margin
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import draw_noisy
from gmmtf.laws.posterior import active_sets
from gmmtf.risks.evaluate import evaluate
from gmmtf.risks.optimum import bayes_risk
from gmmtf.schedule import NoiseSchedule


def readable_snr(mixture: MultiTokenGMM, confusion: float) -> float:
    """SNR at which a noisy token is confused with a given other pattern with that probability."""
    return snr_at_margin(mixture, -float(ndtri(confusion)))


def wrong_labels(
    mixture: MultiTokenGMM,
    schedules: Mapping[str, NoiseSchedule],
    n_samples: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Fraction of noisy tokens whose nearest pattern is not their own: a row for each time."""
    rows = []
    for name, schedule in schedules.items():
        for t in (round(k * (schedule.n_steps - 1) / 16) for k in range(17)):
            times = torch.full((n_samples,), t)
            drawn = draw_noisy(mixture, schedule, times, generator, torch.float64)
            wrong = (drawn.x_t @ mixture.means.T).argmax(-1) != drawn.labels
            rows.append((name, t / schedule.n_steps, float(wrong.double().mean())))
    return pd.DataFrame(rows, columns=["schedule", "fraction", "wrong"])


def best_multiple(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> Denoiser:
    """The denoiser that answers the best multiple of ``x_t``."""
    second_moment = mixture.sigma**2 + float(mixture.gram.diagonal().mean()) / mixture.dim

    def multiple(x_t: Tensor, t: Tensor) -> Tensor:
        abar = schedule.alpha_bar(t).to(x_t).view(-1, 1, 1)
        return (1 - abar).sqrt() / (abar * second_moment + 1 - abar) * x_t

    return multiple


def decomposition(
    denoisers: Iterable[Denoiser],
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Iterable[int],
    **draws: Any,
) -> list[float]:
    """Loss less Bayes risk against excess risk at single times, in standard errors."""
    deviations = []
    for t in times:
        least = bayes_risk(mixture, schedule, t=t)
        for denoise in denoisers:
            found = evaluate(denoise, mixture, schedule, t=t, **draws)
            deviations.append((found.loss - least).errors_from(found.excess_risk))
    return deviations


def walk_to_the_optimum(
    start: Denoiser, mixture: MultiTokenGMM, schedule: NoiseSchedule, t: int, **draws: Any
) -> pd.DataFrame:
    """Two estimates of the excess risk on the way from a denoiser to Bayes: a row for each size."""
    bayes = BayesDenoiser(mixture, schedule)
    least = bayes_risk(mixture, schedule, t=t)
    rows = []
    for size in (2.0**-k for k in range(9)):

        def blend(x_t: Tensor, t: Tensor, size: float = size) -> Tensor:
            return torch.lerp(bayes(x_t, t), start(x_t, t), size)

        found = evaluate(blend, mixture, schedule, t=t, **draws)
        rows.append((size, found.loss - least, found.excess_risk))
    walk = pd.DataFrame(rows, columns=["size", "loss minus Bayes risk", "excess risk"])
    walk["exact"] = float(walk["excess risk"][0]) * walk["size"] ** 2
    return walk


def gradient(mixture: MultiTokenGMM, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """The score, as the gradient of the log-density by automatic differentiation."""
    x_t = x_t.clone().requires_grad_()
    total = log_density(mixture, schedule, x_t, t).sum()
    return torch.autograd.grad(total, x_t)[0]


def log_density(mixture: MultiTokenGMM, schedule: NoiseSchedule, x_t: Tensor, t: Tensor) -> Tensor:
    """Logarithm of the density p_t of noisy data points, ``[batch]``, as a sum over active sets."""
    level = noise_level(mixture, schedule, t).for_tokens(x_t)
    centres = level.signal[..., None] * mixture.means
    component = Normal(centres, level.variance.sqrt()[..., None])
    joint = component.log_prob(x_t[:, :, None, :]).sum(-1) + mixture.probabilities.log()
    sets = active_sets(mixture)
    given_set = joint[..., sets].logsumexp(-1) - mixture.probabilities[sets].sum(-1).log()
    result: Tensor = given_set.sum(1).logsumexp(-1) - math.log(len(sets))
    return result


def errors_over_times(
    denoisers: Mapping[str, Denoiser], mixture: MultiTokenGMM, schedule: NoiseSchedule, **draws: Any
) -> pd.DataFrame:
    """Excess risk and score error of denoisers at single times: a row for each."""
    rows = []
    for name, denoise in denoisers.items():
        for fraction in (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1):
            t = round(fraction * (schedule.n_steps - 1))
            found = evaluate(denoise, mixture, schedule, t=t, **draws)
            errors = float(found.excess_risk), float(found.score_error)
            rows.append((name, t / schedule.n_steps, *errors))
    return pd.DataFrame(rows, columns=["denoiser", "fraction", "excess", "score"])


def score_identity(
    denoise: Denoiser,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Iterable[int],
    generator: torch.Generator,
) -> float:
    """Worst relative difference of the two sides of the identity on a batch at each time."""
    bayes, worst = BayesDenoiser(mixture, schedule), 0.0
    for t in times:
        x_t, at, *_ = draw_noisy(mixture, schedule, torch.full((32,), t), generator, torch.float64)
        with torch.no_grad():
            predicted = denoise(x_t, at)
            excess = (predicted - bayes(x_t, at)).square().mean()
        score = gradient(mixture, schedule, x_t, at)
        error = (schedule.noise_to_score(predicted, at) - score).square().mean()
        worst = max(worst, abs(float(error * (1 - schedule.alpha_bars[t]) / excess) - 1))
    return worst
