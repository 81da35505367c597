"""How many tokens, dimensions and steps an excess risk takes: the convergence theorem, measured.

The theorem says that a descent in many dimensions with many tokens has an excess of at most ε at
the step at which its limit has ε/2. Here descents on the expansion are stopped at these steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from torch import Tensor

from gmmtf import MultiTokenGMM, ReducedWeight, descend, natural_step_size, risk
from gmmtf.descent import weights
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import squared_error
from gmmtf_book.c13_landscape.plan import SCHEDULE

TARGETS = (0.32, 0.16, 0.08, 0.04, 0.02, 0.01)
"""Excess risks ε, halved five times."""

TOKENS = {"√d": 0.5, "d": 1.0, "d²": 2.0}
"""Numbers of tokens as powers of the dimension."""

N_POINTS = 256
"""Query tokens of the net of a descent."""

_MOST_STEPS = 10_000


def law_in(mixture: MultiTokenGMM, dim: int, n_tokens: int) -> MultiTokenGMM:
    """Return the law with another dimension and number of tokens, and r² = d."""
    return replace(mixture, dim=dim, n_tokens=n_tokens, radius=math.sqrt(dim))


def steps_in_the_limit(mixture: MultiTokenGMM, targets: Sequence[float] = TARGETS) -> list[int]:
    """First steps at which the limit of many tokens and dimensions has these excess risks.

    With the step size KMd/r⁶ and r² = d; the limit then depends on neither d nor N.
    """
    law = law_in(mixture, mixture.dim, mixture.n_tokens)
    wanted, found = list(targets), []
    records = descend(law, SCHEDULE, _MOST_STEPS, lr=natural_step_size(law), method="limit",
                      record_every=1)  # fmt: skip
    for record in records:
        while wanted and record.excess.value <= wanted[0]:
            found.append(record.step)
            wanted.pop(0)
        if not wanted:
            return found
    raise ValueError(
        f"targets: expected excess risks that {_MOST_STEPS} steps reach, got {targets}"
    )


def excess_at(mixture: MultiTokenGMM, dim: int, power: float, at: Sequence[int]) -> dict[str, Any]:
    """Excess risk at steps of the descent on the expansion, with d^power tokens.

    ``holds``: whether the expansion holds there.
    """
    law = law_in(mixture, dim, round(dim**power))
    queries = draw_queries(law, SCHEDULE, n_points=N_POINTS)

    def excess(weight: ReducedWeight) -> Tensor:
        return (queries.factor * squared_error(weight.symmetric(), queries)).mean()

    rate = natural_step_size(law)
    path = dict(weights(ReducedWeight.zero(law), excess, at[-1], lr=rate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ValidityWarning)
        risks = [risk(path[step], law, SCHEDULE) for step in at]
    return {
        "step": list(at),
        "excess": [each.excess for each in risks],
        "holds": [each.holds for each in risks],
    }


def table(grid: pd.DataFrame, n_active: int) -> pd.DataFrame:
    """Return a row for each ε: the steps, and the smallest sizes of the grid at which they suffice.

    ``grid``: a row for each ``dim`` and ``tokens``, with what :func:`excess_at` gave. ``Nε/K`` is
    of the smallest size with N = √d, where the tokens decide.
    """
    rows = {}
    steps = grid["step"].iloc[0]
    for place, target in enumerate(TARGETS):
        enough = {name: smallest(grid[grid["tokens"] == name], place, target) for name in TOKENS}
        dim = enough["√d"]
        rows[target] = {
            "step": steps[place],
            "slope": slope(steps, place),
            **{f"d, N = {name}": size for name, size in enough.items()},
            "Nε/K": math.nan if dim is None else math.sqrt(dim) * target / n_active,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("ε")


def smallest(grid: pd.DataFrame, place: int, target: float) -> int | None:
    """Smallest d from which on the excess at the step of a target is at most that, or None."""
    best = None
    for dim, excess, holds in sorted(zip(grid["dim"], grid["excess"], grid["holds"], strict=True),
                                     key=lambda row: -row[0]):  # fmt: skip
        if not (holds[place] and excess[place].value <= target):
            break
        best = int(dim)
    return best


def slope(steps: Sequence[int], place: int) -> float:
    """Local exponent of the steps in 1/ε, from the target before; NaN for the first."""
    if place == 0:
        return math.nan
    return math.log(steps[place] / steps[place - 1]) / math.log(TARGETS[place - 1] / TARGETS[place])
