"""The optimal denoiser of a finite set of points."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.tokens import flatten_tokens
from gmmtf.schedule import NoiseSchedule

_CHUNK_ELEMENTS = 2**22  # bounds the working memory of a denoiser to about 100 MB


class EmpiricalDenoiser:
    """E[ε | x_t] where a clean token is one of finitely many points.

    This is the minimiser of the DDPM objective on a training set, over all denoisers that look at
    one token at a time: a softmax over all points. Computed in float64.

    Parameters
    ----------
    points
        ``[n, d]``.
    weights
        Probability of each point, positive with sum 1, ``[n]``.

    Raises
    ------
    ValueError
        If shapes or weights are wrong.
    """

    @checked
    def __init__(self, points: Tensor, weights: Tensor, schedule: NoiseSchedule) -> None:
        if points.ndim != 2:
            raise ValueError(f"points: expected shape [n, d], got {list(points.shape)}")
        if weights.shape != points.shape[:1]:
            raise ValueError(f"weights: expected shape [{len(points)}], got {list(weights.shape)}")
        if not bool((weights > 0).all()) or abs(float(weights.sum()) - 1) > 1e-6:
            raise ValueError("weights: expected positive numbers with sum 1")
        self.points = points.detach().to(torch.float64, copy=True)
        self.log_weights = (weights.double() / weights.double().sum()).log()
        self.schedule = schedule
        self._half_squares = self.points.square().sum(1) / 2

    @checked
    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        flat, alpha_bar = flatten_tokens(x_t, t, self.schedule, self.points.shape[1])
        size = max(1, _CHUNK_ELEMENTS // len(self.points))
        parts = zip(flat.split(size), alpha_bar.split(size), strict=True)
        return torch.cat([self._estimate(x, a) for x, a in parts]).view(x_t.shape).to(x_t)

    def _estimate(self, x: Tensor, alpha_bar: Tensor) -> Tensor:
        points, signal = self.points.to(x), alpha_bar.sqrt()
        logits = signal * (x @ points.T) - alpha_bar * self._half_squares.to(x)
        logits = logits / (1 - alpha_bar) + self.log_weights.to(x)
        mean = torch.softmax(logits, dim=-1) @ points
        return (x - signal * mean) / (1 - alpha_bar).sqrt()


@checked
def empirical_ideal(x_0: Tensor, schedule: NoiseSchedule) -> Denoiser:
    """E[ε | X_t] where the data point is one of ``x_0`` ``[n, N, d]``, evenly likely.

    The minimiser of the DDPM objective on a training set over *all* denoisers: a softmax over whole
    data points. It can return nothing but mixtures of what it has seen.

    Raises
    ------
    ValueError
        If the shape is another, also when it is called with other data points.
    """
    if x_0.ndim != 3 or len(x_0) == 0:
        raise ValueError(
            f"x_0: expected at least one data point, [n, tokens, dim], got {list(x_0.shape)}"
        )
    _, n_tokens, dim = x_0.shape
    weights = torch.full((len(x_0),), 1 / len(x_0), dtype=torch.float64)
    whole = EmpiricalDenoiser(x_0.flatten(1), weights, schedule)

    @checked
    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        if x_t.shape[1:] != (n_tokens, dim):
            raise ValueError(
                f"x_t: expected data points [batch, {n_tokens}, {dim}], got {list(x_t.shape)}"
            )
        return whole(x_t.flatten(1)[:, None], t).view(x_t.shape)

    return denoise
