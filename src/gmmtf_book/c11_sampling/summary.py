"""What chapter 11 quotes and checks of its points: predictions, tables and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from gmmtf import Estimate, ReducedWeight, fidelity, risk
from gmmtf.laws.level import noise_level
from gmmtf.risks.head import HeadScalars
from gmmtf_book.c11_sampling import price, runs
from gmmtf_book.c11_sampling.laws import cloud_path, finishing, sampler_times
from gmmtf_book.c11_sampling.plan import HEADS, PLANS, SCHEDULE, Plan
from gmmtf_book.study import Study as StudyOf

Numbers = dict[str, float]

PERCENT = {"kept", "risk_error", "offset_error", "spread_error", "centre_error"}  # as quoted

_ROWS = {
    "real": "real data", "bayes": "Bayes", "zero": "W = 0", "plain": "trained head",
    "corrected": "tilt-corrected",
}  # fmt: skip


class Study(StudyOf[Plan]):
    """The points of chapter 11."""

    chapter, paper = "11_sampling", PLANS["paper"]

    @cached_property
    def weights(self) -> dict[str, ReducedWeight]:
        """Weight of each head."""
        return runs.weights_of(self.record.value(kind="trained"), self.plan.mixture)

    def _over_seeds(self, kind: str, by: str) -> Any:
        """Distances as estimates, a row a head and ``by``; ``sliced`` also over its ``floor``."""
        frame = self.record.frame(kind=kind).drop(columns=["kind", "seed"])
        return frame.groupby([by, "head"], sort=False).agg(_pooled)

    @cached_property
    def samples(self) -> Any:
        """Distances of samples from noise, over seeds, a row a number of calls and a head."""
        found = self._over_seeds("sample", "n_calls")
        real = found.xs("real", level="head")["sliced"].map(float)
        return found.assign(ratio=found["sliced"] / found.index.get_level_values(0).map(real))

    @cached_property
    def finished(self) -> Any:
        """Distances where a head takes over, with what is predicted; a row a time and a head."""
        found = self._over_seeds("finish", "t")
        laws = [finishing(**self._reverse(who), handover=t) for t, who in found.index]
        return found.assign(
            ratio=found["sliced"] / self.floor["sliced"].value, law=[p.offset for p in laws],
            scatter_law=[p.scatter for p in laws],
        )  # fmt: skip

    @property
    def floor(self) -> Any:
        """Distances of samples of the law itself."""
        return self.samples.loc[self.plan.n_calls, "real"]

    def measured_risks(self) -> pd.DataFrame:
        """Simulated excess risks, a row a time and a column a head."""
        return self.record.frame(kind="risk").pivot(index="t", columns="head", values="value")

    @cached_property
    def risks(self) -> pd.DataFrame:
        """Predicted excess risks, and Bayes minus oracle risk as ``labels``; a row a time."""
        times, mixture = self.plan.risk_times, self.plan.mixture
        found = {who: [self._risk(who, t) for t in times] for who in HEADS}
        found["labels"] = price.label_gaps(mixture, times)
        return pd.DataFrame(found, index=pd.Index(times, name="t"))

    def _risk(self, who: str, t: int) -> float:
        scalars = HeadScalars(tilt_correction=float(who == "corrected"))
        weight, mixture = self.weights[who], self.plan.mixture
        return risk(weight, mixture, SCHEDULE, t=t, head=scalars, n_points=256).excess_risk.value

    @cached_property
    def prices(self) -> pd.DataFrame:
        """Price of each column of :attr:`risks` up to each time."""
        return price.price(self.risks, self.plan.mixture)

    def _reverse(self, who: str) -> dict[str, Any]:
        """The sampler of a head, as the laws take it."""
        return {
            "weight": self.weights[who], "mixture": self.plan.mixture,
            "n_calls": self.plan.n_calls, "tilt_correction": who == "corrected",
        }  # fmt: skip

    def cloud(self, who: str) -> pd.DataFrame:
        """Predicted moments of what a head generates from noise, a row a time."""
        path = cloud_path(**self._reverse(who))
        return pd.DataFrame([c.moments for c in path], index=[c.time for c in path])

    def table(self) -> pd.DataFrame:
        """Distances of samples from the law, a row a sampler."""
        columns = ["frequency", "distinct", "offset", "scatter", "covariance", "ratio"]
        found = self.samples[columns].map(lambda e: f"{e.value:.3g}")
        parts = [found.loc[self.plan.n_calls].loc[list(_ROWS)].rename(_ROWS)]
        if self.plan.ancestral_batch:
            names = {"real": "real (fewer)", "bayes": "Bayes, T steps", "plain": "head, T steps"}
            parts.append(found.loc[SCHEDULE.n_steps].loc[list(names)].rename(names))
        table: pd.DataFrame = pd.concat(parts).rename(columns={"ratio": "sliced"})
        return table.rename_axis(None)

    def numbers(self) -> Numbers:
        """Reduce the points to the numbers that are quoted and checked (C3, C5).

        ``risk_error``, ``offset_error``, ``spread_error``, ``centre_error``: largest relative
        difference of what is predicted and simulated: excess risks, offsets at early handovers, and
        the clouds that heads generate from noise, in the complement; ``price_<who>``: Σ d w_t times
        a risk, nats per token; ``owed``: that of the trained head over that of the labels;
        ``start``, ``half``: t/T where a twentieth and half of the price of the labels is due;
        ``kept``: excess risk after training over that before; ``sliced_<who>``: sliced distance
        over the floor's.
        """
        trained, samples = self.record.value(kind="trained"), self.samples.loc[self.plan.n_calls]
        total, labels, measured = self.prices.iloc[-1], self.prices["labels"], self.measured_risks()
        early = self.finished.loc[self.plan.early]
        latest = early.loc[(self.plan.early[-1], "plain")]
        clouds = pd.DataFrame({who: self.cloud(who).iloc[-1] for who in HEADS}).T
        found = {
            "risk_error": max(_apart(self.risks[who], measured[who]) for who in ("zero", "plain")),
            "offset_error": _apart(early["law"], early["offset"]),
            "spread_error": _apart(clouds["spread_rest"], samples["spread_rest"][list(HEADS)]),
            "centre_error": _apart(clouds["centre_rest"], samples["centre_rest"][list(HEADS)]),
            **{f"price_{who}": value for who, value in total.items()},
            "owed": total["plain"] / total["labels"],
            "label_ratio": total["labels"] / price.entropy(self.plan.mixture),
            "start": (labels < labels.iloc[-1] / 20).mean(),
            "half": (labels < labels.iloc[-1] / 2).mean(),
            "entropy": price.entropy(self.plan.mixture),
            "cloud": price.cloud_divergence(self.plan.mixture),
            "kept": trained["end"] / trained["start"],
            **{f"sliced_{who}": samples.loc[who, "ratio"] for who in ("bayes", *HEADS)},
            "distinct_plain": samples.loc["plain", "distinct"],
            "walk": math.sqrt(samples.loc["plain", "centre"].value),
            "radius": self.plan.radius,
            "floor-frequency": self.floor["frequency"],
            "latest_offset": latest["law"],
            "latest_frequency": latest["frequency"],
        }
        return {name: float(value) for name, value in found.items()}


def _pooled(values: pd.Series) -> Estimate:
    return Estimate.pooled(v if isinstance(v, Estimate) else Estimate(v) for v in values)


def _apart(predicted: pd.Series, found: pd.Series) -> float:
    """Largest relative difference."""
    return max(Estimate(p).relative_to(f) for p, f in zip(predicted, found, strict=True))


def recorded() -> Numbers:
    """Return the numbers of the recorded run, by name with ``paper-`` before it."""
    study = Study.recorded()
    plain = study.finished.xs("plain", level="head")
    found = study.numbers() | {
        "ancestral": study.samples.loc[(SCHEDULE.n_steps, "plain"), "ratio"],
        "sliced-300": plain.loc[300, "ratio"],
        "range": plain.loc[300, "offset"] / plain.loc[50, "offset"],
        "offset-300": plain.loc[300, "offset"],
        **{f"frequency-{t}": plain.loc[t, "frequency"] for t in (300, 500)},
    }
    return {f"paper-{name}": float(value) for name, value in found.items()}


def quoted(numbers: Numbers) -> Numbers:
    """Return the numbers as the prose has them, those of :data:`PERCENT` in per cent."""
    return {
        name: 100 * value if name.removeprefix("paper-") in PERCENT else value
        for name, value in numbers.items()
    }


def paths(study: Study, traces: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Moments of samples before some steps beside the cloud's, by ``head`` and ``fraction`` t/T.

    ``spread`` along patterns and ``centre`` outside their span; with ``_law``: predicted.
    """
    found = []
    for who, trace in traces.items():
        frame = pd.DataFrame({"head": who, "fraction": (trace.index + 1) / SCHEDULE.n_steps})
        law = pd.DataFrame() if who == "bayes" else study.cloud(who)
        for name, column in (("spread", "spread_span"), ("centre", "centre_rest")):
            frame[name] = trace[column].to_numpy()
            frame[f"{name}_law"] = law[column].to_numpy() if column in law else math.nan
        found.append(frame[:: max(1, study.plan.n_calls // 25)])
    return pd.concat(found)


def between(plan: Plan) -> float:
    """Variance of the patterns along one of them, averaged."""
    pi = plan.mixture.probabilities
    return plan.radius**2 * float(1 - pi.square().sum()) / plan.n_patterns


def noisy_real(plan: Plan) -> pd.DataFrame:
    """The moments of :func:`paths` for noisy data."""
    times = torch.tensor(sampler_times(plan.n_calls))
    level = noise_level(plan.mixture, SCHEDULE, times)
    return pd.DataFrame({
        "fraction": (times + 1) / SCHEDULE.n_steps,
        "spread": level.signal**2 * between(plan) + level.variance,
        "centre": level.variance,
    })  # fmt: skip


def displacements(study: Study, x: Tensor, handover: int) -> pd.DataFrame:
    """Root mean square distance of cluster means from their patterns, a row a pattern.

    ``found`` in data points ``x`` that the trained head finished, and ``predicted``.
    """
    plan = study.plan
    deviations, counts = fidelity.cluster_deviations(x, plan.mixture)
    noise = study.finished.loc[(handover, "plain"), "law"] * plan.dim * plan.sigma**2
    return pd.DataFrame([
        {
            "probability": p,
            "found": float(deviations[counts[:, u] > 0, u].mean().sqrt()),
            "predicted": math.sqrt(noise / (plan.n_tokens * p)),
        }
        for u, p in enumerate(plan.weights)
    ])  # fmt: skip


def of_this_run(
    identity: pd.DataFrame, sweep: pd.DataFrame, floors: pd.DataFrame, shown: pd.DataFrame,
    displaced: pd.DataFrame, active: Any,
) -> Numbers:  # fmt: skip
    """Return the numbers of this run that its points do not give.

    Of both sides of the identity, the sweep of the exact denoiser, the :func:`paths` of heads, the
    :func:`displacements`, and samples with K < M by ``active``, a row a sampler.
    """
    last = sweep[sweep["n_calls"] == sweep["n_calls"].max()].set_index("sampler")
    lacking: Any = 100 * (1 - last["predicted"].groupby("sampler").first())
    ratios = floors / floors.mean()
    lag = (shown["spread"] / shown["spread_law"] - 1).abs()
    found = {
        "identity": _errors(identity["difference"], identity["priced risks"]),
        "step-error": _errors(sweep["scatter"], sweep["predicted"]),
        "last-ddim": lacking["DDIM"],
        "last-ancestral": lacking["ancestral"],
        "floor-low": ratios.min(axis=None),
        "floor-high": ratios.max(axis=None),
        "sliced-last": last["sliced"]["ancestral"].max(),
        "amplification": 1 / SCHEDULE.alpha_bars[-1],
        "lag": 100 * lag.max(),
        "rare-error": 100 * _apart(displaced["found"], displaced["predicted"].map(Estimate)),
        "rare": displaced["found"].iloc[0],
        "common": displaced["found"].iloc[-1],
        "within_active": active.loc["handover at 0.2 T", "within_active"],
        "active": 100 * active.loc["handover at 0.2 T", "within_active"],
        "distinct-noise": active.loc["head from noise", "distinct"],
    }
    return {name: float(value) for name, value in found.items()}


def _errors(found: pd.Series, expected: pd.Series) -> float:
    """Largest distance in standard errors."""
    return max(float(f.errors_from(e)) for f, e in zip(found, expected, strict=True))
