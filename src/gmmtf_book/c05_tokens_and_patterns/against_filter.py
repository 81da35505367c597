"""The best head beside the best linear denoiser, over K/M and N/d (theory result 8)."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.functional import one_hot

from gmmtf import (
    Estimate,
    MultiTokenGMM,
    ReducedWeight,
    best_weight,
    linear_risk,
    oracle_risk,
    risk,
)
from gmmtf.record import Recording
from gmmtf.risks.head_risk import ExpansionFailed
from gmmtf.risks.reduced_tokens import draw_in_chunks
from gmmtf.risks.simulation import squared_error
from gmmtf.schedule import stratified_times
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case, Plan

PATTERNS = 16  # M of the map
_POINTS = 1024  # query tokens of the net on which the best weight is found
_WEIGHTS = 2**25  # attention weights of the data points on which a cell is simulated, about


def run(record: Recording, plan: Plan, sizes: Plan, device: torch.device | str) -> None:
    """Compute the cells that the record does not hold yet.

    ``plan`` says which cells, and with which seeds they are simulated; ``sizes`` has d, r and σ.
    """
    for k in plan.filter_active:
        for n in plan.filter_tokens:
            record.point(partial(cell, law(sizes, k, n)), kind="filter", K=k, N=n)
    for k, n in plan.filter_checks:
        for seed in plan.seeds:
            compute = partial(simulated, law(sizes, k, n), seed, device)
            record.point(compute, kind="filter check", K=k, N=n, seed=seed)


def law(sizes: Plan, k: int, n: int) -> MultiTokenGMM:
    """Return the data law of a cell."""
    return sizes.mixture(Case(PATTERNS, n, None if k == PATTERNS else k))


def cell(mixture: MultiTokenGMM) -> float | None:
    """Excess over the oracle of the best head, over that of the best linear denoiser.

    None where the expansion does not hold at the best weight.
    """
    try:
        best = _best(mixture)
    except ExpansionFailed:
        return None
    found = risk(best, mixture, SCHEDULE, n_points=_POINTS // 2, seed=1).loss.value
    return (found - oracle_risk(mixture, SCHEDULE)) / _left_by_filter(mixture)


@torch.no_grad()
def simulated(mixture: MultiTokenGMM, seed: int, device: torch.device | str) -> Estimate:
    """Return the same ratio for the same weight, found on simulated data points."""
    best = _best(mixture)
    generator = torch.Generator(device).manual_seed(seed)
    size = min(1024, max(64, _WEIGHTS // mixture.n_tokens**2))
    errors = []
    times = stratified_times(SCHEDULE, size, generator)
    for tokens in draw_in_chunks(mixture, SCHEDULE, times, generator):
        known = one_hot(tokens.labels, mixture.n_patterns)
        square = squared_error(best, mixture, tokens, known)
        errors.append(tokens.level.gain.flatten() ** 2 * square)
    return Estimate.from_strata(torch.cat(errors)) / _left_by_filter(mixture)


def _best(mixture: MultiTokenGMM) -> ReducedWeight:
    return best_weight(mixture, SCHEDULE, n_points=_POINTS)[0]


def _left_by_filter(mixture: MultiTokenGMM) -> float:
    """Excess of the best linear denoiser over the oracle."""
    return linear_risk(mixture, SCHEDULE) - oracle_risk(mixture, SCHEDULE)
