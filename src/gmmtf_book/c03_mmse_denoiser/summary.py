"""The numbers of the prose and of the checks."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor

from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.laws.margin import snr_at_margin
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c03_mmse_denoiser.reverse import Path, generated_variance, nearest
from gmmtf_book.c03_mmse_denoiser.run import accuracy

Numbers = dict[str, float]


def risks(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, risks: pd.DataFrame, losses: pd.DataFrame
) -> Numbers:
    """The risks over the schedule, at the peak of their gap, and the worst of the losses."""
    deviations = [
        loss.errors_from(risk)
        for name in ("oracle", "bayes", "linear")
        for loss, risk in zip(losses[name], risks[name][losses.index], strict=True)
    ]
    peak, early = risks.iloc[int(risks.gap.argmax())], risks.iloc[len(risks) // 10]
    oracle, bayes = oracle_risk(mixture, schedule), float(bayes_risk(mixture, schedule))
    linear = linear_risk(mixture, schedule)
    level = noise_level(mixture, schedule, schedule.times())
    bound = float((level.gain**2 * level.variance).mean()) * (mixture.n_patterns - 1) / mixture.dim
    return {
        "risk-deviation": max(deviations),
        "risk-count": len(deviations),
        "oracle": oracle,
        "bayes": bayes,
        "gap": bayes - oracle,
        "linear": linear,
        "linear-excess": linear - bayes,
        "linear-price": (linear - oracle) / (bayes - oracle),
        "linear-share": (linear - oracle) / bound,
        "tokens": mixture.n_patterns * mixture.dim / (mixture.n_patterns - 1),
        "peak": float(peak.fraction),
        "peak-gap": float(peak.gap),
        "peak-oracle": float(peak.oracle),
        "peak-bayes": float(peak.bayes),
        "half": float(early.oracle),
        "half-at": float(early.fraction),
    }


def crossing(law: MultiTokenGMM, schedule: NoiseSchedule) -> int:
    """The first time at which the rule of thumb, a margin of √log M, says labels are lost."""
    rule = math.sqrt(math.log(law.n_patterns))
    return int((schedule.snr > snr_at_margin(law, rule)).sum())


def margins(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    kappas: Tensor,
    curve: Tensor,
    points: pd.DataFrame,
    generator: torch.Generator,
) -> Numbers:
    """What the curve A says, how far the points are from it, and the rule of thumb."""
    rule = math.sqrt(math.log(mixture.n_patterns))
    hump = 2 * kappas**2 * (1 - curve)
    return {
        "collapse": float((points.posterior - points.accuracy).abs().max()),
        "rule": rule,
        "at-rule": float(
            accuracy(torch.tensor([rule], dtype=torch.float64), mixture.n_patterns, generator)
        ),
        "half-margin": float(kappas[int((curve < 0.5).sum())]),
        "hump": float(hump.max()),
        "worst-margin": float(kappas[hump.argmax()]),
        "crossing": crossing(mixture, schedule) / schedule.n_steps,
    }


def heights(gaps: pd.DataFrame, dim: int) -> Numbers:
    """Heights of the humps, d times the largest gap, for three radii and a large σ."""
    small, _, large, _, wide = dim * gaps.groupby("law", sort=False).gap.max()
    return {
        "height-small": small,
        "height-large": large,
        "height-wide": wide,
        "height-ratio": large / small,
    }


def active_set(gaps: pd.DataFrame) -> Numbers:
    """What the Bayes decoder recovers of what knowing S saves, with few and with many tokens."""
    totals = gaps.drop(columns="fraction").astype(float).groupby("n_tokens").sum()
    alone, told, bayes = totals["token by token"], totals["told S"], totals["Bayes"]
    few, many = (alone - bayes) / (alone - told)
    return {
        "recovered": many,
        "recovered-few": 100 * few,
        "recovered-many": 100 * many,
        "saved": 100 * float((1 - bayes / alone).iloc[-1]),
    }


def path(path: Path, law: MultiTokenGMM, schedule: NoiseSchedule) -> Numbers:
    """When the tokens decide for the patterns at which they end."""
    agreement = [float((now == path.nearest[-1]).double().mean()) for now in path.nearest]
    t = crossing(law, schedule)
    settled = next(at for at, share in zip(path.fractions, agreement, strict=True) if share > 0.99)
    return {
        "start-agreement": 100 * agreement[0],
        "target-crossing": t / schedule.n_steps,
        "crossing-agreement": 100 * agreement[schedule.n_steps - t],
        "settled": settled,
    }


def generated(law: MultiTokenGMM, schedule: NoiseSchedule, x: Tensor) -> Numbers:
    """Means and scatter of tokens from ancestral sampling, against the law and the recursion."""
    labels, m = nearest(law, x), law.n_patterns
    residual = x - law.means[labels]
    by_pattern = [residual[labels == u] for u in range(m)]
    t_values = [r.mean(0) / (r.std(0) / math.sqrt(len(r))) for r in by_pattern]
    predicted = generated_variance(schedule, law.sigma)
    outside = Estimate.from_samples(x[..., m:].square().mean((1, 2)))
    inside = residual.flatten(0, 1)[:, :m]
    centred = inside - inside.mean(0)
    correlation = torch.corrcoef(centred.T).fill_diagonal_(0).abs().max()
    return {
        "mean-deviation": max(float(t.abs().max()) for t in t_values),
        "variance-target": law.sigma**2,
        "variance-predicted": predicted,
        "variance-found": outside.value,
        "variance-deviation": outside.errors_from(predicted),
        "variance-inside": float(centred.square().mean()),
        "correlation": float(correlation * math.sqrt(len(centred))),
        "generated-tokens": labels.numel(),
        "reverse-steps": schedule.n_steps,
    }


def frequencies(frequencies: pd.DataFrame) -> Numbers:
    """The worst deviation of a frequency from its probability."""
    pairs = zip(frequencies.frequency, frequencies.probability, strict=True)
    return {"frequency-deviation": max(found.errors_from(expected) for found, expected in pairs)}
