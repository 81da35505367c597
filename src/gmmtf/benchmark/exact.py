"""The exact risks of the tasks, stored: what scores are counted from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from gmmtf.arguments import checked
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE, TASKS, VERSION, Task, task
from gmmtf.estimate import Estimate
from gmmtf.jsonvalues import decode
from gmmtf.laws.law import fingerprint
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk, oracle_risk

N_POINTS = 2**12
"""Points of a Bayes risk at one time."""


@dataclass(frozen=True)
class ExactRisks:
    """Risks of a task's references, per coordinate, at each of ``LEVELS``.

    ``fingerprint``: what the law was, as a hash. ``bayes`` has standard errors where it is found by
    Monte Carlo; ``oracle``, of knowing each token's component, and ``linear`` are closed forms; the
    risk of no denoising is one.
    """

    fingerprint: str
    oracle: list[float]
    bayes: list[Estimate]
    linear: list[float]

    @property
    def bayes_risk(self) -> Estimate:
        """The Bayes risk, averaged over ``LEVELS``."""
        return Estimate.mean(self.bayes)

    @property
    def linear_excess(self) -> Estimate:
        """By how much the best linear filter is above Bayes, averaged over ``LEVELS``."""
        return sum(self.linear) / len(self.linear) - self.bayes_risk


@checked
def derive(on: Task, *, n_points: int = N_POINTS, seed: int = 0) -> ExactRisks:
    """Compute the exact risks of a task; ``n_points`` and ``seed`` as in ``bayes_risk``."""
    return ExactRisks(
        law_digest(on),
        [oracle_risk(on.law, SCHEDULE, t=t) for t in LEVELS],
        [bayes_risk(on.law, SCHEDULE, t=t, n_points=n_points, seed=seed) for t in LEVELS],
        [linear_risk(on.law, SCHEDULE, t=t) for t in LEVELS],
    )


@checked
def law_digest(on: Task) -> str:
    """Hash of what the law of a task is."""
    described = json.dumps(fingerprint(on.law), sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


@checked
def exact_risks(name: str) -> ExactRisks:
    """Return the stored risks of a task.

    Raises
    ------
    ValueError
        If there is no such task.
    """
    return ExactRisks(**_stored()[task(name).name])


@cache
def _stored() -> dict[str, Any]:
    text = (files("gmmtf.benchmark") / "risks.json").read_text(encoding="utf-8")
    stored: dict[str, Any] = decode(json.loads(text))
    if stored["version"] != VERSION or list(stored["tasks"]) != list(TASKS):
        raise RuntimeError("risks.json is not of this suite; make it with derive()")
    return dict(stored["tasks"])
