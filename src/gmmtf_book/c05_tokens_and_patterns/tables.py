"""The tables that the page of chapter 5 shows."""

from __future__ import annotations

import pandas as pd

from gmmtf.scaling import fit_power_law
from gmmtf_book.c05_tokens_and_patterns.limits import Limit
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from gmmtf_book.c05_tokens_and_patterns.sweeps import SWEEPS

_COUNTED = {
    "tokens": "tokens for an excess of 0.01",
    "share": "time to 10 % of the start",
    "absolute": "time to an excess of 0.04",
    "rare": "time to learn a rare pattern",
    "noticed": "steps to a product of 0.1",
}
_AGAINST = {
    "target": "the excess asked for", "pi_min": "π_min", "r^2/d": "r²/d", "sigma": "σ",
    "K of 16": "K, with M = 16", "long": "π_min, r = 64", "short": "π_min, r = 4",
}  # fmt: skip


def family_table(study: Study, limits: dict[str, Limit]) -> pd.DataFrame:
    """Exponents of the excess risk against K, K = M and N."""
    rows = {}
    for family in ("K", "K = M", "N"):
        fits = study.exponents(family)
        rows[family] = {
            "trained": fits["trained"].exponent,
            "trained, limit": fit_power_law(*limits[family].all).exponent,
            "best head": fits["best"].exponent,
            "law a K/N": fits["law"].exponent,
        }
    return _two_digits(rows).rename_axis("against")


def sweep_table(study: Study) -> pd.DataFrame:
    """Exponents of all sweeps, as counted and as said by the law or the first step."""
    rows = {}
    for name in SWEEPS:
        kind, varied = name.split(", ")
        counted, said = study.fitted(name)
        label = f"{_COUNTED[kind]}, against {_AGAINST.get(varied, varied)}"
        rows[label] = {"counted": counted.exponent, "law or first step": said.exponent}
    return _two_digits(rows)


def _two_digits(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.map(lambda exponent: f"{round(exponent, 2) + 0.0:.2f}")
