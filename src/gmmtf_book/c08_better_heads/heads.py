"""Better heads: their excess risk beside the plain head's, trained and predicted (chapter 8).

Every kind is compared with the plain head at the same number of tokens. The measurement trains the
head on data and evaluates it on other data, the same for all kinds; the prediction is that of
:mod:`gmmtf_book.c08_better_heads.best_head`.
"""

from __future__ import annotations

import collections
import warnings
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM, evaluate, risk, train
from gmmtf.denoisers.deeper import WEIGHT_UNIT, ManyHeads, TwoLayers, in_family
from gmmtf.randomness import derived_seed
from gmmtf.record import Recording
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf_book.c08_better_heads import tilt
from gmmtf_book.c08_better_heads.best_head import KINDS, Kind, best_head
from gmmtf_book.c08_better_heads.plan import SCHEDULE, Plan

_PLAIN, _VALUE = Kind(), Kind(value=True)
DEEPER = {
    "two heads": (_VALUE, _VALUE), "depth 2": (_PLAIN, _PLAIN), "depth 2, value": (_VALUE, _PLAIN),
}  # fmt: skip
"""Denoisers of two heads, which are measured only, and the kinds of these heads."""

_PARTS = {name: (kind,) for name, kind in KINDS.items()} | DEEPER
RETUNED = ("plain", "value")  # heads that are also predicted with other numbers at every time

_STARTS = {"two heads": (1.0, 0.2), "depth 2": (1.0,), "depth 2, value": (2.0,)}
"""Strengths at which training starts, in WEIGHT_UNIT/r², 1 for one head: attention already selects.
Two heads that start alike would stay alike; with a value matrix the first layer may be stronger."""

_SECOND_LAYER = 0.6  # β at which it starts: its context is clean, so it may be near 1/τ²
_VALUE_FACTOR = 3  # in the flat valley of heads with a value matrix training takes longer


def build(name: str, mixture: MultiTokenGMM) -> nn.Module:
    """Return an untrained denoiser of the named kind, in the invariant family.

    One layer starts at W = βP with βr² = 16, so that attention already selects; the two layers of
    depth 2 start at stronger weights. From W = 0 depth 2 would not start at all.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if name not in _PARTS:
        raise ValueError(f"name: expected one of {[*_PARTS]}, got {name!r}")
    parts = [AttentionDenoiser(mixture, SCHEDULE, **vars(kind)) for kind in _PARTS[name]]
    denoiser: nn.Module = parts[0]
    if len(parts) == 2:
        denoiser = ManyHeads(parts) if name == "two heads" else TwoLayers(*parts)
    radius = mixture.require_equal_orthogonal("the invariant family")
    span = mixture.means.T @ mixture.means / radius**2
    with torch.no_grad():
        strengths = [each * WEIGHT_UNIT / radius**2 for each in _STARTS.get(name, (1.0,))]
        if isinstance(denoiser, TwoLayers):
            strengths.append(_SECOND_LAYER)
        for part, strength in zip(parts, strengths, strict=True):
            part.weight.copy_(strength * span)
        if name == "two heads":
            for part, share in zip(parts, (0.85, 0.15), strict=True):
                assert part.value is not None
                part.value.mul_(share)
    return in_family(denoiser, mixture)


def _heads(denoiser: nn.Module) -> list[AttentionDenoiser]:
    return [part for part in denoiser.modules() if isinstance(part, AttentionDenoiser)]


def predicted(plan: Plan, name: str) -> dict[str, Any]:
    """Predict the best head of a kind, and its excess risk at some times, without tokens."""
    best = best_head(KINDS[name], plan.mixture, SCHEDULE, n_points=plan.n_points)
    # At single times the estimated error may be above its limit; the mean is checked.
    with warnings.catch_warnings(action="ignore", category=ValidityWarning):
        levels = [
            risk(best.weight, plan.mixture, SCHEDULE, t=t, head=best.scalars, method=best.method,
                 n_points=max(1, plan.n_points // 8)).excess_risk.value
            for t in plan.level_times
        ]  # fmt: skip
    return {**best.as_json(plan.mixture), "levels": levels}


def retuned(plan: Plan, name: str, t: int) -> dict[str, Any]:
    """Predict the best head of the named kind for one time alone."""
    best = best_head(KINDS[name], plan.mixture, SCHEDULE, t, n_points=plan.n_points)
    return best.as_json(plan.mixture)


def trained(plan: Plan, name: str, seed: int, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Train a denoiser of the named kind and measure its excess risk, also at some times.

    Adam on fresh data with a rate of 0.05, and of 0.01 in the last third of the steps; three times
    as many steps for one layer with a value matrix. All kinds are evaluated on the same data, drawn
    from ``seed``, so their ratios are more precise than the standard errors say.
    """
    denoiser = build(name, plan.mixture).to(device)
    one_layer = not isinstance(denoiser, TwoLayers)
    learns_value = _heads(denoiser)[0].value is not None
    steps = plan.steps * (_VALUE_FACTOR if one_layer and learns_value else 1)
    last = max(1, steps // 3)
    for stage, (count, rate) in enumerate(((max(1, steps - last), 0.05), (last, 0.01))):
        run = train(denoiser, plan.mixture, SCHEDULE, count, optimizer="adam", lr=rate,
                    batch_size=plan.batch_size, target="bayes", record_every=count,
                    eval_samples=2, seed=derived_seed(seed, stage))  # fmt: skip
        collections.deque(run, maxlen=0)  # only the end is of interest

    def excess(t: int | None, count: int) -> Estimate:
        generator = torch.Generator(device).manual_seed(derived_seed(seed, 2))
        return evaluate(denoiser, plan.mixture, SCHEDULE, t=t, n_samples=count, batch_size=16,
                        generator=generator).excess_risk  # fmt: skip

    numbers = {
        key.replace("parametrizations.", ""): value.detach().flatten().tolist()
        for key, value in denoiser.named_parameters()
    }
    few = max(2, plan.eval_samples // 8)
    return {
        "excess": excess(None, plan.eval_samples),
        "levels": [excess(t, few) for t in plan.level_times],
        "numbers": numbers,
    }


def run(plan: Plan, path: str | Path, device: torch.device | str = "cpu") -> Recording:
    """Compute the points that the file at ``path`` does not hold yet."""
    record = Recording(path, plan.settings(), code=__name__, device=device)
    for name in KINDS:
        record.point(partial(predicted, plan, name), kind="predicted", head=name)
    for name, seed in product((*KINDS, *DEEPER), plan.seeds):
        compute = partial(trained, plan, name, seed, device)
        record.point(compute, kind="trained", head=name, seed=seed)
    for name, t in product(RETUNED, plan.level_times):
        record.point(partial(retuned, plan, name, t), kind="retuned", head=name, t=t)
    tilt.run(record, plan.floor_counts)
    return record
