"""The numbers of chapter 5: simulated beside predicted, exponents, and what the prose quotes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from gmmtf import Estimate
from gmmtf.record import Recording
from gmmtf.scaling import PowerLaw, fit_power_law
from gmmtf_book import RESULTS
from gmmtf_book.c05_tokens_and_patterns.plan import Case, Plan
from gmmtf_book.c05_tokens_and_patterns.sweeps import SWEEPS, fitted, swept

TOLERANCE = 0.05
"""Relative deviation of simulated from predicted excess that is allowed, or ..."""

ERRORS = 2.0
"""... this many standard errors."""


@dataclass(frozen=True)
class Compared:
    """A simulated number, over all seeds, and its prediction."""

    simulated: Estimate
    predicted: float

    @property
    def deviation(self) -> float:
        """|simulated / predicted - 1|."""
        return self.simulated.relative_to(self.predicted)

    @property
    def standard_errors(self) -> float:
        """|simulated - predicted| in standard errors."""
        return self.simulated.errors_from(self.predicted)

    def disagreement(self, tolerance: float = TOLERANCE, errors: float = ERRORS) -> float:
        """Deviation in units of what is allowed: at most 1 where the two agree."""
        return min(self.deviation / tolerance, self.standard_errors / errors)


@dataclass(frozen=True)
class Series:
    """A family of cases: abscissae, simulated excesses, and their predictions."""

    x: list[float]
    simulated: list[Estimate]
    predicted: list[float]


@dataclass(frozen=True)
class Study:
    """A record, and the plan that its points follow."""

    record: Recording
    plan: Plan

    @classmethod
    def recorded(cls) -> Study:
        """Return the recorded run at paper scale."""
        record = Recording(RESULTS / "05_tokens_and_patterns.json")
        return cls(record, Plan.from_settings(record.settings))

    def compare(self, case: Case, step: int | None = None, what: str = "excess") -> Compared:
        """Return a case's simulated and predicted excess at a recorded step, by default the last.

        ``what`` is ``"excess"``, or ``"rare"`` for the rarest pattern's tokens after the run.
        """
        at = self.plan.record_at
        place = len(at) - 1 if step is None else at.index(step)
        runs = [p.value[what] for p in self.record.select(kind="simulated", **case.labels)]
        simulated = Estimate.pooled(runs if what == "rare" else [run[place] for run in runs])
        predicted = self.record.value(kind="predicted", **case.labels)[what][place + 1]
        return Compared(simulated, predicted)

    def points(self, family: str) -> list[Compared]:
        """Return every case of a family at every recorded step."""
        cases = self.plan.families()[family][1]
        return [self.compare(case, step) for case in cases for step in self.plan.record_at]

    def series(self, family: str, what: str = "excess", *, share: bool = False) -> Series:
        """Return a family after the run, as shares of the predicted start if asked."""
        x, cases = self.plan.families()[family]
        pairs = [self.compare(case, what=what) for case in cases]
        starts = [self.record.value(kind="predicted", **case.labels)[what][0] for case in cases]
        units = starts if share else [1.0] * len(cases)
        found = list(zip(pairs, units, strict=True))
        return Series(x, [p.simulated / u for p, u in found], [p.predicted / u for p, u in found])

    def predicted(self, family: str, entry: str) -> tuple[list[float], list[float]]:
        """Return abscissae and an entry of the predictions, such as ``"best"`` or ``"law"``."""
        x, cases = self.plan.families()[family]
        return x, [self.record.value(kind="predicted", **case.labels)[entry] for case in cases]

    def laws(self, family: str) -> dict[str, tuple[list[float], list[float]]]:
        """Return what the best head and the law of perfect selection leave, by name."""
        n = f"$N = {self.plan.n_tokens}$"
        names = {"best": f"best head, {n}", "law": f"law $aK/N$, {n}"}
        return {name: self.predicted(family, entry) for entry, name in names.items()}

    def swept(self, name: str) -> tuple[list[float], list[float], list[float]]:
        """Return abscissae, numbers found and predictions of a sweep."""
        return swept(self.record, name)

    def exponents(self, family: str) -> dict[str, PowerLaw]:
        """Power laws of a family: as trained, as predicted, of the best head and of the law."""
        run = self.series(family)
        return {
            "trained": fit_power_law(run.x, [e.value for e in run.simulated]),
            "predicted": fit_power_law(run.x, run.predicted),
            "best": fit_power_law(*self.predicted(family, "best")),
            "law": fit_power_law(*self.predicted(family, "law")),
        }

    def told(self) -> float:
        """Largest value of knowing the active set, as a share of the trained head's excess."""
        cases = [c for c in self.plan.families()["K"][1] if c.n_active is not None]
        values = [float(self.record.value(kind="set", **c.labels)) for c in cases]
        pairs = zip(values, cases, strict=True)
        return max(value / self.compare(case).simulated.value for value, case in pairs)


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run that are checked and quoted as claims, by name."""
    study = Study.recorded()
    found: dict[str, float] = {"told": study.told()}
    for family in study.plan.families():
        pairs = study.points(family)
        found[f"{family} disagreement"] = max(pair.disagreement() for pair in pairs)
        found[f"{family} deviation"] = max(pair.deviation for pair in pairs)
        if family != "pi_min":
            fits = study.exponents(family)
            _add(found, f"{family} simulated", fits["trained"])
            _add(found, f"{family} best", fits["best"])
    for name in SWEEPS:
        by_sweep, derived = fitted(study.record, name)
        _add(found, name, by_sweep)
        found[f"{name} derived"] = derived.exponent
        found[f"{name} exponent - derived"] = by_sweep.exponent - derived.exponent
    _, times, first = swept(study.record, "rare, pi_min")
    ratios = [time / scale for time, scale in zip(times, first, strict=True)]
    found["rare, pi_min least time over derived"] = min(ratios)
    found["rare, pi_min most time over derived"] = max(ratios)
    whole = [e.value for e in study.series("pi_min").simulated]
    found["hump of pi_min"] = max(whole) / whole[0]
    rare = [study.compare(c, what="rare") for c in study.plan.families()["pi_min"][1]]
    found["rare standard errors"] = max(pair.standard_errors for pair in rare)
    checks = [p.value for p in study.record.select(kind="check")]
    found["phase disagreement"] = max(
        Compared(value[name], value[expected]).disagreement()
        for value in checks
        for name, expected in (("all", "predicted"), ("rare", "rare predicted"))
    )
    return found


def family_table(study: Study) -> pd.DataFrame:
    """Exponents of the excess risk against K, K = M and N."""
    rows = {}
    for family in ("K", "K = M", "N"):
        fits = study.exponents(family)
        rows[family] = {
            "trained, simulated [95 %]": str(fits["trained"]),
            "predicted": f"{fits['predicted'].exponent:.3f}",
            "best head": f"{fits['best'].exponent:.3f}",
            "law": f"{fits['law'].exponent:.3f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("against")


def sweep_table(study: Study, kinds: tuple[str, ...]) -> pd.DataFrame:
    """Exponents of the sweeps of some kinds, fitted and derived, and the points found."""
    rows = {}
    for name, sweep in SWEEPS.items():
        if name.split(",")[0] in kinds:
            found, derived = fitted(study.record, name)
            rows[name.removeprefix("tokens, ")] = {
                "fitted exponent [95 %]": str(found),
                "derived, here": f"{derived.exponent + 0.0:.3f}",
                "limit": sweep.limit,
                "found": ", ".join(f"{v:.3g}" for v in swept(study.record, name)[1]),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("against")


def _add(found: dict[str, float], name: str, law: PowerLaw) -> None:
    found |= {f"{name} exponent": law.exponent, f"{name} low": law.low, f"{name} high": law.high}
