"""The numbers of chapter 5: simulated beside predicted, exponents, and what the prose quotes."""

from __future__ import annotations

from typing import Any

from gmmtf import Estimate
from gmmtf.scaling import PowerLaw, fit_power_law
from gmmtf_book.c05_tokens_and_patterns import filter_numbers
from gmmtf_book.c05_tokens_and_patterns.compared import Compared, Series
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, Case, Plan
from gmmtf_book.c05_tokens_and_patterns.sweeps import SWEEPS
from gmmtf_book.study import Study as StudyOf


class Study(StudyOf[Plan]):
    """The points of chapter 5."""

    chapter, paper = "05_tokens_and_patterns", PLANS["paper"]

    def compare(self, case: Case, step: int | None = None, what: str = "excess") -> Compared:
        """Return a case's simulated and predicted excess at a recorded step, by default the last.

        ``what`` is ``"excess"``, or ``"rare"`` for the rarest pattern's tokens after the run.
        """
        at = self.plan.record_at
        place = len(at) - 1 if step is None else at.index(step)
        runs = [p.value[what] for p in self.record.select(kind="simulated", **case.labels)]
        simulated = Estimate.pooled(runs if what == "rare" else [run[place] for run in runs])
        return Compared(simulated, self._predicted(case)[what][place + 1])

    def _predicted(self, case: Case) -> dict[str, Any]:
        point: dict[str, Any] = self.record.value(kind="predicted", **case.labels)
        return point

    def points(self, family: str) -> list[Compared]:
        """Return every case of a family at every recorded step."""
        cases = self.plan.families()[family][1]
        return [self.compare(case, step) for case in cases for step in self.plan.record_at]

    def series(self, family: str, what: str = "excess", *, share: bool = False) -> Series:
        """Return a family after the run, as shares of the predicted start if asked."""
        x, cases = self.plan.families()[family]
        pairs = [self.compare(case, what=what) for case in cases]
        units = [self._predicted(case)[what][0] if share else 1.0 for case in cases]
        found = list(zip(pairs, units, strict=True))
        return Series(x, [p.simulated / u for p, u in found], [p.predicted / u for p, u in found])

    def predicted(self, family: str, entry: str) -> tuple[list[float], list[float]]:
        """Return abscissae and an entry of the predictions, such as ``"best"`` or ``"law"``."""
        x, cases = self.plan.families()[family]
        return x, [self._predicted(case)[entry] for case in cases]

    def laws(self, family: str) -> dict[str, tuple[list[float], list[float]]]:
        """Return what the best head and the law of perfect selection leave, by name."""
        n = f"$N = {self.plan.n_tokens}$"
        names = {"best": f"best head, {n}", "law": f"law $aK/N$, {n}"}
        return {name: self.predicted(family, entry) for entry, name in names.items()}

    def exponents(self, family: str) -> dict[str, PowerLaw]:
        """Power laws of a family: as trained, as predicted, of the best head and of the law."""
        run = self.series(family)
        return {
            "trained": fit_power_law(run.x, [e.value for e in run.simulated]),
            "predicted": fit_power_law(run.x, run.predicted),
            "best": fit_power_law(*self.predicted(family, "best")),
            "law": fit_power_law(*self.predicted(family, "law")),
        }

    def deviation(self, family: str) -> float:
        """Largest relative deviation of simulated from predicted excess in a family."""
        return max(pair.deviation for pair in self.points(family))

    def rare_pairs(self, family: str) -> list[Compared]:
        """Return the excess of the rarest pattern's tokens after the run, simulated for it."""
        cases = self.plan.families()[family][1]
        return [self.compare(case, what="rare") for case in cases]

    def rare_errors(self) -> float:
        """Most standard errors between simulated and predicted excess of the rarest pattern."""
        return max(pair.standard_errors for pair in self.rare_pairs("pi_min"))

    def learned(self, reading: str) -> tuple[Series, list[float]]:
        """Return the steps until a rare pattern is learned, and those by the first step alone.

        ``reading``: what is rare, ``"tokens"`` or ``"data"``.
        """
        cases = self.plan.learned_cases()[reading]
        points = [self.record.value(kind="learned", **case.labels) for case in cases]
        counted = [self.record.select(kind="counted", **case.labels) for case in cases]
        found = [Estimate.pooled([Estimate(p.value) for p in runs]) for runs in counted]
        series = Series(list(self.plan.learned), found, [point["steps"] for point in points])
        return series, [point["first"] for point in points]

    def told(self) -> float:
        """Largest value of knowing the active set, as a share of the trained head's excess."""
        cases = [c for c in self.plan.families()["K"][1] if c.n_active is not None]
        values = [float(self.record.value(kind="set", **c.labels)) for c in cases]
        pairs = zip(values, cases, strict=True)
        return max(value / self.compare(case).simulated.value for value, case in pairs)

    def swept(self, name: str) -> tuple[list[float], list[float], list[float]]:
        """Return abscissae, numbers found and predictions of what is recorded of a sweep."""
        points = self.record.frame(kind="sweep", sweep=name)
        return points["x"].tolist(), points["found"].tolist(), points["law"].tolist()

    def fitted(self, name: str) -> tuple[PowerLaw, PowerLaw]:
        """Fit power laws to a sweep: to what was found, and to the prediction there."""
        x, found, closed = self.swept(name)
        return fit_power_law(x, found), fit_power_law(x, closed)

    def over_law(self, name: str) -> list[float]:
        """What a sweep found over its prediction."""
        _, found, closed = self.swept(name)
        return [a / b for a, b in zip(found, closed, strict=True)]


def both(
    recorded: Study, live: Study, family: str, what: str = "excess", *, share: bool = False
) -> dict[str, tuple[int, Series]]:
    """Return a family of the recorded and of this run, each with its number of tokens."""
    studies = {"recorded": recorded, "live": live}
    return {
        name: (study.plan.n_tokens, study.series(family, what, share=share))
        for name, study in studies.items()
    }


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run that are checked and quoted as claims, by name."""
    study = Study.recorded()
    found = {
        "told": study.told(), "rare standard errors": study.rare_errors(),
        **_rare_data(study), **filter_numbers.recorded(study),
    }  # fmt: skip
    for family in study.plan.families():
        found[f"{family} disagreement"] = max(p.disagreement() for p in study.points(family))
        found[f"{family} deviation"] = study.deviation(family)
        if family not in ("pi_min", "inclusion"):
            fits = study.exponents(family)
            found |= _named(f"{family} simulated", fits["trained"])
            found |= _named(f"{family} best", fits["best"])
    for name in SWEEPS:
        by_sweep, derived = study.fitted(name)
        found |= _named(name, by_sweep)
        found[f"{name} derived"] = derived.exponent
        found[f"{name} exponent - derived"] = by_sweep.exponent - derived.exponent
    ratios = study.over_law("rare, pi_min")
    whole = [e.value for e in study.series("pi_min").simulated]
    checks = study.record.frame(kind="check")
    cells = [
        Compared(*pair).disagreement()
        for name, expected in (("all", "predicted"), ("rare", "rare predicted"))
        for pair in zip(checks[name], checks[expected], strict=True)
    ]
    return found | {
        "rare, pi_min least time over derived": min(ratios),
        "rare, pi_min most time over derived": max(ratios),
        "hump of pi_min": max(whole) / whole[0],
        "phase disagreement": max(cells),
    }


def _rare_data(study: Study) -> dict[str, float]:
    """What differs if few data points hold the rare pattern, not few tokens."""
    whole = [e.value for e in study.series("inclusion").simulated]
    found = {
        "inclusion rare deviation": max(p.deviation for p in study.rare_pairs("inclusion")),
        "inclusion spread": max(whole) / min(whole),
    }
    for reading in ("tokens", "data"):
        series, first = study.learned(reading)
        pairs = series.pairs
        power = fit_power_law(series.x, [e.value for e in series.simulated])
        ratios = [e.value / alone for e, alone in zip(series.simulated, first, strict=True)]
        found |= _named(f"learned {reading}", power) | {
            f"learned {reading} disagreement": max(p.disagreement() for p in pairs),
            f"learned {reading} deviation": max(p.deviation for p in pairs),
            f"learned {reading} derived": fit_power_law(series.x, first).exponent,
            f"learned {reading} least over first": min(ratios),
            f"learned {reading} most over first": max(ratios),
        }
    return found


def _named(name: str, law: PowerLaw) -> dict[str, float]:
    return {f"{name} exponent": law.exponent, f"{name} low": law.low, f"{name} high": law.high}
