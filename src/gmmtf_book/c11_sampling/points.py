"""The points of the sampling chapter, and the numbers that the claims quote from them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.results import Recording
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c11_sampling.laws import finishing, sampler_times
from gmmtf_book.c11_sampling.price import label_gaps, predicted_risks, price, risk_at
from gmmtf_book.c11_sampling.run import (
    distances,
    floor,
    generate,
    handing_over,
    head,
    predicted_moments,
    trained_weight,
)

HEADS = ("zero", "plain", "corrected")
"""The head at W = 0, the trained head, and the trained head with the tilt correction."""


SIZES = ("dim", "n_tokens", "n_patterns", "radius", "sigma", "weights")
"""The settings of a recorded run that belong to the law; the others belong to the plan."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the study computes.

    ``training_steps``, ``n_points``: of the descent that gives the weight; ``risk_times``,
    ``n_risk_samples``: where and on how many data points risks are measured; ``n_steps``,
    ``batch``: of the samplers, and data points a seed; ``handovers``: times at which the Bayes
    denoiser hands over to a head; ``ancestral_batch``: data points a seed with all T steps, or 0.
    """

    training_steps: int
    n_points: int
    risk_times: Sequence[int]
    n_risk_samples: int
    n_steps: int
    batch: int
    seeds: Sequence[int]
    handovers: Sequence[int]
    ancestral_batch: int


def recorded_setting(document: Mapping[str, Any]) -> tuple[MultiTokenGMM, Plan]:
    """Return the law and the plan that a recorded run was made with."""
    settings, keys = dict(document["settings"]), [key.split("/") for key in document["values"]]
    law = {name: settings.pop(name) for name in SIZES}
    plan = Plan(
        **settings,
        risk_times=sorted({int(key[2]) for key in keys if key[0] == "risk"}),
        seeds=sorted({int(key[1]) for key in keys if key[0] == "floor"}),
        handovers=sorted({int(key[2]) for key in keys if key[0] == "finish"}),
    )
    return MultiTokenGMM(**law), plan


def record(
    recording: Recording,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    plan: Plan,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Compute the points that are not yet recorded, and return all.

    ``head``: see :func:`~gmmtf_book.c11_sampling.run.trained_weight`; ``risk/<who>/<t>``: excess risk;
    ``floor/<seed>``: distances of a sample of the law; ``noise/<who>/<seed>``: of data points from
    pure noise; ``finish/<who>/<t>/<seed>``: where Bayes hands over at t; and, from pure noise with
    all T steps, ``ancestral/<who>/<seed>``, with its own floor.
    """
    trained = recording.point(
        "head",
        lambda: trained_weight(
            mixture,
            schedule,
            steps=plan.training_steps,
            n_points=plan.n_points,
            seed=plan.seeds[0],
        ),
    )
    weights = weights_of(trained, mixture)
    denoisers: dict[str, Denoiser] = {"bayes": BayesDenoiser(mixture, schedule)}
    for who in HEADS:
        corrected = who == "corrected"
        denoisers[who] = head(
            weights[who], mixture, schedule, tilt_correction=corrected, device=device
        )

    def point(key: str, denoise: Denoiser, seed: int, n_steps: int, batch: int) -> None:
        def compute() -> dict[str, Any]:
            x = generate(
                denoise,
                mixture,
                schedule,
                n_steps=n_steps,
                eta=1.0,
                batch=batch,
                seed=seed,
                device=device,
            )
            return distances(x, mixture, seed=seed)

        recording.point(f"{key}/{seed}", compute)

    for t in plan.risk_times:
        for who in ("zero", "plain"):
            simulate = partial(
                risk_at,
                weights[who],
                mixture,
                schedule,
                t,
                n_samples=plan.n_risk_samples,
                seed=plan.seeds[0],
                device=device,
            )
            recording.point(f"risk/{who}/{t}", simulate)
    for seed in plan.seeds:
        recording.point(f"floor/{seed}", partial(floor, mixture, batch=plan.batch, seed=seed))
        for who, denoise in denoisers.items():
            point(f"noise/{who}", denoise, seed, plan.n_steps, plan.batch)
        for t in plan.handovers:
            for who in ("plain", "corrected"):
                switched = handing_over(denoisers["bayes"], denoisers[who], t)
                point(f"finish/{who}/{t}", switched, seed, plan.n_steps, plan.batch)
        if plan.ancestral_batch:
            real = partial(floor, mixture, batch=plan.ancestral_batch, seed=seed)
            recording.point(f"ancestral/floor/{seed}", real)
        for who in ("bayes", "plain") if plan.ancestral_batch else ():
            point(f"ancestral/{who}", denoisers[who], seed, schedule.n_steps, plan.ancestral_batch)
    return recording.values


def weights_of(trained: Mapping[str, Any], mixture: MultiTokenGMM) -> dict[str, ReducedWeight]:
    """Weight of each of the :data:`HEADS`."""
    weight = ReducedWeight.from_json(trained)
    return {"zero": ReducedWeight.zero(mixture), "plain": weight, "corrected": weight}


def over_seeds(values: Mapping[str, Any], key: str, name: str) -> Estimate:
    """Mean over seeds of one number of the points ``key/<seed>``, with its standard error.

    With one seed the error is that over data points, or 0 where a point holds none. Raises
    ``ValueError`` if there is no such point.
    """
    entries = [point[name] for at, point in values.items() if at.rsplit("/", 1)[0] == key]
    if not entries:
        raise ValueError(f"key: expected the start of a point's name, got {key!r}")
    numbers = [entry[0] if isinstance(entry, list) else entry for entry in entries]
    if len(numbers) == 1:
        error = entries[0][1] if isinstance(entries[0], list) else 0.0
        return Estimate(numbers[0], error)
    return Estimate(statistics.mean(numbers), statistics.stdev(numbers) / len(numbers) ** 0.5)


def predictions(
    trained: Mapping[str, Any], mixture: MultiTokenGMM, schedule: NoiseSchedule, plan: Plan
) -> dict[str, Any]:
    """Compute what theory says of the recorded points, without tokens.

    ``risk/<who>/<t>``; ``noise/<who>``: moments of the cloud; ``finish/<who>/<t>``: offset and
    scatter; ``gap/<t>``: Bayes minus oracle risk.
    """
    weights = weights_of(trained, mixture)
    times = sampler_times(schedule, plan.n_steps)
    found: dict[str, Any] = {}
    for who, weight in weights.items():
        corrected = who == "corrected"
        risks = predicted_risks(
            weight, mixture, schedule, plan.risk_times, tilt_correction=corrected
        )
        found |= {f"risk/{who}/{t}": risk for t, risk in zip(plan.risk_times, risks, strict=True)}
        found[f"noise/{who}"] = predicted_moments(
            weight, mixture, schedule, n_steps=plan.n_steps, eta=1.0, tilt_correction=corrected
        )
        for t in plan.handovers if who != "zero" else ():
            law = finishing(
                weight, mixture, schedule, times, eta=1.0, handover=t, tilt_correction=corrected
            )
            found[f"finish/{who}/{t}"] = law._asdict()
    gaps = label_gaps(mixture, schedule, plan.risk_times)
    return found | {f"gap/{t}": gap for t, gap in zip(plan.risk_times, gaps, strict=True)}


def summary(
    values: Mapping[str, Any],
    predicted: Mapping[str, Any],
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    plan: Plan,
) -> dict[str, float]:
    """Reduce the points to the numbers that the claims quote (C3, C5).

    ``risk_error``: largest relative difference of predicted and simulated excess risk;
    ``price_<who>``, ``price_labels``: Σ d w_t times a risk, nats per token; ``kept``: excess risk
    after training over that at the start; ``offset_error``: largest relative difference of
    predicted and simulated offset at handovers up to 300; ``spread_error``, ``centre_error``: of
    the clouds that heads generate from noise, in the complement; ``sliced_<who>``: sliced distance
    over the floor's; ``distinct_plain``, ``frequency_<who>``: as in
    :class:`gmmtf.fidelity.Fidelity`.
    """
    times = list(plan.risk_times)
    early = [t for t in plan.handovers if t <= 300]

    def mismatch(key: str, name: str) -> float:
        relative: float = predicted[key][name] / over_seeds(values, key, name).value
        return abs(relative - 1)

    def total(kind: str) -> float:
        risks = [predicted[f"{kind}/{t}"] for t in times]
        return float(price(times, risks, mixture, schedule)[-1])

    floor_sliced = over_seeds(values, "floor", "sliced").value
    found = {
        "risk_error": max(
            abs(predicted[f"risk/{who}/{t}"] / values[f"risk/{who}/{t}"][0] - 1)
            for who in ("zero", "plain")
            for t in times
        ),
        "kept": values["head"]["end"] / values["head"]["start"],
        "offset_error": max(
            mismatch(f"finish/{who}/{t}", "offset") for who in ("plain", "corrected") for t in early
        ),
        "spread_error": max(mismatch(f"noise/{who}", "spread_rest") for who in HEADS),
        "centre_error": max(mismatch(f"noise/{who}", "centre_rest") for who in HEADS),
        "distinct_plain": over_seeds(values, "noise/plain", "distinct").value,
        "price_labels": total("gap"),
    }
    for who in HEADS:
        found[f"price_{who}"] = total(f"risk/{who}")
    for who in ("bayes", *HEADS):
        found[f"sliced_{who}"] = over_seeds(values, f"noise/{who}", "sliced").value / floor_sliced
        found[f"frequency_{who}"] = over_seeds(values, f"noise/{who}", "frequency").value
    return found
