"""Whole data points from noise: who generates them, and how far they are from the law (C5, C3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from gmmtf import (
    AttentionDenoiser,
    BayesDenoiser,
    Estimate,
    MultiTokenGMM,
    NoiseSchedule,
    ReducedWeight,
    descend,
    fidelity,
    risk,
    sampling,
)
from gmmtf.denoisers import Denoiser
from gmmtf.randomness import derived_seed
from gmmtf.record import Recording
from gmmtf_book.c11_sampling.laws import cloud_path
from gmmtf_book.c11_sampling.plan import HEADS, SCHEDULE, Plan

Device = torch.device | str

_ETA = {"DDIM": 0.0, "ancestral": 1.0}


def trained(mixture: MultiTokenGMM, steps: int, n_points: int, seed: int) -> dict[str, Any]:
    """Train the plain head from W = 0 in the limit of infinite batches.

    The weight as JSON values, with its excess risk at the ``start`` and the ``end``.
    """
    path = descend(mixture, SCHEDULE, steps, n_points=n_points, record_every=steps, seed=seed)
    start, end = list(path)
    return {**end.weight.as_json(), "start": start.excess.value, "end": end.excess.value}


def head(
    weight: ReducedWeight, mixture: MultiTokenGMM, schedule: NoiseSchedule = SCHEDULE,
    dtype: torch.dtype = torch.float32, *, tilt_correction: bool = False,
) -> AttentionDenoiser:  # fmt: skip
    """Return the head with the full weight, without gradients."""
    found = AttentionDenoiser(mixture, schedule, dtype, tilt_correction=tilt_correction)
    found.requires_grad_(False).weight.copy_(weight.to_full(mixture))
    return found


def weights_of(stored: Mapping[str, Any], mixture: MultiTokenGMM) -> dict[str, ReducedWeight]:
    """Weight of each of the :data:`~gmmtf_book.c11_sampling.plan.HEADS`."""
    weight = ReducedWeight.from_json(stored)
    return {"zero": ReducedWeight.zero(mixture), "plain": weight, "corrected": weight}


def denoisers(
    weights: Mapping[str, ReducedWeight], mixture: MultiTokenGMM, device: Device = "cpu"
) -> dict[str, Denoiser]:
    """Return the Bayes denoiser and the heads, by name."""
    heads = {
        who: head(weight, mixture, tilt_correction=who == "corrected").to(device)
        for who, weight in weights.items()
    }
    return {"bayes": BayesDenoiser(mixture, SCHEDULE), **heads}


def handing_over(first: Denoiser, then: Denoiser, time: int) -> Denoiser:
    """Let ``first`` denoise at times from ``time`` on, and ``then`` below; one time a batch."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        return first(x_t, t) if int(t[0]) >= time else then(x_t, t)

    return denoise


def generate(
    denoise: Denoiser, mixture: MultiTokenGMM, *,
    n_calls: int, batch: int, seed: int, eta: float = 1.0, device: Device = "cpu",
    on_step: sampling.OnStep | None = None,
) -> Tensor:  # fmt: skip
    """Generate data points ``[batch, N, d]`` by DDIM; ``eta=1`` and T calls is ancestral sampling.

    The same seed gives the same noise to every denoiser.
    """
    return sampling.ddim(
        denoise, SCHEDULE, (batch, mixture.n_tokens, mixture.dim), n_calls=n_calls, eta=eta,
        generator=torch.Generator(device).manual_seed(seed), on_step=on_step,
    ).cpu()  # fmt: skip


def followed(
    denoise: Denoiser, mixture: MultiTokenGMM, **options: Any
) -> tuple[Tensor, pd.DataFrame]:
    """Generate as :func:`generate`; also the :func:`moments` before each step and at the end."""
    trace: dict[int, dict[str, float]] = {}
    x = generate(
        denoise, mixture, on_step=lambda t, x: trace.update({t: moments(x, mixture)}), **options
    )
    return x, pd.DataFrame(trace).T


def distances(x: Tensor, mixture: MultiTokenGMM, *, seed: int) -> dict[str, Any]:
    """Distances of data points from the law (C5): :class:`gmmtf.fidelity.Fidelity`, and moments."""
    reference = mixture.sample(len(x), _stream(seed, 2), torch.float64).x_0
    found = fidelity.measure(x, mixture, reference, generator=_stream(seed, 3))
    return vars(found) | moments(x, mixture)


def real(mixture: MultiTokenGMM, batch: int, seed: int) -> dict[str, Any]:
    """Return the same distances for a sample of the law itself."""
    return distances(mixture.sample(batch, _stream(seed, 1)).x_0, mixture, seed=seed)


def moments(x: Tensor, mixture: MultiTokenGMM) -> dict[str, float]:
    """Return the second moments that a cloud predicts, of tokens ``[batch, N, d]``.

    ``spread_span``, ``spread_rest``: tokens about their data point's mean, per coordinate of the
    patterns' span and of its complement; ``centre_span``, ``centre_rest``: N times the mean square
    of the means.
    """
    x = x.to("cpu", torch.float64)
    unit = mixture.means / mixture.require_equal_orthogonal("the cloud")
    spread, centre = _energies(x)
    in_span, centre_span = _energies(x @ unit.T)
    m, free = mixture.n_patterns, max(1, mixture.dim - mixture.n_patterns)
    return {
        "spread_span": in_span / m,
        "spread_rest": (spread - in_span) / free,
        "centre_span": centre_span / m,
        "centre_rest": (centre - centre_span) / free,
    }


def _energies(x: Tensor) -> tuple[float, float]:
    n, mean = x.shape[1], x.mean(1, keepdim=True)
    spread = (x - mean).square().sum((1, 2)).mean() / (n - 1)
    return float(spread), n * float(mean.square().sum((1, 2)).mean())


def run(plan: Plan, path: str | Path | None, device: Device = "cpu") -> Recording:
    """Compute the points that the file at ``path`` does not hold yet.

    By ``kind``: ``trained``; ``risk`` of a ``head`` at ``t``; distances of a ``sample`` with
    ``n_calls`` of a head or of the Bayes denoiser from noise, or of the law (head ``real``) of the
    same size; ``finish``: the same where Bayes hands over to a ``head`` at ``t``.
    """
    record = Recording(path, plan.settings(), code=__name__, device=device)
    mixture, first = plan.mixture, plan.seeds[0]
    train = partial(trained, mixture, plan.training_steps, plan.n_points, first)
    weights = weights_of(record.point(train, kind="trained"), mixture)
    by_name = denoisers(weights, mixture, device)

    def excess(who: str, t: int) -> Estimate:
        generator = torch.Generator(device).manual_seed(derived_seed(first, t))
        return risk(
            weights[who], mixture, SCHEDULE, t=t, method="simulation",
            n_samples=plan.n_risk_samples, generator=generator, bayes=Estimate(0.0),
        ).excess_risk  # fmt: skip

    def sampled(denoise: Denoiser, n_calls: int, batch: int, seed: int) -> dict[str, Any]:
        x = generate(denoise, mixture, n_calls=n_calls, batch=batch, seed=seed, device=device)
        return distances(x, mixture, seed=seed)

    for t, who in product(plan.risk_times, ("zero", "plain")):
        record.point(partial(excess, who, t), kind="risk", head=who, t=t)
    sizes: dict[int, tuple[int, tuple[str, ...]]] = {plan.n_calls: (plan.batch, ("bayes", *HEADS))}
    if plan.ancestral_batch:
        sizes[SCHEDULE.n_steps] = (plan.ancestral_batch, ("bayes", "plain"))
    for seed, (n_calls, (batch, names)) in product(plan.seeds, sizes.items()):
        point = partial(record.point, kind="sample", n_calls=n_calls, seed=seed)
        point(partial(real, mixture, batch, seed), head="real")
        for who in names:
            point(partial(sampled, by_name[who], n_calls, batch, seed), head=who)
    for seed, t, who in product(plan.seeds, plan.handovers, ("plain", "corrected")):
        switched = handing_over(by_name["bayes"], by_name[who], t)
        compute = partial(sampled, switched, plan.n_calls, plan.batch, seed)
        record.point(compute, kind="finish", head=who, t=t, seed=seed)
    return record


def floors(plan: Plan) -> pd.DataFrame:
    """Sliced distances of eight samples of the law with 32 tokens, a column a dimension."""
    laws = {d: replace(plan, dim=d, n_tokens=32).mixture for d in plan.sweep_dims}
    rows = ({d: real(laws[d], plan.sweep_batch, s)["sliced"] for d in laws} for s in range(8))
    return pd.DataFrame(rows)


def sweep(plan: Plan, floor: pd.Series, seed: int) -> pd.DataFrame:
    """Sample with the exact denoiser by few steps; a row a sampler, dimension and number of calls.

    ``scatter``: variance outside the patterns' span over σ², and ``predicted`` by the recursion;
    ``sliced``: sliced distance over its ``floor`` for this dimension.
    """
    rows = []
    for d, (sampler, eta), n_calls in product(plan.sweep_dims, _ETA.items(), plan.sweep_calls):
        law = replace(plan, dim=d, n_tokens=32).mixture
        x = generate(BayesDenoiser(law, SCHEDULE), law, n_calls=n_calls, eta=eta,
                     batch=plan.sweep_batch, seed=seed + 1)  # fmt: skip
        found = distances(x, law, seed=seed)
        end = cloud_path(ReducedWeight.zero(law), law, n_calls, eta=eta)[-1]
        # Outside the patterns' span all tokens of the runs are independent normal vectors.
        scatter = found["spread_rest"] / law.sigma**2
        error = scatter * math.sqrt(2 / (plan.sweep_batch * 31 * (d - law.n_patterns)))
        rows.append({
            "sampler": sampler, "d": d, "n_calls": n_calls, "scatter": Estimate(scatter, error),
            "predicted": end.moments["spread_rest"] / law.sigma**2,
            "sliced": found["sliced"] / floor[d],
        })  # fmt: skip
    return pd.DataFrame(rows)


def _stream(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(seed, stream))
