"""The runs of chapter 13: the landscape, the other starts, and the grid of the theorem."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from gmmtf import Estimate, ReducedWeight
from gmmtf.curve import Curve
from gmmtf.record import Recording
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.risk import risk
from gmmtf_book.c13_landscape import convergence, family
from gmmtf_book.c13_landscape.plan import SCHEDULE, Plan
from gmmtf_book.c13_landscape.summary import ARRIVED, Study
from gmmtf_book.study import descent_curve, rounded, spread_steps

STRENGTHS = (-100, -50, -20, -10, -5, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 20, 35, 60, 100)
"""βr² of the line W = βP on which the objective is drawn."""

SLICE_STARTS = ((0, 0), (-6, 0), (0, 6), (6, 11), (21, 4), (-6, -11))
"""Starts of the descents on the slice: products with the same and with another pattern."""

RANDOM_SIZES, N_RANDOM = (5, 10), 10
"""Standard deviations of the products of random starts, and how many starts of each."""

ZERO_STEPS, MOST_STEPS = 2000, 6000
"""Steps of the descent from zero, and steps after which any other one ends, wherever it is."""

_NO_BAYES = Estimate(0.0)  # a Bayes risk, for simulations of which only the excess is used


descent = partial(descent_curve, SCHEDULE)
"""Descends on the chapter's schedule, see :func:`gmmtf_book.study.descent_curve`."""


class Run:
    """One run of the chapter: its plan, its law, and its points."""

    def __init__(self, plan: Plan, path: str | Path | None, device: torch.device) -> None:
        self.plan, self.law, self.device = plan, plan.mixture, device
        record = Recording(path, plan.settings(), code=__name__, device=device)
        self.study = Study(record, plan)
        self.point = record.point

    def seeded(self) -> torch.Generator:
        """Return a generator on the device of the run."""
        return torch.Generator(self.device).manual_seed(self.plan.seed)

    def converge(self) -> None:
        """Record descents in many dimensions with many tokens, at the steps of the theorem."""
        if not self.plan.grid_dims:
            return
        halves = [target / 2 for target in convergence.TARGETS]
        at = self.point(
            lambda: convergence.steps_in_the_limit(self.plan.grid, halves), kind="grid steps"
        )
        for dim in self.plan.grid_dims:
            for name, power in convergence.TOKENS.items():
                descent = partial(convergence.excess_at, self.plan.grid, dim, power, at)
                self.point(descent, kind="grid", dim=dim, tokens=name)

    def simulated(self, same: float, different: float = 0, n_samples: int = 32) -> Estimate:
        """Excess risk of a symmetric weight, on the same data as any other."""
        return family.excess_risk(
            self.law, same, different, method="simulation", n_samples=n_samples,
            generator=self.seeded(), bayes=_NO_BAYES,
        )  # fmt: skip

    def surface(self, same: list[float], different: list[float]) -> list[list[float]]:
        """Simulated excess risk on the slice of symmetric weights, ``[different][same]``."""
        return [[self.simulated(x, y, n_samples=24).value for x in same] for y in different]

    def simulated_line(self) -> dict[float, Estimate]:
        """Excess risk of W = βP by βr², by simulation."""
        return {strength: self.simulated(strength) for strength in STRENGTHS}

    def exact_line(self) -> dict[float, Estimate]:
        """The exact excess risk there, at moderate βr²; recorded in the large run."""
        exact = partial(family.excess_risk, method="integral", seed=self.plan.seed)
        if self.plan.starts_steps:
            for s in STRENGTHS:
                self.point(partial(exact, self.law, s, n_points=32), kind="line", strength=s)
        return {s: exact(self.law, s, n_points=16) for s in STRENGTHS if abs(s) <= 50}

    def bends(self) -> dict[int, float]:
        """Smallest over largest eigenvalue of the Hessian at W = 0, by number of patterns."""
        found = {}
        for count in (2, 3, 4, 5):
            law = self.plan.with_patterns(count)
            zero = ReducedWeight.zero(law)
            bent = family.curvature(zero, law, n_points=32, seed=self.plan.seed)
            found[count] = bent["smallest"] / bent["largest"]
        return found

    def slice_paths(self) -> dict[str, Curve]:
        """Descents on the slice, by start."""
        plan, law = self.plan, self.law
        at = [*range(0, plan.slice_steps, plan.slice_steps // 10), plan.slice_steps]
        return {
            f"({x}, {y})": descent(
                law, at, method="simulation", seed=plan.seed, batch_size=16, eval_samples=32,
                lr=2 * natural_step_size(law), device=self.device,
                start=family.symmetric_weight(law, x, y),
            )
            for x, y in SLICE_STARTS
        }  # fmt: skip

    def from_starts(self) -> None:
        """Record the descents from other starts and the curvature at three places."""
        plan, law = self.plan, self.law
        if not plan.starts_steps:
            return
        given = family.starting_points(law)
        zero = self._descend_from(given.pop("zero"), 0.0, ZERO_STEPS, start="zero")
        index = zero.steps.index(plan.starts_steps)
        level = ARRIVED * zero.excess[index].value
        for name, begin in given.items():
            self._descend_from(begin, level, start=name)
        for size in RANDOM_SIZES:
            for seed in range(N_RANDOM):
                begin = family.random_point(law, size, seed)
                self._descend_from(begin, level, start=f"random {size}", seed=seed)
        caught = self.study.starts()["random 10"][0][0]
        for place, weight in {
            "zero": zero.weight(law, 0),
            "end": zero.weight(law, index),
            "plateau": caught.weight(law, caught.steps.index(plan.starts_steps)),
        }.items():
            bend = partial(family.curvature, weight, law, seed=plan.seed)
            self.point(bend, kind="curvature", place=place)

    def _descend_from(
        self, begin: ReducedWeight, level: float, last: int = MOST_STEPS, **labels: str | int
    ) -> Curve:
        """Record a descent to a level of excess risk, with a simulation of its end."""
        plan, law = self.plan, self.law
        at = sorted({*spread_steps(plan.starts_steps, 20), *range(0, last + 1, 20)})

        def to_level() -> dict[str, Any]:
            path = family.descend_to(level, begin, law, at, least=plan.starts_steps,
                                     n_points=128, lr=plan.step_size,
                                     seed=plan.seed)  # fmt: skip
            check = risk(path.weight(law), law, SCHEDULE, method="simulation",
                         n_samples=plan.eval_samples, generator=self.seeded())  # fmt: skip
            return rounded(path.as_json()) | {"check": check.excess_risk}

        return Curve.from_json(self.point(to_level, kind="start", **labels))
