"""A search for settings at which the expansion is wrong and does not say so."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from gmmtf import MultiTokenGMM, ReducedWeight, risk
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf_book.c07_effective_tokens.plan import SCHEDULE
from gmmtf_book.c07_effective_tokens.runs import Study

BATCH = 100
"""Settings of a recorded point."""

_COLUMNS = {"validity": float, "dispersion": float, "holds": bool, "error": float, "known": bool}


class Case(NamedTuple):
    """A head and a law, at a time or over the schedule (None)."""

    weight: ReducedWeight
    law: MultiTokenGMM
    t: int | None
    head: HeadScalars


def random_cases(study: Study) -> Any:
    """Compute the plan's random settings; return a table of all, a row a setting.

    Columns as :func:`compare` gives them. Points that are recorded are read.
    """
    for seed in range(study.plan.search_batches):
        study.record.point(partial(_batch, seed), kind="search", seed=seed)
    found = pd.DataFrame(study.record.frame(kind="search"), columns=list(_COLUMNS))
    return found.explode(list(found), ignore_index=True).astype(_COLUMNS)


def _batch(seed: int) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    rows = [compare(draw(generator)) for _ in range(BATCH)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def compare(case: Case) -> dict[str, float | bool]:
    """Return what the expansion says of itself, and its error against the integral.

    ``validity``, ``dispersion``, ``holds``: of the expansion; ``error``: relative, on the same
    query tokens, so that it has no statistical error; ``known``: whether the integral holds.
    """
    weight, law, t, head = case
    count = 32 if t is None else 16

    def found(method: str) -> Any:
        return risk(weight, law, SCHEDULE, t=t, head=head, method=method, n_points=count,
                    n_replicates=2)  # fmt: skip

    with warnings.catch_warnings(action="ignore", category=ValidityWarning):
        said, exact = found("expansion"), found("integral")
    error = said.excess.relative_to(exact.excess) if said.excess.value < math.inf else math.inf
    return {
        "validity": said.validity, "dispersion": said.dispersion, "holds": said.holds,
        "error": error, "known": exact.holds,
    }  # fmt: skip


def draw(generator: np.random.Generator) -> Case:
    """Draw a setting from all that the expansion takes: N from 2, β of either sign, rare patterns.

    Also K < M, both readings of rarity, weights that are not symmetric, and all of the head's
    scalars. Sizes are log-uniform; the patterns' norm is from 0.3 to 4 times √d.
    """

    def spread(low: float, high: float) -> float:
        return float(np.exp(generator.uniform(math.log(low), math.log(high))))

    def chance(p: float) -> bool:
        return bool(generator.random() < p)

    size = int(generator.integers(1, 11))
    active = int(generator.integers(1, size)) if size > 2 and chance(0.4) else None
    dim = size - 1 + int(spread(1, 3e4))
    law = MultiTokenGMM(
        n_patterns=size, dim=dim, n_active=active, radius=spread(0.3, 4) * dim**0.5,
        n_tokens=int(generator.integers(2, 7)) if chance(0.3) else int(spread(2, 3000)),
        sigma=spread(0.03, 1), **_rarity(size, active, spread(1e-4, 1), generator),
    )  # fmt: skip
    t = None if chance(0.25) else int(generator.integers(0, 1000))
    if t is not None and chance(0.4):
        t = int(spread(1, 300))
    strength = spread(0.3, 30) * (1 if chance(0.65) else -1)
    products = strength * np.eye(size)
    if chance(0.5):
        products += 0.2 * abs(strength) * generator.normal(size=(size, size))
    complement = float(generator.normal() * spread(0.05, 3)) if chance(0.5) else 0.0
    pattern = torch.from_numpy(products / float(law.radius or 1) ** 2)
    weight = ReducedWeight(pattern, torch.tensor(complement, dtype=torch.float64))
    head = PLAIN
    if chance(0.5):
        ends = ((-0.2, 1.3), (0.0, 1.2), (-0.3, 0.8), (-0.3, 0.5), (0.0, 1.0))
        head = HeadScalars(*(float(generator.uniform(*end)) for end in ends))
    return Case(weight, law, t, head)


def _rarity(
    size: int, active: int | None, least: float, generator: np.random.Generator
) -> dict[str, Any]:
    """Probabilities of tokens or of data points, or neither; one pattern has about the least."""
    kind = generator.choice(
        ["none", "one rare", "all differ", "rare data"], p=[0.4, 0.25, 0.2, 0.15]
    )
    if size == 1 or kind == "none":
        return {}
    if kind == "rare data" and active is not None:
        rest = (active - least) / (size - 1)
        return {"inclusion": [least, *[rest] * (size - 1)]} if max(least, rest) < 0.95 else {}
    weights = np.array([least, *[1.0] * (size - 1)])
    if kind == "all differ":
        weights = generator.gamma(0.5, size=size) + 1e-4
    return {"weights": (weights / weights.sum()).tolist()}
