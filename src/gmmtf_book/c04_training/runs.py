"""The runs of chapter 4: the full weight, and descents of the three laws."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, ReducedWeight, TrainingRecord
from gmmtf.curve import Curve
from gmmtf.laws.noisy import draw_noisy
from gmmtf.record import Recording
from gmmtf.risks.evaluate import Evaluation, evaluate
from gmmtf.risks.first_step import descent_direction, exact_descent_direction, natural_step_size
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.risks.risk import risk
from gmmtf.scaling.tokens import best_weight
from gmmtf_book.c04_training.full_weight import growth_rates, outside_family
from gmmtf_book.c04_training.plan import SCHEDULE, Plan
from gmmtf_book.c04_training.summary import Study
from gmmtf_book.study import descent_curve, rounded, spread_steps

curve = partial(descent_curve, SCHEDULE)
"""Descends on the chapter's schedule, see :func:`gmmtf_book.study.descent_curve`."""


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
        if plan.best:
            for name, each in (("few", self.law), ("every", law)):
                self.point(partial(self._best, each), kind="best", law=name)

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
