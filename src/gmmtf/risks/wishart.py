"""Bartlett factors: Gram matrices of Gaussian vectors without the vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gmmtf.arguments import checked, count, shown
from gmmtf.randomness import generator_device, standard_normal


@checked
def bartlett_factor(
    batch_size: int, n_vectors: int, dim: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw L such that ``L Lᵀ`` has the law of ``Z Zᵀ``, Z standard normal ``[n_vectors, dim]``.

    Rotate the vectors one after the other: each keeps independent normal coordinates along the
    vectors before it, and the norm of the rest is chi-distributed with one degree of freedom less
    every time (Bartlett's decomposition of a Wishart matrix). When dim < n_vectors the directions
    run out after ``dim`` vectors and the rest have normal coordinates only, so one rule serves
    every ``dim``, 0 included.

    Returns
    -------
    Tensor
        Lower trapezoidal, float64 ``[batch_size, n_vectors, min(n_vectors, dim)]``.
    """
    sizes = {"batch_size": batch_size, "n_vectors": n_vectors, "dim": dim}
    batch_size, n_vectors, dim = (count(name, size, 0) for name, size in sizes.items())
    rank = min(n_vectors, dim)
    factor = standard_normal((batch_size, n_vectors, rank), generator, torch.float64).tril_(-1)
    degrees = dim - torch.arange(rank, dtype=torch.float64, device=factor.device)
    squares = 2 * standard_gamma((degrees / 2).expand(batch_size, rank), generator)
    factor.diagonal(dim1=1, dim2=2).copy_(squares.sqrt())
    return factor


@checked
def standard_gamma(shape: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw exact gamma variables of the given positive shape parameters and scale one.

    Rejection from a cubed normal (Marsaglia and Tsang 2000), which accepts more than 95 % of the
    proposals for shapes of at least one. The shape is first raised by one, and the draw multiplied
    by ``U^(1/shape)`` with uniform U, which lowers it again and makes small shapes as cheap.
    PyTorch's own gamma sampler takes no generator.

    Parameters
    ----------
    shape
        Float64, any shape, on the generator's device.
    """
    if shape.dtype != torch.float64 or not bool(((shape > 0) & (shape < math.inf)).all()):
        raise ValueError(f"shape: expected finite positive numbers in float64, got {shown(shape)}")
    device = generator_device(generator)
    alpha = shape.flatten()
    draws = torch.empty_like(alpha)
    pending = torch.arange(alpha.numel(), device=device)
    while len(pending):
        centre = alpha[pending] + 2 / 3
        normal = standard_normal(centre.shape, generator, torch.float64)
        cube = (1 + normal / (9 * centre).sqrt()) ** 3
        log_ratio = normal.square() / 2 + centre * (1 - cube + cube.clamp(min=1e-300).log())
        uniform = torch.rand(len(pending), generator=generator, dtype=torch.float64, device=device)
        accepted = (cube > 0) & (uniform.log() < log_ratio)
        draws[pending[accepted]] = (centre * cube)[accepted]
        pending = pending[~accepted]
    uniform = torch.rand(len(alpha), generator=generator, dtype=torch.float64, device=device)
    return (draws * uniform ** (1 / alpha)).view(shape.shape)
