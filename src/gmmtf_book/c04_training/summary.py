"""The numbers of chapter 4 that follow from the points of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from gmmtf import Estimate, bayes_risk, linear_risk
from gmmtf.curve import Curve
from gmmtf_book import study
from gmmtf_book.c04_training import convergence
from gmmtf_book.c04_training.plan import PLANS, SCHEDULE, Plan

ARRIVED = 1.1
"""A descent from another start has arrived at this many times the excess of the one from zero.

That is taken after the plan's ``starts_steps`` steps.
"""


@dataclass(frozen=True)
class Study(study.Study[Plan]):
    """The points of a run, and the numbers that follow from them.

    ``law`` is a name of :attr:`Plan.laws`.
    """

    chapter = "04_training"
    paper = PLANS["paper"]

    def curves(self, kind: str, law: str = "few") -> list[Curve]:
        """Return descents from W = 0, one a seed; ``kind``: predicted, simulated, or full (W)."""
        points = self.record.select(kind=kind, law=law)
        return [Curve.from_json(point.value) for point in points]

    def curve(self, kind: str, law: str = "few") -> Curve:
        """Return the mean over seeds of :meth:`curves`."""
        return Curve.mean(self.curves(kind, law))

    def bayes(self) -> float:
        """The Bayes risk of the law with few active patterns."""
        return float(self.record.value(kind="bayes"))

    def over_linear(self, law: str, kind: str = "simulated") -> float:
        """Excess risk at the end over that of the best linear filter."""
        mixture = self.plan.laws[law]
        bayes = self.bayes() if law == "few" else float(bayes_risk(mixture, SCHEDULE))
        return self.curve(kind, law).excess[-1].value / (linear_risk(mixture, SCHEDULE) - bayes)

    def outside(self) -> tuple[list[float], list[float]]:
        """Norms of the full W outside the family, and of its random walk, at the steps of it."""
        value = self.record.value(kind="full")
        return value["outside"], value["walk"]

    def outside_over_walk(self) -> float:
        """Norm of the full W outside the family at the end, over that of its random walk."""
        outside, walk = self.outside()
        return outside[-1] / walk[-1]

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

    def growth_ratio(self) -> tuple[Estimate, float]:
        """First same-pattern rate, commonest pattern over rarest: measured, and predicted."""
        rare, common = self.plan.ends
        seeds = [point.value for point in self.record.select(kind="rates")]
        slow, fast = (Estimate.mean(rates[u][u] for rates in seeds) for u in (rare, common))
        expected = self.record.value(kind="predicted rates")
        return fast / slow, expected[common][common] / expected[rare][rare]

    def descent_numbers(self) -> dict[str, float]:
        """Numbers of F2A.

        ``kept``, ``kept_score``: end over start of excess risk and score-matching error, mean over
        seeds; ``deviation``: see :func:`deviation`, of that mean; ``deviation_one_seed``: the
        largest of a single run; ``over_linear``, ``every_over_linear``: the end over the excess of
        the linear filter, with few and with every pattern in a data point.
        """
        predicted, mean = self.curve("predicted"), self.curve("simulated")
        seeds = self.curves("simulated")
        return {
            "kept": kept(mean.excess),
            "kept_score": kept(mean.score),
            "deviation": deviation(mean, predicted),
            "deviation_one_seed": max(deviation(each, predicted) for each in seeds),
            "over_linear": self.over_linear("few"),
            "every_over_linear": self.over_linear("every"),
        }

    def product_numbers(self) -> dict[str, float]:
        """Numbers of F4, of the mean over seeds.

        For the ``rarest`` and the ``commonest`` pattern as the query: ``same_end``, the product
        with itself at the end; ``different_end``, the largest with another pattern there;
        ``different_highest``, that at any step. ``products_deviation``: largest |simulated -
        predicted| of all these products.
        """
        rare, common = self.plan.ends
        found, expected = (self.curve(k, "unequal").products for k in ("simulated", "predicted"))
        missed = (found - expected)[:, [rare, common]]
        numbers = {"products_deviation": float(missed.abs().max())}
        for name, u in (("rarest", rare), ("commonest", common)):
            others = [v for v in range(found.shape[-1]) if v != u]
            numbers[f"{name}_same_end"] = float(found[-1, u, u])
            numbers[f"{name}_different_end"] = float(found[-1, u, others].max())
            numbers[f"{name}_different_highest"] = float(found[:, u, others].max())
        return numbers

    def convergence(self) -> pd.DataFrame:
        """Return what each excess risk takes, see :func:`convergence.table`."""
        return convergence.table(self.record.frame(kind="grid"), self.plan.n_active)

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


def deviation(found: Curve, predicted: Curve) -> float:
    """Largest |found/predicted - 1| of the excess risk, over all steps (F2A)."""
    pairs = zip(found.excess, predicted.excess, strict=True)
    return max(each.relative_to(expected) for each, expected in pairs)


def kept(risks: Sequence[Estimate]) -> float:
    """Risk at the end of a run over that at its start."""
    return risks[-1].value / risks[0].value


def recorded() -> dict[str, float]:
    """Return the numbers of the recorded run, by name."""
    paper = Study.recorded()
    ratio, expected = paper.growth_ratio()
    return {
        **paper.descent_numbers(),
        **paper.product_numbers(),
        **paper.landscape_numbers(),
        **paper.convergence_numbers(),
        "rates_over_predicted": ratio.value / expected,
        "rates_error": ratio.standard_error / ratio.value,
    }
