"""The landscape of the population objective: slices, curvature, and starts of descents (C3).

Everything lives in the invariant family. Lengths are measured in query-key products, r²G and
r²γ√(d - M), so that numbers are comparable between laws of different size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gmmtf import Estimate, MultiTokenGMM, ReducedWeight, risk
from gmmtf.curve import Curve
from gmmtf.descent import descend, gradient
from gmmtf_book.c13_landscape.plan import SCHEDULE


def weight_with(mixture: MultiTokenGMM, products: Tensor) -> ReducedWeight:
    """Return the weight with γ = 0 and these products r²G ``[M, M]``."""
    unit = mixture.require_equal_orthogonal("a weight of given products") ** 2
    return ReducedWeight(products / unit, torch.zeros((), dtype=torch.float64))


def symmetric_weight(mixture: MultiTokenGMM, same: float, different: float = 0) -> ReducedWeight:
    """Return the weight with γ = 0, product ``same`` on and ``different`` off the diagonal.

    With uniform probabilities these weights and the identity on the complement make up the
    three-dimensional family that gradient descent from W = 0 never leaves (theory result 2).
    """
    eye = torch.eye(mixture.n_patterns, dtype=torch.float64)
    return weight_with(mixture, same * eye + different * (1 - eye))


def starting_points(mixture: MultiTokenGMM) -> dict[str, ReducedWeight]:
    """Weights from which to descend: no two of them would be found by the same argument.

    ``negative`` and ``different`` attend to all patterns but the own, ``permuted`` to the next one;
    ``large`` is so large that a noisy token attends to itself.
    """
    eye = torch.eye(mixture.n_patterns, dtype=torch.float64)
    products = {
        "zero": 0 * eye,
        "negative": -5 * eye,
        "different": 5 * (1 - eye),
        "permuted": 10 * eye.roll(1, 0),
        "large": 100 * eye,
    }
    return {name: weight_with(mixture, value) for name, value in products.items()}


def random_point(mixture: MultiTokenGMM, size: float, seed: int) -> ReducedWeight:
    """Weight with γ = 0 and independent normal products of standard deviation ``size``."""
    generator = torch.Generator().manual_seed(seed)
    shape = (mixture.n_patterns, mixture.n_patterns)
    return weight_with(mixture, size * torch.randn(shape, dtype=torch.float64, generator=generator))


def descend_to(
    level: float,
    start: ReducedWeight,
    mixture: MultiTokenGMM,
    at: Sequence[int],
    *,
    least: int = 0,
    **options: Any,
) -> Curve:
    """Descend on the exact integral until the excess risk is at most a level.

    ``at``: the steps of the records; the last of them ends the descent in any case. ``least``: a
    step before which it does not end. ``options`` as of :func:`gmmtf.descend`.
    """
    records = []
    for record in descend(
        mixture, SCHEDULE, at[-1], method="integral", start=start, record_at=at, **options
    ):
        records.append(record)
        if record.step >= least and record.excess_risk.value <= level:
            break
    return Curve.from_records(records, mixture)


def excess_risk(
    mixture: MultiTokenGMM, same: float, different: float = 0, **options: Any
) -> Estimate:
    """Excess risk of a symmetric weight, by default W = βP; ``options`` of :func:`gmmtf.risk`."""
    weight = symmetric_weight(mixture, same, different)
    return risk(weight, mixture, SCHEDULE, **options).excess_risk


def curvature(
    weight: ReducedWeight, mixture: MultiTokenGMM, *, n_points: int = 128, seed: int = 0
) -> dict[str, Any]:
    """Gradient and Hessian of the objective on the family, per unit of product.

    ``gradient``: its norm; ``smallest``, ``largest``: extreme eigenvalues of the Hessian, which is
    the difference quotient of the gradients of the exact integral; ``direction``: r²G of the unit
    eigenvector of the smallest one, ``[M][M]``. A negative eigenvalue on the family is one of the
    full objective too, or bounds one from above.
    """
    unit = mixture.require_equal_orthogonal("curvature") ** 2
    size = mixture.n_patterns

    def slope(products: Tensor) -> Tensor:
        at = ReducedWeight(products[:-1].view(size, size) / unit, products[-1] / unit)
        options: dict[str, Any] = {"method": "integral", "n_points": n_points, "seed": seed}
        found = gradient(at, mixture, SCHEDULE, **options)
        return torch.cat([found.pattern.flatten(), found.complement.view(1)]) / unit

    centre = unit * torch.cat([weight.pattern.flatten(), weight.complement.view(1)])
    step = 0.05  # small beside the products of order one by which the objective changes
    shifts = step * torch.eye(len(centre), dtype=torch.float64)
    hessian = torch.stack([slope(centre + s) - slope(centre - s) for s in shifts]) / (2 * step)
    values, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
    return {
        "gradient": float(slope(centre).norm()),
        "smallest": float(values[0]),
        "largest": float(values[-1]),
        "direction": vectors[:-1, 0].view(size, size).tolist(),
    }
