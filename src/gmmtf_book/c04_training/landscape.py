"""The landscape of the population objective: slices, curvature, and descents from many starts (C3).

Everything lives in the invariant family. Lengths are measured in query-key products, r²G and
r²γ√(d - M), so that numbers are comparable between laws of different size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gmmtf import curve, scaling
from gmmtf import descent as reduced
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.reduced_tokens import draw_tokens
from gmmtf.risks.risk import risk
from gmmtf.risks.simulation import squared_error
from gmmtf.schedule import NoiseSchedule, stratified_times
from gmmtf_book.c04_training.descent import Curve

STEP = 0.05
"""Step of the difference quotients of gradients, in units of query-key products."""


def weight_with(mixture: MultiTokenGMM, products: Tensor) -> ReducedWeight:
    """Return the weight with γ = 0 and these products r²G ``[M, M]``."""
    unit = mixture.require_equal_orthogonal("a weight of given products") ** 2
    return ReducedWeight(products / unit, torch.zeros((), dtype=torch.float64))


def symmetric_weight(mixture: MultiTokenGMM, same: float, different: float) -> ReducedWeight:
    """Return the weight with γ = 0, product ``same`` on and ``different`` off the diagonal.

    With uniform probabilities these weights and the identity on the complement make up the
    three-dimensional family that gradient descent from W = 0 never leaves (theory result 2).
    """
    size = mixture.n_patterns
    eye = torch.eye(size, dtype=torch.float64)
    return weight_with(mixture, same * eye + different * (1 - eye))


def starting_points(mixture: MultiTokenGMM, seed: int) -> dict[str, ReducedWeight]:
    """Weights from which to descend: no two of them would be found by the same argument.

    ``zero``; ``negative`` and ``different``: attention to all other patterns, by products of -5
    with the own pattern or of 5 with the others; ``permuted``: each pattern attends to the next
    one, with product 10; ``random 5``, ``random 10``: independent normal products with these
    standard deviations; ``large``: product 100 with the own pattern, so large that a noisy token
    attends to itself.
    """
    size = mixture.n_patterns
    eye = torch.eye(size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(size, size, dtype=torch.float64, generator=generator)
    products = {
        "zero": 0 * eye,
        "negative": -5 * eye,
        "different": 5 * (1 - eye),
        "permuted": 10 * eye.roll(1, 0),
        "random 5": 5 * normal,
        "random 10": 10 * normal,
        "large": 100 * eye,
    }
    return {name: weight_with(mixture, value) for name, value in products.items()}


def weight_at(path: Curve, mixture: MultiTokenGMM, index: int = -1) -> ReducedWeight:
    """Return the weight that a curve holds at one of its steps."""
    return curve.Curve.from_json(path).weight(mixture, index)


def best_end(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> dict[str, Any]:
    """Return excess risk, products and r²γ of the best weight of the family, by the expansion."""
    unit = mixture.require_equal_orthogonal("the best weight") ** 2
    best, _ = scaling.best_weight(mixture, schedule)
    excess = risk(best, mixture, schedule).excess_risk
    return {
        "excess": [excess.value, excess.standard_error],
        "products": (unit * best.pattern).tolist(),
        "complement": unit * float(best.gamma(mixture)),
    }


def risk_surface(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    same: Sequence[float],
    different: Sequence[float],
    *,
    n_samples: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> list[list[float]]:
    """Excess risk on the slice of :func:`symmetric_weight`, ``[different][same]``.

    All points share one set of data points, drawn in the exact reduced simulation: the surface is
    smooth, and holds where the expansion in 1/N does not.
    """
    generator = torch.Generator(device).manual_seed(seed)
    times = stratified_times(schedule, n_samples, generator)
    tokens = draw_tokens(mixture, schedule, times, generator)
    gain = noise_level(mixture, schedule, times).gain

    @torch.no_grad()
    def excess(weight: ReducedWeight) -> float:
        return float((gain**2 * squared_error(weight, mixture, tokens)).mean())

    return [[excess(symmetric_weight(mixture, x, y)) for x in same] for y in different]


def curvature(
    weight: ReducedWeight,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    n_points: int = 128,
    seed: int = 0,
) -> dict[str, Any]:
    """Gradient and Hessian of the objective on the family, per unit of product.

    The Hessian is the difference quotient of the gradients of the exact integral. A negative
    eigenvalue on the family is one of the full objective too, or bounds one from above.

    Returns
    -------
    dict
        ``gradient``: norm of the gradient; ``smallest``, ``largest``: extreme eigenvalues of the
        Hessian; ``direction``: r²G of the unit eigenvector of the smallest one, ``[M][M]``.
    """
    unit = mixture.require_equal_orthogonal("curvature") ** 2
    size = mixture.n_patterns

    def gradient(products: Tensor) -> Tensor:
        at = ReducedWeight(products[:-1].view(size, size) / unit, products[-1] / unit)
        found = reduced.gradient(
            at, mixture, schedule, method="integral", n_points=n_points, seed=seed
        )
        return torch.cat([found.pattern.flatten(), found.complement.view(1)]) / unit

    centre = unit * torch.cat([weight.pattern.flatten(), weight.complement.view(1)])
    shifts = STEP * torch.eye(len(centre), dtype=torch.float64)
    rows = [(gradient(centre + shift) - gradient(centre - shift)) / (2 * STEP) for shift in shifts]
    hessian = torch.stack(rows)
    values, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
    return {
        "gradient": float(gradient(centre).norm()),
        "smallest": float(values[0]),
        "largest": float(values[-1]),
        "direction": vectors[:-1, 0].view(size, size).tolist(),
    }


def risk_on_line(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    strengths: Sequence[float],
    *,
    n_points: int = 32,
    seed: int = 0,
) -> list[list[float]]:
    """Excess risk of W = βP with βr² in ``strengths``, exactly: [value, standard error] of each."""
    found = [
        risk(
            symmetric_weight(mixture, strength, 0.0),
            mixture,
            schedule,
            method="integral",
            n_points=n_points,
            seed=seed,
        ).excess_risk
        for strength in strengths
    ]
    return [[estimate.value, estimate.standard_error] for estimate in found]


def landscape_summary(values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of the landscape from the points ``start/<name>`` and ``curvature/<place>``.

    Returns
    -------
    dict
        ``end <name>``: excess risk at the end of the descent from each start over that from zero;
        ``check``: largest deviation of a simulated end from the computed one, in standard errors;
        ``smallest_at_zero``, ``smallest_at_end``: smallest eigenvalue of the Hessian at W = 0 and
        at the end of the descent from there, over the largest one at W = 0.
    """
    paths = {
        name.removeprefix("start/"): point
        for name, point in values.items()
        if name.startswith("start/")
    }
    level = paths["zero"]["excess"][-1][0]
    numbers = {f"end {name}": path["excess"][-1][0] / level for name, path in paths.items()}
    checks = [(path["excess"][-1], path["check"]) for path in paths.values()]
    numbers["check"] = max(
        abs(value - found) / (error**2 + spread**2) ** 0.5
        for (value, error), (found, spread) in checks
    )
    largest = values["curvature/zero"]["largest"]
    for place in ("zero", "end"):
        numbers[f"smallest_at_{place}"] = values[f"curvature/{place}"]["smallest"] / largest
    return numbers
