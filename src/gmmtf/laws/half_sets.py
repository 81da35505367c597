"""Sums over all active sets of a data point at once, several tokens at a time.

A set is a part p of the first half of the patterns and a part q of the second, and the sum of a
token's likelihoods over it is ``a_n(p) + b_n(q)``. The product of four tokens' sums is
``Σ_T Π_{n in T} a_n(p) Π_{n not in T} b_n(q)`` over the 16 subsets T of the four: for all pairs of
parts a matrix product with an inner dimension of 16. All numbers are positive, so no digit is lost.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_GROUP = 4  # tokens in one matrix product
_STEP = 4 * _GROUP  # tokens whose product has one logarithm

SMALLEST = 1e-290
"""A product of sums below it has lost digits, or all."""

_TINY = 1e-305  # below every factor of a product that is not lost


class Block(NamedTuple):
    """The sets with equally many members in the first half: each part there with each other part.

    ``first``, ``second``: the parts as rows of zeros and ones, ``[p, M]`` and ``[q, M]``.
    """

    first: Tensor
    second: Tensor


def as_rows(sets: Tensor, like: Tensor) -> Tensor:
    """Sets as rows of zeros and ones, ``[sets, M]``, with M and the type of ``like``."""
    return like.new_zeros(len(sets), like.shape[-1]).scatter_(1, sets, 1.0)


@lru_cache(maxsize=4)
def all_sets(size: int, k: int) -> Tensor:
    """All sets of ``k`` of ``size`` patterns in lexicographic order, ``[C(size, k), k]``."""
    flat = itertools.chain.from_iterable(itertools.combinations(range(size), k))
    listed = np.fromiter(flat, dtype=np.int64, count=k * math.comb(size, k))
    return torch.from_numpy(listed).view(-1, k)


@lru_cache(maxsize=4)
def blocks(size: int, k: int) -> tuple[list[Block], Tensor]:
    """Split :func:`all_sets` into blocks, and where each set of the blocks stands among them."""
    sets, like = all_sets(size, k), torch.zeros(size, dtype=torch.float64, device="cpu")
    in_first = (sets < size // 2).sum(1)
    order = in_first.argsort(stable=True)
    counts, sizes = in_first.unique(return_counts=True)
    found = []
    for count, members in zip(counts.tolist(), sets[order].split(sizes.tolist()), strict=True):
        q = int((members[:, :count] == members[0, :count]).all(1).sum())
        first, second = members[::q, :count], members[:q, count:]
        found.append(Block(as_rows(first, like), as_rows(second, like)))
    return found, order


def log_evidence(likelihood: Tensor, parts: list[Block], chunk: int) -> tuple[Tensor, Tensor]:
    """Σ_n log Σ_{u in S} φ_u of likelihoods ``[batch, N, M]``, ``[batch, sets]``; which are lost.

    The value of a lost one is an upper bound. ``chunk`` bounds the elements of a matrix.
    """
    evidence, lost = [], []
    for block in parts:
        logs, below = [], []
        for tokens in _chunks(likelihood, block, chunk):
            _, _, products = _products(tokens, block)
            four = products.unflatten(1, (-1, _STEP // _GROUP)).unbind(2)
            product = (four[0] * four[1]).mul_(four[2] * four[3]).flatten(2)
            below.append((product < SMALLEST).any(1))
            logs.append(product.clamp_(min=SMALLEST).log_().sum(1))
        evidence.append(torch.stack(logs).sum(0))
        lost.append(torch.stack(below).any(0))
    return torch.cat(evidence, 1), torch.cat(lost, 1)


def mean_shares(likelihood: Tensor, parts: list[Block], weights: Tensor, chunk: int) -> Tensor:
    """Σ_S w_S [u in S] φ_u / Σ_{v in S} φ_v of every token, ``[batch, N, M]``.

    ``weights``: ``[batch, sets]``, zero for a set that is lost.
    """
    result = torch.zeros_like(likelihood)
    sizes = [len(block.first) * len(block.second) for block in parts]
    for block, weight in zip(parts, weights.split(sizes, 1), strict=True):
        weight = weight.reshape(len(weight), 1, len(block.first), len(block.second))
        slopes = []
        for tokens in _chunks(likelihood, block, chunk):
            first, second, products = _products(tokens, block)
            share = torch.div(weight, products.clamp_(min=_TINY), out=products)
            slope = _slopes(first, second @ share.mT, tokens, block.first, within=True)
            slopes.append(
                slope + _slopes(second, first @ share, tokens, block.second, within=False)
            )
        result += torch.cat(slopes, 1)[:, : result.shape[1]]
    return result.mul_(likelihood)


def _chunks(likelihood: Tensor, block: Block, chunk: int) -> list[Tensor]:
    """Tokens in parts of a multiple of 16, filled up with tokens whose sum over a set is one."""
    batch, tokens, _ = likelihood.shape
    size = int(block.first[0].sum() + block.second[0].sum())
    filled = torch.nn.functional.pad(likelihood, (0, 0, 0, -tokens % _STEP), value=1 / size)
    steps = chunk * _GROUP // (batch * len(block.first) * len(block.second) * _STEP)
    return list(filled.split(max(1, steps) * _STEP, 1))


def _products(tokens: Tensor, block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Products over T of first parts' sums ``[batch, groups, 16, p]``, over the rest, and over all.

    Those over the rest are of second parts' sums, the last of all sets', ``[..., p, q]``.
    """
    first = _over_subsets(tokens @ block.first.T, within=True)
    second = _over_subsets(tokens @ block.second.T, within=False)
    return first, second, first.mT @ second


def _over_subsets(sums: Tensor, *, within: bool) -> Tensor:
    """Products of a part's sums over the tokens in each subset T of a group, or those not in T."""
    groups = sums.unflatten(1, (-1, _GROUP))
    products = torch.ones_like(groups[:, :, :1])
    for n in range(_GROUP):
        more = products * groups[:, :, n : n + 1]
        products = torch.cat([products, more] if within else [more, products], 2)
    return products


def _slopes(
    products: Tensor, slopes: Tensor, tokens: Tensor, part: Tensor, *, within: bool
) -> Tensor:
    """Derivative by each token's likelihoods ``[batch, tokens, M]``, from that by the products."""
    subsets = torch.arange(2**_GROUP, device=tokens.device)
    holds = (subsets >> torch.arange(_GROUP, device=tokens.device)[:, None]) & 1 == int(within)
    by_sum = (holds.to(tokens) @ (products * slopes)).flatten(1, 2)
    return by_sum.div_((tokens @ part.T).clamp_(min=_TINY)) @ part
