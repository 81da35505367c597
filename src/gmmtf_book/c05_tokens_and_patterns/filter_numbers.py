"""What the map of head over linear filter says: where they are level, and how sure the map is."""

from __future__ import annotations

import pandas as pd

from gmmtf import Estimate
from gmmtf_book.c05_tokens_and_patterns.against_filter import PATTERNS
from gmmtf_book.c05_tokens_and_patterns.compared import Compared
from gmmtf_book.c05_tokens_and_patterns.learned import crossing
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, Plan
from gmmtf_book.study import Study

DIM = PLANS["paper"].dim  # of the map, whatever the plan


def cells(study: Study[Plan]) -> pd.DataFrame:
    """Cells of the map: K, N, their shares K/M and N/d, ratio, and N over the boundary.

    ``simulated`` says where the expansion does not hold, and the ratio is from simulation.
    """
    return _placed(study.record.frame(kind="filter"))


def checked(study: Study[Plan], mapped: pd.DataFrame) -> pd.DataFrame:
    """Cells that were simulated, with what all seeds found and what a map has there."""
    runs = study.record.frame(kind="filter check")
    pooled = runs.groupby(["K", "N"])["value"].agg(Estimate.pooled).rename("found")
    return _placed(pooled.reset_index().merge(mapped[["K", "N", "ratio"]], on=["K", "N"]))


def level(mapped: pd.DataFrame) -> pd.Series:
    """Tokens at which the best head and the filter are level, over the boundary, by K."""
    return pd.Series({
        k: crossing(rows["beyond"].tolist(), rows["ratio"].tolist(), 1.0)
        for k, rows in mapped.sort_values("N").groupby("K")
    })  # fmt: skip


def recorded(study: Study[Plan]) -> dict[str, float]:
    """Return the numbers that are checked."""
    mapped = cells(study)
    at = level(mapped)
    return {
        "filter short": float(mapped.loc[mapped["beyond"] <= 1, "ratio"].min()),
        "filter beyond": float(mapped.loc[mapped["beyond"] >= 3, "ratio"].max()),
        "filter level least": float(at.min()),
        "filter level most": float(at.max()),
        "filter disagreement": disagreement(checked(study, mapped)),
    }


def disagreement(found: pd.DataFrame) -> float:
    """Largest disagreement of simulated cells with the map."""
    pairs = zip(found["found"], found["ratio"], strict=True)
    return max(Compared(*pair).disagreement() for pair in pairs)


def quoted(study: Study[Plan]) -> dict[str, object]:
    """Return what the prose quotes."""
    mapped, numbers = cells(study), recorded(study)
    few, all_active = (mapped[(mapped["K"] == k) & (mapped["N"] == DIM)] for k in (2, PATTERNS))
    return {
        "filter-m": PATTERNS, "filter-dim": DIM, "filter-cells": len(mapped),
        "filter-low": numbers["filter level least"], "filter-high": numbers["filter level most"],
        "filter-few": few["ratio"].item(), "filter-all": all_active["ratio"].item(),
    }  # fmt: skip


def _placed(found: pd.DataFrame) -> pd.DataFrame:
    beyond = found["N"] * (PATTERNS - 1) / (found["K"] * DIM)
    return found.assign(**{"K/M": found["K"] / PATTERNS, "N/d": found["N"] / DIM, "beyond": beyond})
