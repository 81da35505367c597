"""The runs of chapter 4: the full weight, the three laws, the landscape and the other starts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, ReducedWeight, TrainingRecord
from gmmtf.curve import Curve
from gmmtf.descent import descend
from gmmtf.laws.noisy import draw_noisy
from gmmtf.record import Recording
from gmmtf.risks.evaluate import Evaluation, evaluate
from gmmtf.risks.first_step import descent_direction, exact_descent_direction, natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf.scaling.tokens import best_weight
from gmmtf_book.c04_training import convergence, landscape
from gmmtf_book.c04_training.full_weight import growth_rates, outside_family
from gmmtf_book.c04_training.plan import SCHEDULE, Plan, spread_steps
from gmmtf_book.c04_training.summary import ARRIVED, Study

STRENGTHS = (-100, -50, -20, -10, -5, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 20, 35, 60, 100)
"""βr² of the line W = βP on which the objective is drawn."""

SLICE_STARTS = ((0, 0), (-6, 0), (0, 6), (6, 11), (21, 4), (-6, -11))
"""Starts of the descents on the slice: products with the same and with another pattern."""

RANDOM_SIZES, N_RANDOM = (5, 10), 10
"""Standard deviations of the products of random starts, and how many starts of each."""

ZERO_STEPS, MOST_STEPS = 2000, 6000
"""Steps of the descent from zero, and steps after which any other one ends, wherever it is."""

_NO_BAYES = Estimate(0.0)  # a Bayes risk, for simulations of which only the excess is used


def curve(law: MultiTokenGMM, at: Sequence[int], **options: Any) -> Curve:
    """Descend to the last of the steps ``at``; ``options`` as of :func:`gmmtf.descend`."""
    return Curve.from_records(descend(law, SCHEDULE, at[-1], record_at=at, **options), law)


def rounded(path: dict[str, Any]) -> dict[str, Any]:
    """Return a curve for a record with four decimals a product: 32 patterns have a thousand."""
    return path | {
        "products": [[[round(x, 4) for x in row] for row in each] for each in path["products"]]
    }


class Run:
    """One run of the chapter: its plan, its points, and the head with the full weight."""

    def __init__(self, plan: Plan, path: str | Path | None, device: torch.device) -> None:
        self.plan, self.law, self.device = plan, plan.mixture, device
        self.dtype: torch.dtype = getattr(torch, plan.precision)
        record = Recording(path, plan.settings(), code=__name__, device=device)
        self.study = Study(record, plan)
        self.point = record.point
        self.records: list[TrainingRecord] = []
        self.weights: list[Tensor] = []
        self.head = self.untrained()
        self.oracle = oracle_risk(self.law, SCHEDULE)

    @cached_property
    def bayes(self) -> Estimate:
        """The Bayes risk, recorded: with many active sets it takes minutes."""
        n_points = self.plan.bayes_points
        found: Estimate = self.point(
            lambda: bayes_risk(self.law, SCHEDULE, n_points=n_points, seed=self.plan.seed),
            kind="bayes",
        )
        return found

    def untrained(self) -> AttentionDenoiser:
        """Return a head at W = 0."""
        return AttentionDenoiser(self.law, SCHEDULE, dtype=self.dtype).to(self.device)

    def seeded(self, offset: int = 0) -> torch.Generator:
        """Return a generator on the device of the run."""
        return torch.Generator(self.device).manual_seed(self.plan.seed + offset)

    def measured(
        self,
        head: AttentionDenoiser,
        n_samples: int,
        law: MultiTokenGMM | None = None,
        **options: Any,
    ) -> Evaluation:
        """Evaluate a head on the same data points as any other."""
        return evaluate(
            head, law or self.law, SCHEDULE, n_samples=n_samples, generator=self.seeded(),
            dtype=self.dtype, **options,
        )  # fmt: skip

    @cached_property
    def start(self) -> Evaluation:
        """Risks of the untrained head, measured."""
        return self.measured(self.untrained(), self.plan.n_evaluate)

    @cached_property
    def first_step(self) -> dict[str, tuple[Estimate, float, float]]:
        """First rates of products, means over pairs of the ``same`` and of ``other`` patterns.

        Measured, by the exact formula, and in the limit of many tokens.
        """
        measured = growth_rates(
            self.law, n_batches=self.plan.n_evaluate // 32, batch_size=32, seed=self.plan.seed,
            dtype=self.dtype, device=self.device,
        )  # fmt: skip
        exact = exact_descent_direction(self.law, SCHEDULE).products(self.law)
        limit = descent_direction(self.law, SCHEDULE).products(self.law)
        own = torch.eye(self.plan.n_patterns, dtype=torch.bool)
        found = {}
        for kind, pairs in (("same", own), ("other", ~own)):
            mean = Estimate.mean(measured[u][v] for u, v in pairs.nonzero().tolist())
            found[kind] = mean, float(exact[pairs].mean()), float(limit[pairs].mean())
        return found

    def keep(self, record: TrainingRecord) -> None:
        """Keep a record of the training of :attr:`head`, and its weight."""
        self.records.append(record)
        self.weights.append(self.head.weight.detach().cpu().double().clone())

    def compare(self) -> None:
        """Record the trained curve, its prediction, and reduced simulations beside it."""
        plan = self.plan
        self.point(self._trained, kind="full", law="few")
        self._descend("few", self.law, plan.at, plan.step_size(self.law), plan.n_reduced,
                      batch_size=plan.batches(plan.reduced_batch_size, self.law), target="oracle",
                      eval_samples=plan.reduced_eval_samples, bayes=self.bayes)  # fmt: skip

    def compare_every(self) -> None:
        """Record predicted and simulated curves with every pattern in every data point."""
        plan, law = self.plan, self.plan.every
        self._descend("every", law, plan.at, plan.step_size(law), max(1, plan.n_reduced),
                      batch_size=plan.batches(plan.reduced_batch_size, law),
                      eval_samples=plan.reduced_eval_samples)  # fmt: skip
        if plan.starts_steps:
            for name, each in (("few", self.law), ("every", law)):
                self.point(partial(self._best, each), kind="best", law=name)

    def converge(self) -> None:
        """Record descents in many dimensions with many tokens, at the steps of the theorem."""
        if not self.plan.grid_dims:
            return
        halves = [target / 2 for target in convergence.TARGETS]
        at = self.point(lambda: convergence.steps_in_the_limit(self.law, halves), kind="grid steps")
        for dim in self.plan.grid_dims:
            for name, power in convergence.TOKENS.items():
                descent = partial(convergence.excess_at, self.law, dim, power, at)
                self.point(descent, kind="grid", dim=dim, tokens=name)

    def grow(self) -> None:
        """Record first rates and products of the law with unequal patterns, and predictions."""
        plan, law = self.plan, self.plan.unequal
        direction = exact_descent_direction(law, SCHEDULE)
        self.point(lambda: direction.products(law), kind="predicted rates")
        for k in range(plan.rare_seeds):
            self.point(partial(
                growth_rates, law, n_batches=plan.rate_batches, batch_size=plan.rate_batch_size,
                seed=plan.seed + k, dtype=self.dtype, device=self.device,
            ), kind="rates", seed=k)  # fmt: skip
        lr = plan.rare_relative_step_size * natural_step_size(law)
        self._descend("unequal", law, spread_steps(plan.rare_steps, 16), lr, plan.rare_seeds,
                      batch_size=plan.batches(plan.rare_batch_size, law),
                      eval_samples=8)  # fmt: skip

    def _descend(
        self, name: str, law: MultiTokenGMM, at: list[int], lr: float, n_seeds: int, **options: Any
    ) -> None:
        """Record the predicted descent from W = 0, and simulated ones with ``options``."""
        plan, simulation = self.plan, {"method": "simulation", "device": self.device, **options}

        def path(**options: Any) -> dict[str, Any]:
            return rounded(curve(law, at, lr=lr, **options).as_json())

        predict = partial(path, n_points=plan.n_points, seed=plan.seed)
        self.point(predict, kind="predicted", law=name)
        for k in range(n_seeds):
            simulate = partial(path, seed=plan.seed + k, **simulation)
            self.point(simulate, kind="simulated", law=name, seed=k)

    def _trained(self) -> dict[str, Any]:
        """The curve of the training, with norms outside the family and of their random walk."""
        reduced = [ReducedWeight.from_full(weight, self.law)[0] for weight in self.weights]
        path = Curve.from_weights(self.records, reduced, self.law)
        outside, walk = outside_family(self.weights, self.law)
        return rounded(path.as_json()) | {"outside": outside, "walk": walk}

    def _best(self, law: MultiTokenGMM) -> dict[str, Any]:
        """Excess risk, products and r²γ of the best weight of the family, by the expansion."""
        best, _ = best_weight(law, SCHEDULE)
        unit = self.plan.radius**2
        return {
            "excess": risk(best, law, SCHEDULE).excess,
            "products": unit * best.pattern,
            "complement": unit * best.gamma(law),
        }

    def attend(self, head: AttentionDenoiser, t: int) -> tuple[Tensor, Tensor]:
        """Attention of 64 data points at a noise level, and their labels."""
        noisy = draw_noisy(self.law, SCHEDULE, torch.full((64,), t), self.seeded(1), self.dtype)
        with torch.no_grad():
            attention = head.attention(noisy.x_t, noisy.t)
        return attention.cpu(), noisy.labels.cpu()

    def own_mass(self, head: AttentionDenoiser, t: int) -> float:
        """Mean attention to tokens of the query's own pattern."""
        attention, labels = self.attend(head, t)
        same = labels[:, :, None] == labels[:, None, :]
        return float((attention * same).sum(-1).mean())

    def simulated(self, same: float, different: float = 0, n_samples: int = 32) -> Estimate:
        """Excess risk of a symmetric weight in the valley's law, on the same data as any other."""
        return landscape.excess_risk(
            self.plan.valley(), same, different, method="simulation", n_samples=n_samples,
            generator=self.seeded(), bayes=_NO_BAYES,
        )  # fmt: skip

    def surface(self, same: list[float], different: list[float]) -> list[list[float]]:
        """Simulated excess risk on the slice of symmetric weights, ``[different][same]``."""
        return [[self.simulated(x, y, n_samples=24).value for x in same] for y in different]

    def simulated_line(self) -> dict[float, Estimate]:
        """Excess risk of W = βP by βr², by simulation, in the valley's law."""
        return {strength: self.simulated(strength) for strength in STRENGTHS}

    def exact_line(self) -> dict[float, Estimate]:
        """The exact excess risk there, at moderate βr²; recorded with every pattern active."""
        exact = partial(landscape.excess_risk, method="integral", seed=self.plan.seed)
        if self.plan.starts_steps:
            for s in STRENGTHS:
                every = partial(exact, self.plan.every, s, n_points=32)
                self.point(every, kind="line", strength=s)
        return {s: exact(self.plan.valley(), s, n_points=16) for s in STRENGTHS if abs(s) <= 50}

    def bends(self) -> dict[int, float]:
        """Smallest over largest eigenvalue of the Hessian at W = 0, by number of patterns."""
        found = {}
        for count in (2, 3, 4, 5):
            law = self.plan.valley(count)
            zero = ReducedWeight.zero(law)
            bent = landscape.curvature(zero, law, n_points=32, seed=self.plan.seed)
            found[count] = bent["smallest"] / bent["largest"]
        return found

    def slice_paths(self) -> dict[str, Curve]:
        """Descents on the slice, by start."""
        plan, valley = self.plan, self.plan.valley()
        at = [*range(0, plan.slice_steps, plan.slice_steps // 10), plan.slice_steps]
        return {
            f"({x}, {y})": curve(
                valley, at, method="simulation", seed=plan.seed, batch_size=16, eval_samples=32,
                lr=2 * natural_step_size(valley), device=self.device,
                start=landscape.symmetric_weight(valley, x, y),
            )
            for x, y in SLICE_STARTS
        }  # fmt: skip

    def from_starts(self) -> None:
        """Record the descents from other starts and the curvature at three places."""
        plan, law = self.plan, self.plan.every
        if not plan.starts_steps:
            return
        given = landscape.starting_points(law)
        zero = self._descend_from(given.pop("zero"), 0.0, ZERO_STEPS, start="zero")
        index = zero.steps.index(plan.starts_steps)
        level = ARRIVED * zero.excess[index].value
        for name, begin in given.items():
            self._descend_from(begin, level, start=name)
        for size in RANDOM_SIZES:
            for seed in range(N_RANDOM):
                begin = landscape.random_point(law, size, seed)
                self._descend_from(begin, level, start=f"random {size}", seed=seed)
        caught = self.study.starts()["random 10"][0][0]
        for place, weight in {
            "zero": zero.weight(law, 0),
            "end": zero.weight(law, index),
            "plateau": caught.weight(law, caught.steps.index(plan.starts_steps)),
        }.items():
            bend = partial(landscape.curvature, weight, law, seed=plan.seed)
            self.point(bend, kind="curvature", place=place)

    def _descend_from(
        self, begin: ReducedWeight, level: float, last: int = MOST_STEPS, **labels: str | int
    ) -> Curve:
        """Record a descent to a level of excess risk, with a simulation of its end."""
        plan, law = self.plan, self.plan.every
        at = sorted({*spread_steps(plan.starts_steps, 20), *range(0, last + 1, 20)})

        def descent() -> dict[str, Any]:
            path = landscape.descend_to(level, begin, law, at, least=plan.starts_steps,
                                        n_points=128, lr=plan.step_size(law),
                                        seed=plan.seed)  # fmt: skip
            check = risk(path.weight(law), law, SCHEDULE, method="simulation",
                         n_samples=plan.reduced_eval_samples, generator=self.seeded())  # fmt: skip
            return rounded(path.as_json()) | {"check": check.excess_risk}

        return Curve.from_json(self.point(descent, kind="start", **labels))
