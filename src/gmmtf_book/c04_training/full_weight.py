"""What is measured on the head with the full weight: its first step, and what leaves the family."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, BayesDenoiser, Estimate, MultiTokenGMM, ReducedWeight
from gmmtf.arguments import count
from gmmtf.randomness import standard_normal
from gmmtf.schedule import stratified_times
from gmmtf_book.c04_training.plan import SCHEDULE


def growth_rates(
    mixture: MultiTokenGMM,
    *,
    n_batches: int,
    batch_size: int,
    seed: int,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> list[list[Estimate]]:
    """Measure μ_uᵀ(-∇L)μ_v at W = 0, ``[M][M]``: the rates at which products start to grow (F4).

    By automatic differentiation, averaged over two batches or more; per unit of step size.
    """
    count("n_batches", n_batches, 2)
    head = AttentionDenoiser(mixture, SCHEDULE, dtype=dtype).to(device)
    bayes = BayesDenoiser(mixture, SCHEDULE)
    generator = torch.Generator(device).manual_seed(seed)
    means = mixture.means.to(device, dtype)
    found = []
    for _ in range(n_batches):
        x_0 = mixture.sample(batch_size, generator, dtype).x_0
        t = stratified_times(SCHEDULE, batch_size, generator)
        x_t = SCHEDULE.add_noise(x_0, t, standard_normal(x_0.shape, generator, dtype))
        loss = (head(x_t, t) - bayes(x_t, t)).square().mean()
        (gradient,) = torch.autograd.grad(loss, head.weight)
        found.append(-(means @ gradient @ means.T).double().cpu())
    rates = torch.stack(found, dim=-1)
    return [[Estimate.from_samples(entry) for entry in row] for row in rates]


def outside_family(
    weights: Sequence[Tensor], mixture: MultiTokenGMM
) -> tuple[list[float], list[float]]:
    """Norm of the part outside the invariant family along a run, and what noise explains of it.

    ``weights``: W ``[d, d]``, from W = 0. Population gradient descent never leaves the family
    (theory result 2). If noise of the batches alone led out of it, and nothing pulled it back, the
    part outside would be a random walk, whose mean squared norm is the sum of the squared norms of
    its increments. The second list has the roots of these sums; norms well above them are a drift.
    """

    def outside(weight: Tensor) -> float:
        return ReducedWeight.from_full(weight, mixture)[1]

    squares = (outside(after - before) ** 2 for before, after in pairwise(weights))
    walk = [square**0.5 for square in accumulate(squares, initial=0.0)]
    return [outside(weight) for weight in weights], walk
