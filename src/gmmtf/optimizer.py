"""Optimizers by name, class or callable, and the step sizes that they start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from gmmtf.arguments import checked, positive
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.first_step import natural_step_size

Optimizer = str | Callable[..., torch.optim.Optimizer]
"""``"gd"``, ``"adam"``, a class of ``torch.optim``, or a callable that makes an optimizer.

A class or a callable is called as ``f(parameters, lr=lr)``, or ``f(parameters)`` if ``lr`` is None.
"""

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "gd": torch.optim.SGD,
    "adam": torch.optim.Adam,
}


LARGEST_LR = 3e38
"""Step sizes are at most this, which float32 holds."""


@checked
def make_optimizer(
    optimizer: Optimizer, parameters: Iterable[Tensor], lr: float | None
) -> torch.optim.Optimizer:
    """Make the optimizer of some parameters; ``lr`` as :func:`resolve_lr` returned it."""
    lr = resolve_lr(optimizer, lr) if lr is not None or isinstance(optimizer, str) else None
    make = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    return make(parameters) if lr is None else make(parameters, lr=lr)


@checked
def resolve_lr(
    optimizer: Optimizer, lr: float | None, law: MultiTokenGMM | None = None
) -> float | None:
    """Check optimizer and step size, and fill in the step size of a named optimizer.

    It is :func:`~gmmtf.risks.first_step.natural_step_size` for ``"gd"``, smaller for patterns that
    are not orthogonal with equal norms, and 0.1/r² for ``"adam"``, with r² the mean square norm of
    the patterns. A class or a callable brings its own.

    Raises
    ------
    ValueError
        If the optimizer is not known, the step size is not a finite positive number, or it is None
        where there is no default.
    """
    if not (optimizer in OPTIMIZERS if isinstance(optimizer, str) else callable(optimizer)):
        raise ValueError(
            f"optimizer: expected {sorted(OPTIMIZERS)}, a class or a callable, got {optimizer!r}"
        )
    if lr is None and not isinstance(optimizer, str):
        return None
    if lr is None and law is not None:
        square = float(law.gram.diagonal().mean())
        return _stable_step_size(law) if optimizer == "gd" else 0.1 / square
    if (step := positive("lr", lr)) > LARGEST_LR:
        raise ValueError(f"lr: expected a number that float32 holds, got {step:g}")
    return step


def _stable_step_size(mixture: MultiTokenGMM) -> float:
    """Natural step size, times the curvature that it stands for over that of the patterns.

    At W = 0 the risk bends along W as tr(W C² Wᵀ S), with C the covariance and S the second moment
    of the patterns. All their eigenvalues are r²/M for orthogonal patterns, up to the mean in C;
    others have larger ones, with which the same step would raise the risk.
    """
    step = natural_step_size(mixture)
    try:
        mixture.require_equal_orthogonal("the natural step size")
    except ValueError:
        even = float(mixture.gram.diagonal().mean()) / mixture.n_patterns
        centred = mixture.means - mixture.means.mean(0)
        spread, moment = (
            float(torch.linalg.matrix_norm(x, 2)) ** 2 / mixture.n_patterns
            for x in (centred, mixture.means)
        )
        return step * even**3 / (max(spread, even) ** 2 * max(moment, even))
    return step
