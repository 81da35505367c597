"""The effective picture against simulation: where it holds, how well, and what it says (C3, C4).

Every point is computed three ways, by simulation of data points, by the expansion in 1/N and by
the exact integral, and is recorded under labels from which its setting can be made again.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, ReducedWeight, natural_step_size, risk
from gmmtf.descent import DescentRecord, descend, weights
from gmmtf.record import Recording
from gmmtf.risks.head_risk import HeadRisk, ValidityWarning
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import squared_error
from gmmtf_book.c07_effective_tokens.plan import PLANS, SCHEDULE, SWEEPS, Plan, Setting
from gmmtf_book.study import Study as StudyOf

_CHEAPER = 32  # query tokens for the expansion, for each one for the integral

HUGE = MultiTokenGMM(
    n_patterns=64, dim=10**9, n_tokens=10**9, radius=1e9**0.5, sigma=0.3, n_active=8
)
"""A law that nobody can simulate."""


class Study(StudyOf[Plan]):
    """The points of chapter 7."""

    chapter, paper = "07_effective_tokens", PLANS["paper"]

    @classmethod
    def open(
        cls, plan: Plan, path: str | os.PathLike[str] = "", device: torch.device | str = "cpu"
    ) -> Self:
        """Return a study whose points are kept in a file, or in memory where ``path`` is empty."""
        return cls(Recording(path, plan.settings(), code=__name__, device=device), plan)

    def points(self, *kinds: str) -> Any:
        """Return the points of some kinds, by default of the four sweeps, as a table.

        ``x`` is the value that varies in the sweep.
        """
        varied = SWEEPS | {"curve": "step"}
        frames = [
            self.record.frame(kind=kind).rename(columns={varied[kind]: "x"})
            for kind in kinds or SWEEPS
        ]
        return pd.concat(frames).sort_values(["kind", "x"], ignore_index=True)

    def last_weight(self) -> ReducedWeight:
        """Return the weight at the end of the simulated descent."""
        return from_three_numbers(self.points("curve")["weight"].iloc[-1], self.plan.main)

    def line(self, kind: str) -> tuple[list[float], list[float]]:
        """Return a sweep's expansion as a curve to draw; NaN where it does not hold."""
        values = self.plan.values(kind)
        spaced = np.linspace if kind == "time" else np.geomspace
        dense = spaced(values[0], values[-1], self.plan.line_points)
        x = dense.tolist() if SWEEPS[kind] == "strength" else dense.round().tolist()
        return x, expansion_line(self.plan, kind, x)


def sweeps(study: Study) -> None:
    """Compute every point of the four sweeps that the record does not hold yet."""
    for kind, label in SWEEPS.items():
        for value in study.plan.values(kind):
            labels: dict[str, Any] = {"kind": kind, label: value}
            study.record.point(partial(_sweep_point, study, kind, value), **labels)


def _sweep_point(study: Study, kind: str, value: float) -> dict[str, Any]:
    plan = study.plan
    _, mixture, t = setting = plan.setting(kind, value)
    count = plan.n_simulated
    if t is not None:  # fewer data points do where the time does not vary
        count = max(8, round(count / 2 * min(1.0, plan.n_tokens / mixture.n_tokens)))
    return measured(setting, plan, count, study.record.device)


def curve(study: Study, descent: Iterable[DescentRecord]) -> None:
    """Simulate some of the weights that gradient descent on the expansion went through.

    ``descent`` is that for the plan's main mixture; those of the ``curve_steps`` are used.
    """
    for record in descent:
        if record.step in study.plan.curve_steps:
            compute = partial(_curve_point, study, record.weight)
            study.record.point(compute, kind="curve", step=record.step)


def _curve_point(study: Study, weight: ReducedWeight) -> dict[str, Any]:
    plan = study.plan
    found = measured((weight, plan.main, None), plan, plan.n_simulated, study.record.device)
    return found | {"weight": three_numbers(weight)}


def descents(live: Study, paper: Study) -> dict[str, list[DescentRecord]]:
    """Descend on the expansion from W = 0 for the live, the recorded and the huge law."""
    plan = live.plan

    def path(mixture: MultiTokenGMM, steps: int, every: int) -> list[DescentRecord]:
        count = plan.curve_points
        return list(descend(mixture, SCHEDULE, steps, n_points=count, record_every=every))

    own = path(plan.main, plan.curve_length, plan.curve_every)
    same = live is paper
    return {
        "live": own,
        "paper": own if same else path(paper.plan.main, plan.line_steps, 5),
        "huge": symmetric_descent(HUGE, plan.huge_steps, 3, n_points=plan.curve_points),
    }


def symmetric_descent(
    mixture: MultiTokenGMM, steps: int, every: int, *, n_points: int
) -> list[DescentRecord]:
    """Descend among the weights in which all patterns are alike."""
    queries = draw_queries(mixture, SCHEDULE, n_points=n_points, seed=0)

    def loss(weight: ReducedWeight) -> Tensor:
        return (queries.factor * squared_error(weight.symmetric(), queries)).mean()

    path = weights(ReducedWeight.zero(mixture), loss, steps, lr=natural_step_size(mixture))
    return [
        DescentRecord(
            **vars(risk(weight, mixture, SCHEDULE, n_points=max(1, n_points // 8), seed=1)),
            step=step, weight=weight,
        )
        for step, weight in path if step in {*range(0, steps, every), steps}
    ]  # fmt: skip


def three_numbers(weight: ReducedWeight) -> list[float]:
    """Means of the diagonal and of the other entries of G, and κ: the weight, for uniform π."""
    pattern = weight.symmetric().pattern
    return [float(pattern[0, 0]), float(pattern[0, -1]), float(weight.complement)]


def from_three_numbers(numbers: Sequence[float], mixture: MultiTokenGMM) -> ReducedWeight:
    """Undo :func:`three_numbers`."""
    same, other, complement = numbers
    size = mixture.n_patterns
    pattern = torch.full((size, size), other, dtype=torch.float64).fill_diagonal_(same)
    return ReducedWeight(pattern, torch.tensor(complement, dtype=torch.float64))


def measured(
    setting: Setting, plan: Plan, n_samples: int, device: torch.device | str
) -> dict[str, Any]:
    """Excess risk of a setting by all three methods."""
    simulated = simulate(setting, plan.seeds, n_samples, device)
    return simulated | predict(setting, n_points=plan.n_points)


def simulate(
    setting: Setting, seeds: Sequence[int], n_samples: int, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Excess risk by the exact reduced simulation: ``seeds`` and their mean, ``simulated``."""
    weight, mixture, t = setting
    each = [
        risk(
            weight, mixture, SCHEDULE, t=t, method="simulation", n_samples=n_samples,
            generator=torch.Generator(device).manual_seed(seed),
            bayes=Estimate(0.0),  # only the loss needs it
        ).excess_risk
        for seed in seeds
    ]  # fmt: skip
    return {"seeds": each, "simulated": Estimate.mean(each)}


def predict(setting: Setting, *, n_points: int) -> dict[str, Any]:
    """Excess risk by the expansion and by the integral, and what the expansion says of itself."""
    weight, mixture, t = setting
    found = expanded(setting, n_points=_CHEAPER * n_points)
    exact = risk(weight, mixture, SCHEDULE, t=t, method="integral", n_points=n_points)
    said = {name: getattr(found, name) for name in ("validity", "dispersion", "holds")}
    return {"expansion": found.excess_risk, "integral": exact.excess_risk, **said}


def expanded(setting: Setting, *, n_points: int) -> HeadRisk:
    """Risk by the expansion, without a warning where it fails: that is what is studied."""
    weight, mixture, t = setting
    with warnings.catch_warnings(action="ignore", category=ValidityWarning):
        return risk(weight, mixture, SCHEDULE, t=t, n_points=n_points)


def expansion_line(
    plan: Plan, kind: str, values: Iterable[float], *, n_points: int = 256
) -> list[float]:
    """Excess risk by the expansion over a sweep; NaN where it does not hold."""
    found = [expanded(plan.setting(kind, value), n_points=n_points) for value in values]
    return [f.excess_risk.value if f.holds else math.nan for f in found]
