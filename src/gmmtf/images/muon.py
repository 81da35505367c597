"""Muon: gradient descent for the matrices of a transformer, with orthogonalised steps.

After Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks". On the small
image transformer it needs about half the steps that Adam needs. PyTorch's own version computes in
bfloat16, which is slow on many processors; this one stays in the type of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf.arguments import checked, count, positive, shown

# Coefficients of an odd polynomial whose iteration drives singular values from (0, 1] towards 1.
QUINTIC = (3.4445, -4.7750, 2.0315)


@checked
def orthogonalise(matrix: Tensor, n_iterations: int = 5) -> Tensor:
    """Replace the singular values of a matrix by numbers near 1 and keep its singular vectors.

    Parameters
    ----------
    matrix
        ``[rows, columns]``, floating point.
    n_iterations
        Five bring all but very small singular values into about 0.7 to 1.2.

    Returns
    -------
    Tensor
        Of the same shape; zero if the matrix is zero.

    Raises
    ------
    ValueError
        If ``matrix`` has not two axes.
    """
    if matrix.ndim != 2 or not matrix.is_floating_point():
        raise ValueError(f"matrix: expected two axes, floating point, got {shown(matrix)}")
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.mT if tall else matrix
    x = x / torch.linalg.matrix_norm(x).clamp(min=1e-30)
    a, b, c = QUINTIC
    for _ in range(count("n_iterations", n_iterations, 0)):
        gram = x @ x.T
        even = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, even, x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is orthogonalised, scaled to a root mean square of about ``lr``.

    Parameters
    ----------
    params
        Matrices.
    lr
        Size of a step; comparable with Adam's.
    momentum
        Decay of the average of gradients (with Nesterov's look-ahead).

    Raises
    ------
    ValueError
        If a parameter is no matrix, or an argument is out of range.
    """

    @checked
    def __init__(
        self, params: Iterable[nn.Parameter], lr: float = 4e-3, momentum: float = 0.95
    ) -> None:
        lr = positive("lr", lr)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: expected a number in [0, 1), got {momentum}")
        params = list(params)
        if not params:
            raise ValueError("params: expected at least one matrix, got none")
        super().__init__(params, {"lr": lr, "momentum": momentum})
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.ndim != 2:
                    raise ValueError(f"params: expected matrices, got shape {list(weight.shape)}")

    @checked
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient; a closure is not supported."""
        if closure is not None:
            raise ValueError("closure: not supported")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(average, group["momentum"])
                # An orthogonal [m, n] matrix has a root mean square of max(m, n)^-½.
                size = group["lr"] * max(weight.shape) ** 0.5
                weight.add_(orthogonalise(ahead), alpha=-size)
