"""Attention that is given instead of computed: the mechanism C6 tested by intervention.

The head subtracts an attention average from each token. Here the attention is replaced by another
one, and the risk of the result is known in closed form whenever the map does not depend on the
noise of the tokens that it averages.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gmmtf.arguments import checked, count
from gmmtf.laws.level import check_tokens, noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule


class GivenAttention:
    """The denoiser ``f_n = c (x_n - Σ_m A_nm x_m)`` with a given attention matrix A (C6).

    Parameters
    ----------
    mixture, schedule
        The data law, of which only d and σ are used, and the noise schedule.
    attention
        A, rows summing to one, ``[batch, tokens, tokens]``, or ``[1, tokens, tokens]`` for one map
        that serves all data points.

    Raises
    ------
    ValueError
        If the shape is wrong or a row does not sum to one.
    """

    @checked
    def __init__(self, mixture: MultiTokenGMM, schedule: NoiseSchedule, attention: Tensor) -> None:
        _check_maps(attention)
        self.mixture = mixture
        self.schedule = schedule
        self.attention = attention.detach().clone()

    @checked
    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``.

        Raises ``ValueError`` if shapes or times do not fit the map.
        """
        check_tokens(self.mixture, x_t, t)
        batch, tokens, _ = x_t.shape
        if self.attention.shape[1] != tokens or self.attention.shape[0] not in (1, batch):
            raise ValueError(
                f"x_t: expected {tuple(self.attention.shape[:2])} data points and tokens as in "
                f"the map, got {(batch, tokens)}"
            )
        level = noise_level(self.mixture, self.schedule, t).for_tokens(x_t)
        return level.gain * (x_t - self.attention.to(x_t) @ x_t)


@checked
def uniform_attention(n_tokens: int) -> Tensor:
    """Return the map of the untrained head, A = 1/N, float64 ``[1, N, N]``."""
    n_tokens = count("n_tokens", n_tokens, 1)
    return torch.full((1, n_tokens, n_tokens), 1 / n_tokens, dtype=torch.float64, device="cpu")


@checked
def same_pattern_attention(labels: Tensor) -> Tensor:
    """Return uniform attention to the tokens of the query's own pattern, itself included (C6).

    Parameters
    ----------
    labels
        Integers ``[batch, tokens]``.

    Returns
    -------
    Tensor
        Float64 ``[batch, tokens, tokens]``.

    Raises
    ------
    ValueError
        If ``labels`` are not integers of two dimensions.
    """
    _check_labels(labels)
    same = (labels[:, :, None] == labels[:, None, :]).double()
    return same / same.sum(-1, keepdim=True)


class MapNumbers(NamedTuple):
    """What the risk depends on, means over the queries of each data point, ``[batch]``.

    ``same``: attention to tokens of the query's pattern, itself included; ``own``: attention to
    itself, A_nn; ``concentration``: Σ_m A_nm², the inverse of the number of tokens averaged;
    ``mismatch``: ‖Σ_m A_nm e_{z_m} - e_{z_n}‖², the squared error of the averaged label.
    """

    same: Tensor
    own: Tensor
    concentration: Tensor
    mismatch: Tensor


@checked
def map_numbers(attention: Tensor, labels: Tensor) -> MapNumbers:
    """Measure attention maps ``[batch, N, N]`` of data points with labels ``[batch, N]``.

    Raises
    ------
    ValueError
        If the shapes do not fit, the labels are not integers or a row does not sum to one.
    """
    _check_maps(attention)
    _check_labels(labels)
    if attention.shape[:2] != labels.shape:
        raise ValueError(
            f"labels: expected shape {tuple(attention.shape[:2])}, got {tuple(labels.shape)}"
        )
    _, ranks = labels.unique(return_inverse=True)  # from 0 on, whatever the labels are
    truth = torch.nn.functional.one_hot(ranks).to(attention)
    averaged = attention @ truth
    return MapNumbers(
        same=averaged.gather(2, ranks[..., None])[..., 0].mean(1),
        own=attention.diagonal(dim1=1, dim2=2).mean(1),
        concentration=attention.square().sum(2).mean(1),
        mismatch=(averaged - truth).square().sum(2).mean(1),
    )


def _check_maps(attention: Tensor) -> None:
    if attention.ndim != 3 or attention.shape[1] != attention.shape[2]:
        raise ValueError(f"attention: expected shape [batch, N, N], got {tuple(attention.shape)}")
    if not bool(((attention.sum(2) - 1).abs() < 1e-3).all()):
        raise ValueError("attention: expected rows that sum to one")


def _check_labels(labels: Tensor) -> None:
    if labels.ndim != 2 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"labels: expected integers [batch, N], got {labels.dtype} {tuple(labels.shape)}"
        )
