"""Better heads: their excess risk beside the plain head's, trained and predicted (chapter 8).

Every kind is compared with the plain head at the same number of tokens. The measurement trains the
head on data and evaluates it on other data, the same for all kinds; the prediction is that of
:mod:`gmmtf_book.c08_better_heads.best_head`.
"""

from __future__ import annotations

import collections
import statistics
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.deeper import WEIGHT_UNIT, ManyHeads, TwoLayers, in_family
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import derived_seed
from gmmtf.results import Recording
from gmmtf.risks.evaluate import evaluate
from gmmtf.risks.head_risk import ValidityWarning
from gmmtf.risks.risk import risk
from gmmtf.schedule import NoiseSchedule
from gmmtf.training import train
from gmmtf_book.c08_better_heads.best_head import KINDS, Kind, best_head

DEEPER = ("two heads", "depth 2", "depth 2, value")
"""Denoisers of two heads, which are measured only."""

_STARTS = {"two heads": (1.0, 0.2), "depth 2": (1.0,), "depth 2, value": (2.0,)}
"""Strengths at which training starts, in WEIGHT_UNIT/r², 1 for one head: attention already selects.
Two heads that start alike would stay alike; with a value matrix the first layer may be stronger."""

_SECOND_LAYER = 0.6
"""Strength β at which a second layer starts: its context is clean, so it may be near 1/τ²."""

_VALUE_FACTOR = 3  # in the flat valley of heads with a value matrix training takes longer


def build(name: str, mixture: MultiTokenGMM, schedule: NoiseSchedule) -> nn.Module:
    """Return an untrained denoiser of the named kind, in the invariant family.

    One layer starts at W = βP with βr² = 16, so that attention already selects; the two layers of
    depth 2 start at stronger weights. From W = 0 depth 2 would not start at all.

    Raises
    ------
    ValueError
        If there is no such kind.
    """

    def head(kind: Kind) -> AttentionDenoiser:
        return AttentionDenoiser(mixture, schedule, **vars(kind))

    plain, value = KINDS["plain"], KINDS["value"]
    denoiser: nn.Module
    if name in KINDS:
        denoiser = head(KINDS[name])
    elif name == "two heads":
        denoiser = ManyHeads([head(value), head(value)])
    elif name == "depth 2":
        denoiser = TwoLayers(head(plain), head(plain))
    elif name == "depth 2, value":
        denoiser = TwoLayers(head(value), head(plain))
    else:
        raise ValueError(f"name: expected one of {[*KINDS, *DEEPER]}, got {name!r}")
    parts = _heads(denoiser)
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


def predicted(
    name: str, mixture: MultiTokenGMM, schedule: NoiseSchedule, times: Sequence[int], n_points: int
) -> dict[str, Any]:
    """Predict the best head of the named kind, and its excess risk at some times, without tokens.

    Parameters
    ----------
    times
        Times of the entry ``"levels"``, a list of excess risks.
    n_points
        As in :func:`gmmtf_book.c08_better_heads.best_head.best_head`.
    """
    best = best_head(KINDS[name], mixture, schedule, n_points=n_points)
    with warnings.catch_warnings():
        # At single times the share of the last order may be above its limit; the mean is checked.
        warnings.simplefilter("ignore", ValidityWarning)
        levels = [
            risk(
                best.weight, mixture, schedule, t=t, head=best.scalars, method=best.method,
                n_points=max(1, n_points // 8),
            ).excess_risk.value
            for t in times
        ]  # fmt: skip
    return {**best.as_json(mixture), "levels": levels}


def trained(
    name: str,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    seed: int,
    steps: int,
    batch_size: int,
    eval_samples: int,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Train a denoiser of the named kind and measure its excess risk.

    Adam on fresh data with a rate of 0.05, and of 0.01 in the last third of the steps. All kinds
    are evaluated on the same data, drawn from ``seed``, so their ratios are more precise than the
    standard errors say.

    Parameters
    ----------
    times
        Times of the entry ``"levels"``, a list of excess risks with standard errors.
    steps
        Steps of Adam; three times as many for one layer with a value matrix.
    """
    denoiser = build(name, mixture, schedule).to(device)
    parts = _heads(denoiser)
    if not isinstance(denoiser, TwoLayers) and parts[0].value is not None:
        steps = _VALUE_FACTOR * steps
    last = max(1, steps // 3)
    for stage, (count, rate) in enumerate(((max(1, steps - last), 0.05), (last, 0.01))):
        run = train(
            denoiser,
            mixture,
            schedule,
            count,
            optimizer="adam",
            lr=rate,
            batch_size=batch_size,
            target="bayes",
            record_every=count,
            eval_samples=2,
            seed=derived_seed(seed, stage),
        )
        collections.deque(run, maxlen=0)  # only the end is of interest

    def excess(t: int | None, count: int) -> list[float]:
        generator = torch.Generator(device).manual_seed(derived_seed(seed, 2))
        found = evaluate(
            denoiser, mixture, schedule, t=t, n_samples=count, batch_size=16, generator=generator
        ).excess_risk
        return [found.value, found.standard_error]

    numbers = {
        key.replace("parametrizations.", ""): value.detach().flatten().tolist()
        for key, value in denoiser.named_parameters()
    }
    return {
        "excess": excess(None, eval_samples),
        "levels": [excess(t, max(2, eval_samples // 8)) for t in times],
        "numbers": numbers,
    }


def record_heads(
    recording: Recording,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    names: Sequence[str],
    seeds: Sequence[int],
    times: Sequence[int],
    n_points: int,
    steps: int,
    batch_size: int,
    eval_samples: int,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Compute the points of the named kinds, predicted and trained, and return all points."""
    for name in names:
        if name in KINDS:
            compute = partial(predicted, name, mixture, schedule, times, n_points)
            recording.point(f"predicted/{name}", compute)
    for name in names:
        for seed in seeds:
            measure = partial(
                trained,
                name,
                mixture,
                schedule,
                times,
                seed=seed,
                steps=steps,
                batch_size=batch_size,
                eval_samples=eval_samples,
                device=device,
            )
            recording.point(f"trained/{name}/{seed}", measure)
    return recording.values


def ratios(values: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Excess risk over the plain head's, for each kind in the points.

    Returns
    -------
    dict
        For each kind ``measured`` (mean over seeds of the ratio on common data), ``error`` (its
        standard error over seeds; 0 for one seed) and, if there is a prediction, ``predicted``.
    """
    seeds: dict[str, dict[str, float]] = {}
    for key, point in values.items():
        if key.startswith("trained/"):
            _, name, seed = key.split("/")
            seeds.setdefault(name, {})[seed] = point["excess"][0]
    found = {}
    for name, by_seed in seeds.items():
        each = [value / seeds["plain"][seed] for seed, value in by_seed.items()]
        error = statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else 0.0
        found[name] = {"measured": statistics.fmean(each), "error": error}
        if f"predicted/{name}" in values:
            own, plain = (values[f"predicted/{which}"]["excess"][0] for which in (name, "plain"))
            found[name]["predicted"] = own / plain
    return found


def summary(values: Mapping[str, Any]) -> dict[str, float]:
    """Draw the numbers of the claims from the points.

    ``reduction/<kind>``: measured excess over the plain head's; ``worst reduction``: largest
    |measured/predicted - 1| of these ratios; ``worst excess``: the same for the excess itself,
    which includes the plain head; ``retuned/<kind>``: predicted excess with other numbers at every
    time over that with one set for all times, averaged over the times of the levels.
    """
    found = ratios(values)
    measured = {f"reduction/{name}": ratio["measured"] for name, ratio in found.items()}
    deviations, excess = [], []
    for name, ratio in found.items():
        if "predicted" in ratio:
            deviations.append(abs(ratio["measured"] / ratio["predicted"] - 1))
            points = [
                point["excess"][0]
                for key, point in values.items()
                if key.startswith(f"trained/{name}/")
            ]
            own = values[f"predicted/{name}"]["excess"][0]
            excess.append(abs(statistics.fmean(points) / own - 1))
    return {
        **measured,
        "worst reduction": max(deviations),
        "worst excess": max(excess),
        **_retuned(values),
    }


def _retuned(values: Mapping[str, Any]) -> dict[str, float]:
    by_name: dict[str, list[float]] = {}
    for key, point in values.items():
        if key.startswith("retuned/"):
            by_name.setdefault(key.split("/")[1], []).append(point["excess"][0])
    return {
        f"retuned/{name}": sum(excesses) / sum(values[f"predicted/{name}"]["levels"])
        for name, excesses in by_name.items()
    }
