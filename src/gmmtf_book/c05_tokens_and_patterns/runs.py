"""Gradient descent from W = 0 for each case: by simulation, and predicted by the expansion."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch

from gmmtf import scaling
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.effective_descent import train
from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.randomness import derived_seed, standard_normal
from gmmtf.results import Recording
from gmmtf.risks import formulas
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.reduced_tokens import ReducedTokens, draw_in_chunks
from gmmtf.risks.simulation import evaluate, excess_on_fresh_data
from gmmtf.schedule import NoiseSchedule, stratified_times
from gmmtf_book.c05_tokens_and_patterns.plan import Case, Plan

SCHEDULE = NoiseSchedule.linear(1000)

_UNUSED = Estimate(0.0, 0.0)  # a Bayes risk, for evaluations of which only the excess is used


def run(recording: Recording, plan: Plan, device: torch.device | str = "cpu") -> None:
    """Compute all points of the plan that the recording does not hold yet."""
    for _, cases in plan.families().values():
        for case in cases:
            recording.point(f"{case.key} predicted", partial(predict, plan, case))
            for seed in plan.seeds:
                key = f"{case.key} seed {seed}"
                recording.point(key, partial(simulate, plan, case, seed, device))
            if case.n_active is not None:
                recording.point(f"{case.key} set", partial(_set_point, plan, case))


def _set_point(plan: Plan, case: Case) -> list[float]:
    generator = torch.Generator().manual_seed(plan.seeds[0])
    found = set_ambiguity(plan.mixture(case), 4 * plan.eval_samples, generator)
    return [found.value, found.standard_error]


def predict(plan: Plan, case: Case) -> dict[str, Any]:
    """Descend on the expansion: excess of all tokens and of the rarest pattern's, by step.

    ``best`` is the excess of the best weight of the family, ``law`` that of perfect selection, None
    where that has no closed form; ``holds`` says whether the expansion held at every record.
    """
    mixture = plan.mixture(case)
    queries = draw_queries(mixture, SCHEDULE, n_points=8 * plan.n_points, seed=1)
    records = train(
        mixture,
        SCHEDULE,
        plan.record_at[-1],
        lr=plan.step_size(mixture),
        n_points=plan.n_points,
        record_every=math.gcd(*plan.record_at),
    )
    kept = [record for record in records if record.step in (0, *plan.record_at)]
    return {
        "excess": [record.excess_risk.value for record in kept],
        "rare": [scaling.pattern_excess(record.weight, queries, 0) for record in kept],
        "own": own_product(kept[-1].weight, mixture),
        "best": scaling.best_weight(mixture, SCHEDULE, n_points=plan.n_points)[1],
        "law": formulas.mean_denoising_excess(mixture, SCHEDULE),
        "holds": all(record.holds for record in kept),
    }


def simulate(plan: Plan, case: Case, seed: int, device: torch.device | str) -> dict[str, Any]:
    """Train by simulation with fresh data at every step, as :func:`gmmtf.population_descent.train`.

    For K < M the error is measured from the exact Bayes estimate, over all active sets. A data
    point then shows K of the M patterns, so batches are M/K times as large.
    """
    mixture = plan.mixture(case)
    batch_size = round(plan.batch_size * case.n_patterns / mixture.k)
    generator = torch.Generator(device).manual_seed(seed)

    def loss(weight: ReducedWeight) -> torch.Tensor:
        times = stratified_times(SCHEDULE, batch_size, generator)
        return excess_on_fresh_data(weight, mixture, SCHEDULE, times, generator)

    excess = []
    weight = ReducedWeight.zero(mixture)
    visited = descend(weight, loss, plan.record_at[-1], lr=plan.step_size(mixture))
    for step, weight in visited:
        if step in plan.record_at:
            excess.append(evaluated(weight, mixture, plan, seed, device))
    held_out = torch.Generator(device).manual_seed(derived_seed(seed, 2))
    rare = pattern_excess(weight, mixture, 0, plan.eval_samples, held_out)
    return {
        "excess": excess,
        "rare": [rare.value, rare.standard_error],
        "own": own_product(weight, mixture),
    }


def own_product(weight: ReducedWeight, mixture: MultiTokenGMM) -> float:
    """Return μ_uᵀWμ_u of the rarest pattern."""
    return float(weight.pattern[0, 0]) * mixture.require_equal_orthogonal("the product") ** 2


def evaluated(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    plan: Plan,
    seed: int,
    device: torch.device | str,
) -> list[float]:
    """Simulated excess risk and its standard error, on data that depends on the seed alone."""
    held_out = torch.Generator(device).manual_seed(derived_seed(seed, 1))
    found = evaluate(
        weight,
        mixture,
        SCHEDULE,
        n_samples=plan.eval_samples,
        generator=held_out,
        bayes=_UNUSED,
    ).excess_risk
    return [found.value, found.standard_error]


@torch.no_grad()
def pattern_excess(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    pattern: int,
    n_samples: int,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Excess risk of the tokens of one pattern, by simulation.

    Each token's squared error counts in proportion to its posterior probability of the pattern, as
    in :func:`gmmtf.scaling.steps.pattern_excess`.
    """
    times = stratified_times(SCHEDULE, n_samples, generator)
    chunks = draw_in_chunks(mixture, SCHEDULE, times, generator)
    pieces = [_pattern_errors(weight, mixture, tokens, pattern) for tokens in chunks]
    errors, counts = (torch.cat(part) for part in zip(*pieces, strict=True))
    ratio = float(errors.sum() / counts.sum())
    # To first order the error of a ratio is that of its numerator minus ratio times denominator.
    scatter = Estimate.from_strata((errors - ratio * counts) / float(counts.mean()))
    return Estimate(ratio, scatter.standard_error)


def _pattern_errors(
    weight: ReducedWeight, mixture: MultiTokenGMM, tokens: ReducedTokens, pattern: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return posterior-weighted squared errors, and the posteriors' sums, of each data point."""
    span, factor, level = tokens
    radius = mixture.require_equal_orthogonal("the reduced simulation")
    keys = span @ weight.pattern.to(span.device).T
    scores = span @ keys.mT + weight.gamma(mixture).to(span.device) * (factor @ factor.mT)
    attention = torch.softmax(scores, dim=-1)
    posterior = posterior_from_projections(mixture, radius * span, level)
    in_span = (attention @ span - level.signal * radius * posterior).square().sum(-1)
    square = in_span + (attention @ factor).square().sum(-1)
    chosen = posterior[..., pattern]
    errors = level.gain.flatten() ** 2 * (square * chosen).sum(1) / mixture.dim
    return errors, chosen.sum(1)


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
