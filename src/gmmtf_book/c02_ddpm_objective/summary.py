"""The numbers of the prose and of the checks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from scipy.special import ndtr
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.laws.margin import label_margin
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.evaluate import Evaluation
from gmmtf.schedule import NoiseSchedule

Numbers = dict[str, float]


def chain(clean: Tensor, kept: Mapping[int, Tensor], schedule: NoiseSchedule) -> Numbers:
    """Moments of the noise that the chain has added to ``clean``, against standard normal noise."""
    deviations = []
    for t, state in kept.items():
        abar = schedule.alpha_bars[t]
        noise = (state - abar.sqrt() * clean) / (1 - abar).sqrt()
        moments = [(noise, 0), (noise**2, 1), (noise * (clean - clean.mean()), 0)]
        deviations += [Estimate.from_samples(each).errors_from(value) for each, value in moments]
    return {
        "chain-deviation": max(deviations),
        "chain-moments": len(deviations),
        "abar-last": float(schedule.alpha_bars[-1]),
        "steps": schedule.n_steps,
    }


def schedules(
    mixture: MultiTokenGMM,
    schedules: Mapping[str, NoiseSchedule],
    threshold: float,
    wrong: pd.DataFrame,
) -> Numbers:
    """Where the schedules cross the threshold in SNR, and how many labels are wrong at the end."""
    readable = {name: int((each.snr > threshold).sum()) for name, each in schedules.items()}
    linear = schedules["linear"]
    kappa = float(label_margin(mixture, linear, torch.tensor(readable["linear"])))
    return {
        "threshold": float(torch.tensor(threshold, dtype=torch.float64).log()),
        "cross-linear": 100 * readable["linear"] / linear.n_steps,
        "cross-cosine": 100 * readable["cosine"] / schedules["cosine"].n_steps,
        "confused": float(ndtr(-kappa)),
        "wrong-last": 100 * float(wrong.wrong[wrong.schedule == "linear"].iloc[-1]),
        "wrong-chance": 100 * (1 - 1 / mixture.n_patterns),
    }


def table(evaluations: Mapping[str, Evaluation], bayes: Estimate) -> pd.DataFrame:
    """Losses of denoisers beside their excess risks."""
    rows = {
        name: {
            "loss": found.loss,
            "loss minus Bayes risk": f"{float(found.loss) - float(bayes):.4f}",
            "excess risk": found.excess_risk,
        }
        for name, found in evaluations.items()
    }
    return pd.DataFrame(rows).T


def head(found: Evaluation, over_times: pd.DataFrame, schedule: NoiseSchedule) -> Numbers:
    """What the head at W = 0 loses, in the loss and in the score, and at which times."""
    rows = over_times[over_times.denoiser == "head at W = 0"]
    return {
        "start-loss": float(found.loss),
        "start-excess": float(found.excess_risk),
        "amplification": float(found.score_error) / float(found.excess_risk),
        "peak": float(rows.fraction.iloc[int(rows.excess.argmax())]),
        "peak-excess": float(rows.excess.max()),
        "head-last": float(rows.excess.iloc[-1]),
        "first-factor": 1 / (1 - float(schedule.alpha_bars[0])),
        "last-factor": 1 / (1 - float(schedule.alpha_bars[-1])),
    }


def walk(walk: pd.DataFrame) -> Numbers:
    """How much more precise the direct estimate is at the end of the walk."""
    last = walk.iloc[-1]
    ratio = last["loss minus Bayes risk"].standard_error / last["excess risk"].standard_error
    return {
        "ratio": ratio,
        "ratio-draws": int(float(f"{ratio**2:.0e}")),
        "smallest": float(last["size"]),
        "smallest-excess": float(last.exact),
        "blend-ratio": float(last["excess risk"]) / float(last.exact),
    }
