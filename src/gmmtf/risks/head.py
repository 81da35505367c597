"""The head as the effective picture sees it: how its output depends on the attention average."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.risks.queries import Queries


@dataclass(frozen=True, eq=False)
class HeadScalars:
    """Options of the head that stay cheap: scalars on the patterns' span and on its complement.

    The head estimates √ᾱ m_n by ``V y_n + Θ x_n - θ τ² Wᵀx_n``, where y_n is the attention average,
    V acts as ``value_span`` on the patterns' span and as ``value_complement`` on the rest, Θ acts
    as ``skip_span`` and ``skip_complement``, and θ is ``tilt_correction``; what they do is in
    :prf:ref:`cor-app-corrected` and :prf:ref:`prop-app-value`. The defaults are the plain head.
    Entries may be tensors that require gradients.
    """

    value_span: float | Tensor = 1.0
    value_complement: float | Tensor = 1.0
    skip_span: float | Tensor = 0.0
    skip_complement: float | Tensor = 0.0
    tilt_correction: float | Tensor = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            number = float(value.detach() if isinstance(value, Tensor) else value)
            if not math.isfinite(number):
                raise ValueError(f"{name}: expected a finite number, got {number}")

    @property
    def is_plain(self) -> bool:
        """Whether this is the plain head."""
        ones = _is_number(1.0, self.value_span, self.value_complement)
        rest = self.skip_span, self.skip_complement, self.tilt_correction
        return ones and _is_number(0.0, *rest)


PLAIN = HeadScalars()
"""The plain head."""


class Scores(NamedTuple):
    """What the weight does to a query, in its M + 1 coordinates.

    ``tilt``: ν = Wᵀx_n ``[M + 1, Q]``; ``shifts``: b_k = ⟨ν, √ᾱ μ_k⟩, mean score of a token with
    label k, ``[M, Q]``; ``variance``: τ²‖ν‖², the variance of such scores, ``[Q]``; ``own``:
    x_nᵀWx_n, the score of the query with itself, ``[Q]``.
    """

    tilt: Tensor
    shifts: Tensor
    variance: Tensor
    own: Tensor


def scores(weight: ReducedWeight, queries: Queries) -> Scores:
    """Scores of the tokens seen from each query."""
    return scores_at(weight.pattern, weight.gamma(queries.mixture), queries)


def scores_at(pattern: Tensor, gamma: Tensor, queries: Queries) -> Scores:
    """Scores under the weight that is G on the patterns' span and γ on its complement."""
    size = queries.mixture.n_patterns
    span = pattern.T @ queries.token[:size]
    rest = gamma * queries.token[size:]
    tilt = torch.cat([span, rest])
    return Scores(
        tilt=tilt,
        shifts=queries.reach * span,
        variance=queries.level.variance * tilt.square().sum(0),
        own=(tilt * queries.token).sum(0),
    )


class Output(NamedTuple):
    """Error of the head as a function of the attention average y: ``V y + offset``.

    ``span``, ``rest``: V on the patterns' span and on its complement, scalars; ``offset``:
    ``[M + 1, Q]``; ``trace``: the squared entries of V summed over all d coordinates, a scalar;
    ``plain``: whether V is the identity.
    """

    span: Tensor
    rest: Tensor
    offset: Tensor
    trace: Tensor
    plain: bool

    def apply(self, x: Tensor) -> Tensor:
        """V x for vectors ``[..., M + 1, Q]``."""
        if self.plain:  # spares the fast path a third of its arithmetic
            return x
        return torch.cat([self.span * x[..., :-1, :], self.rest * x[..., -1:, :]], -2)


def output(head: HeadScalars, tilt: Tensor, queries: Queries) -> Output:
    """Error (estimate of √ᾱ m_n minus the target) in terms of the attention average."""
    size = queries.mixture.n_patterns
    span = torch.as_tensor(head.value_span, dtype=torch.float64, device="cpu")
    rest = torch.as_tensor(head.value_complement, dtype=torch.float64, device="cpu")
    offset = -queries.target
    if not _is_number(0.0, head.skip_span, head.skip_complement):
        skipped = [head.skip_span * queries.token[:-1], head.skip_complement * queries.token[-1:]]
        offset = offset + torch.cat(skipped)
    if not _is_number(0.0, head.tilt_correction):
        offset = offset - head.tilt_correction * queries.level.variance * tilt
    return Output(
        span=span,
        rest=rest,
        offset=offset,
        trace=size * span**2 + (queries.mixture.dim - size) * rest**2,
        plain=_is_number(1.0, head.value_span, head.value_complement),
    )


def _is_number(number: float, *values: float | Tensor) -> bool:
    """Whether all values are this number; a tensor may be learned and never counts."""
    return all(not isinstance(value, Tensor) and value == number for value in values)
