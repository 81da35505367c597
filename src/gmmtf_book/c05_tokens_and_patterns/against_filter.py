"""The best head beside the best linear denoiser, over K/M and N/d (theory result 8)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
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
from gmmtf.risks.reduced_tokens import ReducedTokens, draw_in_chunks
from gmmtf.risks.simulation import squared_error
from gmmtf.scaling.tokens import minimise_log
from gmmtf.schedule import stratified_times
from gmmtf_book.c05_tokens_and_patterns.plan import SCHEDULE, Case, Plan

PATTERNS = 16  # M of the map
_POINTS = 1024  # query tokens of the net on which the best weight is found
_WEIGHTS = 2**25  # attention weights of the data points on which a cell is simulated, about
_SEARCHED, _EVALUATED = 1000, 1001  # seeds of the data where a best weight is found by simulation


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


def cell(mixture: MultiTokenGMM) -> dict[str, float | bool]:
    """Excess over the oracle of the best head, over that of the best linear denoiser.

    ``ratio``: by the expansion, or where it does not hold at the best weight by simulation;
    ``simulated``: which of the two.
    """
    best, holds = _best(mixture)
    if not holds:
        others = torch.Generator().manual_seed(_EVALUATED)
        return {"ratio": _simulated(best, mixture, others).value, "simulated": True}
    found = risk(best, mixture, SCHEDULE, n_points=_POINTS // 2, seed=1).loss.value
    over = found - oracle_risk(mixture, SCHEDULE)
    return {"ratio": over / _left_by_filter(mixture), "simulated": False}


def simulated(mixture: MultiTokenGMM, seed: int, device: torch.device | str) -> Estimate:
    """Return the same ratio for the same weight, found on simulated data points."""
    return _simulated(_best(mixture)[0], mixture, torch.Generator(device).manual_seed(seed))


def _best(mixture: MultiTokenGMM) -> tuple[ReducedWeight, bool]:
    """Best weight of the family, and whether the expansion, by which it is found, holds there."""
    try:
        return best_weight(mixture, SCHEDULE, n_points=_POINTS)[0], True
    except ExpansionFailed:
        return _best_by_simulation(mixture), False


def _best_by_simulation(mixture: MultiTokenGMM) -> ReducedWeight:
    """Minimise the excess on drawn data points, over what is left where all patterns are alike.

    Those are three numbers: a product of a pattern with itself, one with another, and γ.
    """
    size, square = mixture.n_patterns, mixture.require_equal_orthogonal("the map") ** 2
    drawn = list(_draw(mixture, torch.Generator().manual_seed(_SEARCHED)))
    numbers = torch.tensor([8.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)

    def weight(values: Tensor) -> ReducedWeight:
        same, shift, gamma = values / square
        pattern = same * torch.eye(size, dtype=torch.float64) + shift
        return ReducedWeight(pattern, gamma * math.sqrt(mixture.dim - size))

    def excess() -> Tensor:
        return torch.cat([_excess(weight(numbers), mixture, tokens) for tokens in drawn]).mean()

    minimise_log([numbers], excess, max_iter=30)
    return weight(numbers.detach())


@torch.no_grad()
def _simulated(
    weight: ReducedWeight, mixture: MultiTokenGMM, generator: torch.Generator
) -> Estimate:
    """Ratio of a weight on drawn data points."""
    drawn = _draw(mixture, generator)
    errors = torch.cat([_excess(weight, mixture, tokens) for tokens in drawn])
    return Estimate.from_strata(errors) / _left_by_filter(mixture)


def _draw(mixture: MultiTokenGMM, generator: torch.Generator) -> Iterator[ReducedTokens]:
    """Draw chunks of data points, the fewer the more tokens they hold."""
    size = min(1024, max(64, _WEIGHTS // mixture.n_tokens**2))
    times = stratified_times(SCHEDULE, size, generator)
    return draw_in_chunks(mixture, SCHEDULE, times, generator)


def _excess(weight: ReducedWeight, mixture: MultiTokenGMM, tokens: ReducedTokens) -> Tensor:
    """Excess over the oracle on each data point."""
    known = one_hot(tokens.labels, mixture.n_patterns)
    return tokens.level.gain.flatten() ** 2 * squared_error(weight, mixture, tokens, known)


def _left_by_filter(mixture: MultiTokenGMM) -> float:
    """Excess of the best linear denoiser over the oracle."""
    return linear_risk(mixture, SCHEDULE) - oracle_risk(mixture, SCHEDULE)
