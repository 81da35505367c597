"""The numbers of chapter 13 that follow from the points of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from gmmtf import Estimate
from gmmtf.curve import Curve
from gmmtf_book import study
from gmmtf_book.c13_landscape import convergence
from gmmtf_book.c13_landscape.plan import PLANS, Plan

ARRIVED = 1.1
"""A descent from another start has arrived at this many times the excess of the one from zero.

That is taken after the plan's ``starts_steps`` steps.
"""


@dataclass(frozen=True)
class Study(study.Study[Plan]):
    """The points of a run, and the numbers that follow from them."""

    chapter = "13_landscape"
    paper = PLANS["paper"]

    def starts(self) -> dict[str, list[tuple[Curve, Estimate]]]:
        """Return the descents from other starts, by start, and their ends' simulated excess.

        A start of products that are random has several, in the order of their seeds.
        """
        found: dict[str, list[tuple[Curve, Estimate]]] = {}
        points = self.record.select(kind="start")
        for point in sorted(points, key=lambda p: int(p.labels.get("seed") or 0)):
            each = found.setdefault(str(point.labels["start"]), [])
            each.append((Curve.from_json(point.value), point.value["check"]))
        return found

    def arrivals(self) -> pd.DataFrame:
        """Return how each descent from another start gets on, a row each.

        ``start``; ``first``: excess risk there; ``early``: its excess after ``starts_steps`` steps
        over that of the descent from zero; ``arrived``: the first recorded step at which its excess
        is at most :data:`ARRIVED` times that, infinite if there is none; ``check``: standard errors
        of the simulated end from the computed one.
        """
        starts, steps = self.starts(), self.plan.starts_steps
        ((zero, _),) = starts["zero"]
        level = zero.excess[zero.steps.index(steps)].value
        rows = []
        for name, each in starts.items():
            for path, check in each:
                pairs = zip(path.steps, path.excess, strict=True)
                reached = (step for step, excess in pairs if excess.value <= ARRIVED * level)
                rows.append({
                    "start": name, "first": path.excess[0].value,
                    "early": path.excess[path.steps.index(steps)].value / level,
                    "arrived": next(reached, math.inf),
                    "check": path.excess[-1].errors_from(check),
                })  # fmt: skip
        return pd.DataFrame(rows)

    def curvature(self) -> pd.DataFrame:
        """Return gradient and extreme eigenvalues of the Hessian, a row a place."""
        return self.record.frame(kind="curvature").set_index("place")

    def line(self) -> dict[float, Estimate]:
        """Return the exact excess risk of W = βP by βr²."""
        line = self.record.frame(kind="line")
        return dict(zip(line["strength"], line["value"], strict=True))

    def convergence(self) -> pd.DataFrame:
        """Return what each excess risk takes, see :func:`convergence.table`."""
        return convergence.table(self.record.frame(kind="grid"), self.plan.grid_active)

    def convergence_numbers(self) -> dict[str, float]:
        """Numbers of the convergence theorem, at the steps of the limit's ε/2.

        ``converge-most``: excess over ε with most dimensions and tokens, the largest over ε;
        ``converge-few``: the same for the smallest ε with the fewest tokens for which the
        expansion holds; ``converge-tokens-...``: least and most Nε/K of the numbers of tokens that
        suffice; ``converge-slope``: local exponent of the steps in 1/ε, of the last halving.
        """
        grid = self.record.frame(kind="grid").set_index(["tokens", "dim"]).sort_index()
        table, most, few = self.convergence(), grid.loc["d²"].iloc[-1], grid.loc["√d"]
        few = few[few["holds"].map(all)]
        shares = [e.value / x for e, x in zip(most["excess"], convergence.TARGETS, strict=True)]
        return {
            "converge-most": max(shares),
            "converge-few": few["excess"].iloc[0][-1].value / convergence.TARGETS[-1],
            "converge-few-dim": int(few.index.min()),
            "converge-few-tokens": math.isqrt(int(few.index.min())),
            "converge-tokens-low": float(table["Nε/K"].min()),
            "converge-tokens-high": float(table["Nε/K"].max()),
            "converge-slope": float(table["slope"].iloc[-1]),
            "converge-dim": int(grid.loc["d²"].index.max()),
        }

    def landscape_numbers(self) -> dict[str, float]:
        """Numbers of the landscape.

        ``check``: largest deviation of a simulated end from the computed one, in standard errors;
        ``smallest_at_zero``, ``smallest_at_end``: smallest eigenvalue of the Hessian at W = 0 and
        on the descent from there, over the largest one at W = 0; ``missing``: descents from other
        starts that do not arrive; ``early <name>``: excess over that of the descent from zero after
        ``starts_steps`` steps, the largest of a start; ``worst_early``: the largest of all starts
        but the two that take much longer.
        """
        found, bent = self.arrivals(), self.curvature()
        numbers = {
            "check": float(found["check"].max()),
            "missing": float(found["arrived"].eq(math.inf).sum()),
        }
        for place in ("zero", "end"):
            share = bent["smallest"][place] / bent["largest"]["zero"]
            numbers[f"smallest_at_{place}"] = float(share)
        early = found.groupby("start")["early"].max()
        numbers |= {f"early {name}": float(share) for name, share in early.items()}
        return numbers | {"worst_early": float(early.drop(["large", "random 10"]).max())}


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run, by name."""
    paper = Study.recorded()
    return {**paper.landscape_numbers(), **paper.convergence_numbers()}
