"""The intervention study: every point is simulated, and predicted from the trained weight alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from gmmtf import (
    AttentionDenoiser,
    Estimate,
    MultiTokenGMM,
    ReducedWeight,
    bayes_risk,
    natural_step_size,
    oracle_risk,
    risk,
    train,
)
from gmmtf.denoisers.replaced import map_numbers
from gmmtf.laws.level import noise_level
from gmmtf.record import Recording
from gmmtf.risks import formulas
from gmmtf_book import RESULTS
from gmmtf_book.c06_mean_denoising import draws, predictions
from gmmtf_book.c06_mean_denoising.plan import PLANS, SCHEDULE, Plan
from gmmtf_book.c06_mean_denoising.predictions import blind_excess


@dataclass(frozen=True, eq=False)
class Study:
    """Heads trained on the law of a plan, and the points of the plan that are computed from them.

    Errors against n_u are stored as the list of n_u and a list of estimates for each map.
    """

    plan: Plan
    device: torch.device | str = "cpu"
    _heads: dict[int, AttentionDenoiser] = field(default_factory=dict, repr=False)

    @cached_property
    def mixture(self) -> MultiTokenGMM:
        """The data law."""
        return self.plan.mixture

    def run(self, seeds: Iterable[int], path: str | None = None) -> Recording:
        """Return the points of the plan, of which those that the file lacks are computed."""
        record = Recording(path, self.plan.settings(), code=__name__, device=self.device)
        for seed in seeds:
            stored = record.point(partial(self.weight, seed), kind="weight", seed=seed)
            weight = ReducedWeight.from_json(stored)
            for t in self.plan.times:
                point = partial(record.point, kind="maps", seed=seed, t=t)
                point(partial(self.simulate, seed, t), side="simulated")
                point(partial(self.predict, weight, seed, t), side="predicted")
            for t in self.plan.count_times:
                point = partial(record.point, kind="counts", seed=seed, t=t)
                point(partial(self.simulate_counts, seed, t), side="simulated")
                point(partial(self.predict_counts, weight, t), side="predicted")
        return record

    def head(self, seed: int) -> AttentionDenoiser:
        """The full d x d weight, trained from W = 0 on the Bayes estimate as the target (C3)."""
        if seed not in self._heads:
            plan, head = self.plan, AttentionDenoiser(self.mixture, SCHEDULE).to(self.device)
            lr = plan.relative_step_size * natural_step_size(self.mixture)
            run = train(
                head, self.mixture, SCHEDULE, plan.steps, target="bayes", lr=lr, seed=seed,
                batch_size=plan.train_batch, record_at=[], eval_samples=None,
            )  # fmt: skip
            list(run)
            self._heads[seed] = head
        return self._heads[seed]

    def weight(self, seed: int) -> dict[str, Any]:
        """The trained weight in reduced coordinates, and the norm of what they leave out."""
        weight, outside = ReducedWeight.from_full(self.head(seed).weight, self.mixture)
        return {**weight.as_json(), "outside": outside}

    def simulate(self, seed: int, t: int) -> dict[str, dict[str, Estimate]]:
        """All interventions on the same data points at time ``t``.

        For each map the distances from the ``oracle`` and from the ``bayes`` estimate, and as
        ``map`` the numbers of the trained one (:class:`gmmtf.denoisers.replaced.MapNumbers`).
        """
        head = self.head(seed)
        generator = torch.Generator(head.weight.device).manual_seed(1000 * t + seed)

        def batch() -> dict[Any, Tensor]:
            x_t, labels, maps = draws.attention_maps(head, t, self.plan.batch_size, generator)
            numbers = map_numbers(maps["trained"], labels)._asdict()
            found = draws.distances(head, maps, x_t, labels, t)
            return found | {("map", name): value for name, value in numbers.items()}

        found = draws.means(batch() for _ in self._batches)
        return {
            group: {name: each for (of, name), each in found.items() if of == group}
            for group in ("oracle", "bayes", "map")
        }

    def predict(self, weight: ReducedWeight, seed: int, t: int) -> dict[str, dict[str, Any]]:
        """What :meth:`simulate` finds, but for the twin's distance from the Bayes estimate.

        ``parts`` splits the trained head's excess over the oracle: ``gap`` (the labels are not
        known), ``limit`` (what the weight gets wrong with infinitely many tokens) and ``tokens``
        (the rest, due to finite N).
        """
        law, n = (self.mixture, SCHEDULE), self.plan.n_points
        excess = risk(weight, *law, t=t, method="integral", n_points=n, seed=seed).excess_risk
        many = replace(self.mixture, n_tokens=10**12)
        limit = risk(weight, many, SCHEDULE, t=t, seed=seed).excess_risk.value
        numbers = predictions.predict_map(weight, *law, t, n_points=n, seed=seed)
        gap = bayes_risk(*law, t=t) - oracle_risk(*law, t=t)
        rho, own = numbers["concentration"].value, numbers["own"].value
        foreign = predictions.foreign_mismatch(rho, own, self.mixture)
        oracle = {
            "trained": excess + gap,
            "uniform": Estimate(formulas.start_risk(*law, t=t)),
            "other": Estimate(blind_excess(rho, foreign, *law, t)),
            "same": Estimate(formulas.mean_denoising_excess(*law, t=t)),
            "twin": Estimate(blind_excess(rho, numbers["mismatch"].value, *law, t)),
        }
        to_bayes = {name: oracle[name] - gap.value for name in ("trained", "uniform", "other")}
        return {
            "oracle": oracle,
            "bayes": {**to_bayes, "same": predictions.same_pattern_distance(*law, t)},
            "map": numbers,
            "parts": {"gap": gap.value, "limit": limit, "tokens": excess.value - limit},
        }

    def simulate_counts(self, seed: int, t: int) -> dict[str, list[Any]]:
        """Error of the attention output, ‖Σ_m A_nm x_m - √ᾱ μ_{z_n}‖²/(dτ²), against n_u.

        In each data point one pattern, drawn with probability π, has exactly ``count`` tokens, and
        the labels of the others are independent; the error is that of the tokens of this pattern,
        with the ``trained`` and the ``same``-pattern map. It is 1/count for the latter.
        """
        head, law = self.head(seed), self.mixture
        generator = torch.Generator(head.weight.device).manual_seed(1000 * t + 500 + seed)
        level = noise_level(law, SCHEDULE, torch.tensor([t])).for_tokens(head.weight)

        def batch(count: int) -> dict[Any, Tensor]:
            labels = draws.labels_with_count(law, count, self.plan.batch_size, generator)
            x_t = draws.noisy_tokens(head, labels, t, generator)
            truth = level.signal * law.means.to(x_t)[labels[:, :1]]
            with torch.no_grad():
                trained = head.attention(x_t, draws.times(t, x_t))[:, :count] @ x_t
            found = {"trained": trained, "same": x_t[:, :count].mean(1, keepdim=True)}
            errors = {name: (y - truth).double().square().mean((1, 2)) for name, y in found.items()}
            return {name: error / level.variance.double().item() for name, error in errors.items()}

        counts = list(self.plan.counts)
        rows = [draws.means(batch(count) for _ in self._batches) for count in counts]
        return {"count": counts, **{name: [row[name] for row in rows] for name in rows[0]}}

    def predict_counts(self, weight: ReducedWeight, t: int) -> dict[str, list[Any]]:
        """The errors of the trained map in :meth:`simulate_counts`."""
        variance = float(noise_level(self.mixture, SCHEDULE, torch.tensor(t)).variance)
        law, n, counts = (self.mixture, SCHEDULE, t), self.plan.n_points, list(self.plan.counts)
        predict = partial(predictions.error_given_count, weight, *law, n_points=n)
        return {"count": counts, "trained": [predict(count=each) / variance for each in counts]}

    @property
    def _batches(self) -> range:
        return range(-(-self.plan.n_samples // self.plan.batch_size))


def recorded() -> tuple[Recording, MultiTokenGMM]:
    """Return the recorded large run, and its data law."""
    return Recording(RESULTS / "06_mean_denoising.json"), PLANS["paper"].mixture
