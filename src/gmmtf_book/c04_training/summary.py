"""The numbers of chapter 4 that follow from the points of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gmmtf import Estimate, bayes_risk, linear_risk
from gmmtf.curve import Curve
from gmmtf_book import study
from gmmtf_book.c04_training.plan import PLANS, SCHEDULE, Plan


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
        "rates_over_predicted": ratio.value / expected,
        "rates_error": ratio.standard_error / ratio.value,
    }
