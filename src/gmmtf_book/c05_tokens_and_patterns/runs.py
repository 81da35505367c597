"""Gradient descent from W = 0 for each case: by simulation, and predicted by the expansion."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gmmtf import Estimate, MultiTokenGMM, ReducedWeight, best_weight, descend, risk
from gmmtf.laws.level import noise_level
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.randomness import derived_seed, standard_normal
from gmmtf.record import Recording
from gmmtf.risks.formulas import mean_denoising_excess
from gmmtf.risks.head_risk import ExpansionFailed
from gmmtf.risks.queries import draw_queries
from gmmtf.scaling.steps import pattern_excess
from gmmtf.schedule import stratified_times
from gmmtf_book.c05_tokens_and_patterns import against_filter, learned, one_pattern, phases, sweeps
from gmmtf_book.c05_tokens_and_patterns.one_pattern import simulated_excess
from gmmtf_book.c05_tokens_and_patterns.plan import PLANS, SCHEDULE, Case, Plan

_NO_BAYES = Estimate(0.0)  # a Bayes risk, for records of which only the excess is used


def run(plan: Plan, path: str | Path, device: torch.device | str = "cpu") -> Recording:
    """Compute what the plan asks for and the file at ``path`` does not hold yet.

    The phase diagrams and the comparison with a linear filter have the sizes of the paper preset
    whatever the plan, which is cheap.
    """
    record = Recording(path, plan.settings(), code=__name__, device=device)
    for _, cases in plan.families().values():
        for case in cases:
            record.point(partial(predict, plan, case), kind="predicted", **case.labels)
            for seed in plan.seeds:
                compute = partial(simulate, plan, case, seed, device)
                record.point(compute, kind="simulated", seed=seed, **case.labels)
            if case.n_active is not None:
                generator = torch.Generator().manual_seed(plan.seeds[0])
                told = partial(set_ambiguity, plan.mixture(case), 4 * plan.eval_samples, generator)
                record.point(told, kind="set", **case.labels)
    learned.run(record, plan, device)
    against_filter.run(record, plan, PLANS["paper"], device)
    sweeps.run(record, plan)
    phases.run(record, plan, PLANS["paper"])
    for n, rarest in plan.checks:
        compute = partial(check_phase, plan, Case(plan.n_patterns, n, None, rarest), device)
        record.point(compute, kind="check", N=n, pi_min=rarest)
    return record


def predict(plan: Plan, case: Case) -> dict[str, Any]:
    """Descend on the expansion: excess of all tokens and of the rarest pattern's, by step.

    ``products``: those of two patterns at the end, see :func:`products`. ``best`` is the excess of
    the best weight of the family, ``law`` that of perfect selection.
    """
    mixture = plan.mixture(case)
    # Few query tokens of a net have a pattern that few data points hold.
    n_points = plan.n_points if case.inclusion is None else 8 * plan.n_points
    queries = draw_queries(mixture, SCHEDULE, n_points=8 * plan.n_points, seed=1)
    records = list(descend(mixture, SCHEDULE, plan.record_at[-1], lr=plan.step_size(mixture),
                           n_points=n_points, record_at=(0, *plan.record_at)))  # fmt: skip
    return {
        "excess": [record.excess.value for record in records],
        "rare": [pattern_excess(record.weight, queries, 0) for record in records],
        "products": products(records[-1].weight, mixture),
        "best": _best_excess(mixture, plan.n_points),
        "law": mean_denoising_excess(mixture, SCHEDULE),
    }


def _best_excess(mixture: MultiTokenGMM, n_points: int) -> float | None:
    """Excess of the best weight of the family; None where the expansion does not hold there."""
    try:
        return best_weight(mixture, SCHEDULE, n_points=n_points)[1]
    except ExpansionFailed:
        return None


def simulate(plan: Plan, case: Case, seed: int, device: torch.device | str) -> dict[str, Any]:
    """Train by simulation with fresh data at every step.

    For K < M the error is measured from the exact Bayes estimate, over all active sets. A data
    point then shows K of the M patterns, so batches are M/K times as large.
    """
    mixture = plan.mixture(case)
    if case.inclusion is not None:
        return _simulate_rare_data(plan, case, seed, device)
    records = list(descend(mixture, SCHEDULE, plan.record_at[-1], method="simulation",
                           lr=plan.step_size(mixture), record_at=plan.record_at, seed=seed,
                           batch_size=round(plan.batch_size * case.n_patterns / mixture.k),
                           eval_samples=plan.eval_samples, bayes=_NO_BAYES,
                           device=device))  # fmt: skip
    held_out = torch.Generator(device).manual_seed(derived_seed(seed, 2))
    last = records[-1].weight
    return {
        "excess": [record.excess_risk for record in records],
        "rare": simulated_excess([last], mixture, plan.eval_samples, held_out, pattern=0)[0],
    }


def _simulate_rare_data(
    plan: Plan, case: Case, seed: int, device: torch.device | str
) -> dict[str, Any]:
    """Train where few data points hold pattern 0, with those drawn apart from the others."""
    mixture, steps = plan.mixture(case), plan.record_at[-1]
    size = round(plan.batch_size * case.n_patterns / mixture.k)
    path = one_pattern.descend(mixture, steps, lr=plan.step_size(mixture), batch_size=size,
                               seed=seed, device=device)  # fmt: skip
    kept = [weight for step, weight in path if step in plan.record_at]
    of_all, of_rare = (torch.Generator(device).manual_seed(derived_seed(seed, k)) for k in (1, 2))
    samples = 2 * plan.eval_samples
    return {
        "excess": simulated_excess(kept, mixture, samples, of_all),
        "rare": simulated_excess(kept[-1:], mixture, samples, of_rare, pattern=0)[0],
        "products": products(kept[-1], mixture),
    }


def products(weight: ReducedWeight, mixture: MultiTokenGMM) -> dict[str, float]:
    """Query-key products of the rarest pattern and of another one: with itself, largest other."""
    every = weight.products(mixture)
    found = {}
    for name, query in (("rarest", 0), ("commonest", 1)):
        row = every[query]
        others = torch.cat([row[:query], row[query + 1 :]])
        found[f"{name} same"] = float(row[query])
        found[f"{name} different"] = float(others.max())
    return found


def check_phase(plan: Plan, case: Case, device: torch.device | str) -> dict[str, Any]:
    """Simulated excess, over the predicted start, of the weight that a phase diagram predicts."""
    mixture = plan.mixture(case)
    weight = phases.last_weight(mixture, plan.n_points)
    begin, expected = (
        phases.excesses(each, mixture, n_points=1024, n_queries=8 * plan.n_points)
        for each in (ReducedWeight.zero(mixture), weight)
    )
    seed = plan.seeds[0]
    held_out, again = (
        torch.Generator(device).manual_seed(s) for s in (derived_seed(seed, 1), seed)
    )
    found = risk(weight, mixture, SCHEDULE, method="simulation", n_samples=plan.eval_samples,
                 generator=held_out, bayes=_NO_BAYES).excess_risk  # fmt: skip
    (rare,) = simulated_excess([weight], mixture, plan.eval_samples, again, pattern=0)
    return {
        "all": found / begin[0],
        "rare": rare / begin[1],
        "predicted": expected[0] / begin[0],
        "rare predicted": expected[1] / begin[1],
    }


@torch.no_grad()
def set_ambiguity(
    mixture: MultiTokenGMM, n_samples: int, generator: torch.Generator | None = None
) -> Estimate:
    """What not knowing the active set costs the Bayes denoiser, per coordinate.

    (c²ᾱ/d) E‖m_n - m_n^S‖², m_n^S the posterior mean given the active set. By orthogonality it is
    the excess over the denoiser that is told the set minus the excess over the Bayes denoiser, for
    every head.
    """
    radius = mixture.require_equal_orthogonal("the comparison of posteriors")
    times = stratified_times(SCHEDULE, n_samples, generator)
    labels, active = mixture.sample_labels(n_samples, generator)
    noise = standard_normal((*labels.shape, mixture.n_patterns), generator, torch.float64)
    level = noise_level(mixture, SCHEDULE, times).for_tokens(noise)
    centres = torch.nn.functional.one_hot(labels, mixture.n_patterns)
    projections = radius * (level.signal * radius * centres + level.variance.sqrt() * noise)
    blind = posterior_from_projections(mixture, projections, level)
    logits = level.signal * projections / level.variance + mixture.probabilities.log()
    told = torch.softmax(logits.masked_fill(~active[:, None], -math.inf), -1)
    gap = (blind - told).square().sum(-1).mean(1) * radius**2 / mixture.dim
    return Estimate.from_strata((level.gain * level.signal).flatten() ** 2 * gap)
