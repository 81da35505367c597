"""The excess on a net of queries and its gradient in the weight, as one compiled function.

A net that is enough for a descent has some hundred queries, and the expansion and its backward pass
are a thousand operations on it, which PyTorch takes longer to start than to do. Compiled they are a
few loops over the queries. Compiling takes some ten seconds and needs a C++ compiler.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.risks.expansion import expand
from gmmtf.risks.head import PLAIN, HeadScalars, output, scores_at
from gmmtf.risks.queries import Queries

Gradients = tuple[Tensor, Tensor]


@checked
def compiled_excess(
    queries: Queries,
    head: HeadScalars = PLAIN,
    *,
    backend: str | Callable[..., object] = "inductor",
) -> Callable[[Tensor, Tensor], tuple[Gradients, Tensor]]:
    """Compile the excess of the expansion on a net, and its gradient.

    Nets of one size of one law share the code.

    Parameters
    ----------
    queries, head
        As in :func:`gmmtf.risks.risk.squared_error`.
    backend
        Of ``torch.compile``.

    Returns
    -------
    Callable
        From G ``[M, M]`` and κ, float64, to the gradients in both and the excess. Nothing is
        checked; where the weight is too large the numbers are not finite.
    """
    # Computed here: torch.compile cannot trace the lock of a cached property.
    _ = queries.reach, queries.factor
    unit = torch.ones((), dtype=torch.float64, device="cpu")
    scale = ReducedWeight(queries.level.signal.new_zeros(2 * (queries.mixture.n_patterns,)), unit)
    per_complement = scale.gamma(queries.mixture)
    compiled = torch.compile(_excess_and_gradients, backend=backend, dynamic=False, fullgraph=True)

    @torch.no_grad()
    def call(pattern: Tensor, complement: Tensor) -> tuple[Gradients, Tensor]:
        found: tuple[Gradients, Tensor] = compiled(
            pattern, complement, per_complement, queries, head
        )
        return found

    return call


def _excess_and_gradients(
    pattern: Tensor, complement: Tensor, per_complement: Tensor, queries: Queries, head: HeadScalars
) -> tuple[Gradients, Tensor]:
    def excess(pattern: Tensor, complement: Tensor) -> Tensor:
        seen = scores_at(pattern, complement * per_complement, queries)
        error = output(head, seen.tilt, queries)
        return (queries.factor * expand(seen, error, queries).square).mean()

    found: tuple[Gradients, Tensor] = torch.func.grad_and_value(excess, (0, 1))(pattern, complement)
    return found
