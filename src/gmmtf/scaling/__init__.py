"""Scaling laws: how many tokens and how many steps a given excess risk takes (C4, F2B, F2C)."""

from gmmtf.scaling.power_law import PowerLaw, fit_power_law
from gmmtf.scaling.steps import pattern_excess, steps_needed, steps_to_risk
from gmmtf.scaling.tokens import MAX_TOKENS, best_weight, tokens_needed

__all__ = [
    "MAX_TOKENS",
    "PowerLaw",
    "best_weight",
    "fit_power_law",
    "pattern_excess",
    "steps_needed",
    "steps_to_risk",
    "tokens_needed",
]
