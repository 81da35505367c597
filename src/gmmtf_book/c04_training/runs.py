"""The runs of chapter 4: the full weight, the two laws, the landscape and the other starts."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gmmtf import (
    AttentionDenoiser,
    Estimate,
    Evaluation,
    MultiTokenGMM,
    ReducedWeight,
    TrainingRecord,
    bayes_risk,
    descend,
    evaluate,
    natural_step_size,
    oracle_risk,
    risk,
)
from gmmtf.curve import Curve
from gmmtf.laws.level import noise_level
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import descent_direction
from gmmtf.risks.formulas import start_risk
from gmmtf_book.c04_training import descent, growth, landscape
from gmmtf_book.c04_training.plan import SCHEDULE, Plan
from gmmtf_book.c04_training.record import Points

STRENGTHS = (-100, -50, -20, -10, -5, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 20, 35, 60, 100)
"""βr² of the line W = βP on which the objective is drawn."""

SLICE_STARTS = ((0, 0), (-6, 0), (0, 6), (6, 11), (21, 4), (-6, -11))
"""Starts of the descents on the slice: products with the same and with another pattern."""


class Run:
    """One run of the chapter: its plan, its points, and the head with the full weight."""

    def __init__(self, plan: Plan, path: str | Path | None, device: torch.device) -> None:
        self.plan = plan
        self.device = device
        self.dtype: torch.dtype = getattr(torch, plan.precision)
        self.law = plan.law
        self.points = Points(path, plan.settings())
        self.records: list[TrainingRecord] = []
        self.weights: list[Tensor] = []
        self.head = self.untrained()
        self.bayes = float(bayes_risk(self.law, SCHEDULE))
        self.oracle = oracle_risk(self.law, SCHEDULE)

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

    @property
    def start_formula(self) -> float:
        """Risk at W = 0 in closed form."""
        return self.oracle + start_risk(self.law, SCHEDULE)

    @cached_property
    def same(self) -> Tensor:
        """Which pairs of patterns are one pattern, bool ``[M, M]``."""
        return torch.eye(self.plan.n_patterns, dtype=torch.bool)

    @cached_property
    def first_step(self) -> dict[str, Tensor]:
        """Rates of products at W = 0: ``measured`` with ``error``, ``exact`` and ``limit``."""
        found = growth.growth_rates(
            self.law, SCHEDULE, n_batches=self.plan.n_evaluate // 32, batch_size=32,
            seed=self.plan.seed, dtype=self.dtype, device=self.device,
        )  # fmt: skip
        return {
            "measured": torch.tensor(found["rate"]),
            "error": torch.tensor(found["error"]),
            "exact": torch.tensor(growth.predicted_rates(self.law, SCHEDULE)),
            "limit": descent_direction(self.law, SCHEDULE).products(self.law),
        }

    def keep(self, record: TrainingRecord) -> None:
        """Keep a record of the training of :attr:`head`, and its weight."""
        self.records.append(record)
        self.weights.append(self.head.weight.detach().cpu().double().clone())

    @cached_property
    def outside(self) -> tuple[list[float], list[float]]:
        """Norm of the part of the weight outside the family, and that of its random walk."""
        return descent.outside_family(self.weights, self.law)

    @cached_property
    def reduced(self) -> list[ReducedWeight]:
        """The weights of the training in reduced coordinates."""
        return [ReducedWeight.from_full(weight, self.law)[0] for weight in self.weights]

    def compare(self) -> None:
        """Record the trained curve, its prediction, and reduced simulations beside it."""
        plan, at, (outside, walk) = self.plan, self.plan.at, self.outside
        self.points.point("predicted", lambda: descent.predicted_curve(
            self.law, SCHEDULE, at, lr=plan.lr, n_points=plan.n_points, seed=plan.seed
        ))  # fmt: skip
        curve = Curve.from_weights(
            [self.records[k] for k in at], [self.reduced[k] for k in at], self.law
        ).as_json()
        parts = {"outside": [outside[k] for k in at], "walk": [walk[k] for k in at]}
        self.points.point("full", lambda: curve | parts)
        if plan.starts_steps:
            self.points.point("best", lambda: landscape.best_end(self.law, SCHEDULE))
        for k in range(plan.n_reduced):
            self.points.point(f"simulated/{k}", partial(
                descent.simulated_curve,
                self.law, SCHEDULE, at, lr=plan.lr, seed=plan.seed + k,
                batch_size=plan.reduced_batch_size, first_steps=plan.first_steps,
                first_batch_size=plan.first_batch_size, eval_samples=plan.reduced_eval_samples,
                device=self.device,
            ))  # fmt: skip

    def attend(self, head: AttentionDenoiser, t: int) -> tuple[Tensor, Tensor]:
        """Attention of 64 data points at a noise level, and their labels."""
        generator = self.seeded(1)
        sample = self.law.sample(64, generator, self.dtype)
        noise = standard_normal(sample.x_0.shape, generator, self.dtype)
        at = torch.full((64,), t, device=self.device)
        with torch.no_grad():
            attention = head.attention(SCHEDULE.add_noise(sample.x_0, at, noise), at).cpu()
        return attention, sample.labels.cpu()

    def own_mass(self, head: AttentionDenoiser, t: int) -> float:
        """Mean attention to tokens of the query's own pattern."""
        attention, labels = self.attend(head, t)
        same = labels[:, :, None] == labels[:, None, :]
        return float((attention * same).sum(-1).mean())

    def perfect_selection(self, t: int | None = None) -> float:
        """Excess over the oracle of averaging all tokens of the own pattern, and no others."""
        level = noise_level(self.law, SCHEDULE, SCHEDULE.times(t))
        n = self.law.n_tokens
        distinct = float((1 - (1 - self.law.probabilities) ** n).sum())
        return float((level.gain**2 * level.variance).mean()) * distinct / n

    def grow(self) -> None:
        """Record first rates and products of the law with unequal patterns, and predictions."""
        plan, law, at = self.plan, self.plan.unequal, descent.spread_steps(self.plan.rare_steps, 16)
        self.points.point("rates", lambda: growth.predicted_rates(law, SCHEDULE))
        self.points.point("products", lambda: descent.predicted_curve(
            law, SCHEDULE, at, lr=plan.rare_lr, n_points=plan.n_points, seed=plan.seed
        ))  # fmt: skip
        for k in range(plan.rare_seeds):
            self.points.point(f"rates/{k}", partial(
                growth.growth_rates,
                law, SCHEDULE, n_batches=plan.rate_batches, batch_size=plan.rate_batch_size,
                seed=plan.seed + k, dtype=self.dtype, device=self.device,
            ))  # fmt: skip
            self.points.point(f"products/{k}", partial(
                descent.simulated_curve,
                law, SCHEDULE, at, lr=plan.rare_lr, seed=plan.seed + k,
                batch_size=plan.rare_batch_size, first_steps=plan.first_steps,
                first_batch_size=plan.first_batch_size, eval_samples=8, device=self.device,
            ))  # fmt: skip

    def simulated_line(self) -> list[Estimate]:
        """Excess risk of W = βP at :data:`STRENGTHS`, by simulation, in the valley's law."""
        return [
            risk(
                landscape.symmetric_weight(self.plan.valley, strength, 0), self.plan.valley,
                SCHEDULE, method="simulation", n_samples=32, generator=self.seeded(),
            ).excess_risk
            for strength in STRENGTHS
        ]  # fmt: skip

    def exact_line(self) -> tuple[list[float], list[list[float]]]:
        """Moderate strengths, and the exact excess risk there; the recorded law's is recorded."""
        moderate = [float(strength) for strength in STRENGTHS if abs(strength) <= 50]
        if self.plan.starts_steps:
            for strength in STRENGTHS:
                self.points.point(f"line/{strength}", partial(self._on_line, strength))
        line = landscape.risk_on_line(
            self.plan.valley, SCHEDULE, moderate, n_points=16, seed=self.plan.seed
        )
        return moderate, line

    def _on_line(self, strength: int) -> list[float]:
        return landscape.risk_on_line(self.law, SCHEDULE, [strength], seed=self.plan.seed)[0]

    def bends(self) -> dict[int, float]:
        """Smallest over largest eigenvalue of the Hessian at W = 0, by number of patterns."""
        found = {}
        for count in (2, 3, 4, 5):
            law = MultiTokenGMM(
                n_patterns=count, dim=self.plan.dim, n_tokens=self.plan.slice_tokens,
                radius=self.plan.radius, sigma=self.plan.sigma,
            )  # fmt: skip
            bent = landscape.curvature(
                ReducedWeight.zero(law), law, SCHEDULE, n_points=32, seed=self.plan.seed
            )
            found[count] = bent["smallest"] / bent["largest"]
        return found

    def slice_paths(self) -> tuple[dict[str, tuple[list[float], list[float]]], dict[str, float]]:
        """Descents on the slice: their coordinates, and the excess at their ends, by start."""
        plan, valley = self.plan, self.plan.valley
        paths, ends = {}, {}
        for x, y in SLICE_STARTS:
            visited = list(descend(
                valley, SCHEDULE, plan.slice_steps, method="simulation", seed=plan.seed,
                batch_size=16, eval_samples=32, lr=2 * natural_step_size(valley),
                record_every=plan.slice_steps // 10, device=self.device,
                start=landscape.symmetric_weight(valley, x, y),
            ))  # fmt: skip
            found = plan.radius**2 * torch.stack([each.weight.pattern for each in visited])
            trace = found.diagonal(dim1=1, dim2=2).sum(1)
            name = f"({x}, {y})"
            paths[name] = ((trace / 4).tolist(), ((found.sum((1, 2)) - trace) / 12).tolist())
            ends[name] = visited[-1].excess_risk.value
        return paths, ends

    def from_starts(self) -> None:
        """Record the descents from seven starts and the curvature at three places."""
        if not self.plan.starts_steps:
            return
        begins = landscape.starting_points(self.law, self.plan.seed)
        for name, begin in begins.items():
            self.points.point(f"start/{name}", partial(self._descent_from, begin))
        values = self.points.values
        for place, weight in {
            "zero": begins["zero"],
            "end": landscape.weight_at(values["start/zero"], self.law),
            "plateau": landscape.weight_at(values["start/random 10"], self.law),
        }.items():
            self.points.point(f"curvature/{place}", partial(landscape.curvature,
                weight, self.law, SCHEDULE, seed=self.plan.seed))  # fmt: skip

    def _descent_from(self, begin: ReducedWeight) -> dict[str, Any]:
        at = descent.spread_steps(self.plan.starts_steps, 20)
        path = descent.predicted_curve(
            self.law, SCHEDULE, at, method="integral", start=begin, lr=self.plan.lr,
            n_points=128, seed=self.plan.seed,
        )  # fmt: skip
        check = risk(
            landscape.weight_at(path, self.law), self.law, SCHEDULE, method="simulation",
            n_samples=self.plan.reduced_eval_samples, generator=self.seeded(),
        ).excess_risk  # fmt: skip
        return path | {"check": [check.value, check.standard_error]}
