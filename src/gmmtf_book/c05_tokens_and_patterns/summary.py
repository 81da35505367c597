"""The numbers of the study that the book's account of the claims quotes (F2B, F2C, C4)."""

from __future__ import annotations

from typing import Any

from gmmtf.scaling.power_law import PowerLaw, fit_power_law
from gmmtf_book.c05_tokens_and_patterns.comparison import Compared, compare
from gmmtf_book.c05_tokens_and_patterns.plan import Plan
from gmmtf_book.c05_tokens_and_patterns.sweeps import SWEEPS, fitted, swept

TOLERANCE = 0.05
"""Relative deviation of simulated from predicted excess that is allowed, or ..."""

ERRORS = 2.0
"""... this many standard errors."""


def disagreement(pairs: list[Compared]) -> float:
    """Largest deviation in units of what is allowed: at most 1 where all points agree."""
    return max(min(pair.deviation / TOLERANCE, pair.standard_errors / ERRORS) for pair in pairs)


def points(values: dict[str, Any], plan: Plan, family: str) -> list[Compared]:
    """Return every case of a family at every recorded step."""
    cases = plan.families()[family][1]
    return [compare(values, plan, case, step) for case in cases for step in plan.record_at]


def simulated_fit(values: dict[str, Any], plan: Plan, family: str) -> PowerLaw:
    """Fit a power law to the simulated excess after the run.

    Raises
    ------
    ValueError
        If there are fewer than three points.
    """
    x, cases = plan.families()[family]
    return fit_power_law(x, [compare(values, plan, case).simulated.value for case in cases])


def summary(document: dict[str, Any]) -> dict[str, float]:
    """Return the quoted numbers of a recorded study, by name.

    ``"<family> disagreement"`` is that of :func:`disagreement`, ``"<family> deviation"`` the
    largest |simulated/predicted - 1|; exponents come as ``"<name> exponent"``, ``low``, ``high``,
    for the sweeps also ``derived``. ``"hump of pi_min"`` is the largest simulated excess of the
    family over that at its smallest probability; ``"rare, pi_min least time over derived"`` and
    ``most`` are the extreme ratios of a rare pattern's time to that of the first step.
    """
    values, plan = document["values"], Plan.from_settings(document["settings"])
    found: dict[str, float] = {}
    for family in plan.families():
        pairs = points(values, plan, family)
        found[f"{family} disagreement"] = disagreement(pairs)
        found[f"{family} deviation"] = max(pair.deviation for pair in pairs)
        found[f"{family} points"] = float(len(pairs))
        if family != "pi_min":
            _add(found, f"{family} simulated", simulated_fit(values, plan, family))
    for name in SWEEPS:
        by_sweep, derived = fitted(values, name)
        _add(found, name, by_sweep)
        found[f"{name} derived"] = derived.exponent
    _, times, first = swept(values, "rare, pi_min")
    ratios = [time / scale for time, scale in zip(times, first, strict=True)]
    found["rare, pi_min least time over derived"] = min(ratios)
    found["rare, pi_min most time over derived"] = max(ratios)
    rare = [compare(values, plan, case).simulated.value for case in plan.families()["pi_min"][1]]
    found["hump of pi_min"] = max(rare) / rare[0]
    return found


def _add(found: dict[str, float], name: str, law: PowerLaw) -> None:
    entries = {"exponent": law.exponent, "low": law.low, "high": law.high}
    found.update({f"{name} {key}": value for key, value in entries.items()})
