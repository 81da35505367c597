"""The entries of the benchmark: what is compared on every task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from gmmtf.arguments import checked, shown
from gmmtf.benchmark.averages import KernelAverage, LinearAttention
from gmmtf.benchmark.networks import (
    PlainTransformer,
    Preconditioned,
    TokenDiT,
    TokenMLP,
    UNet,
)
from gmmtf.benchmark.tasks import STEPS, TOKENS_PER_STEP, MixtureLaw
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.deeper import ManyHeads, TwoLayers
from gmmtf.denoisers.empirical import empirical_ideal
from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.denoisers.optimal import optimal_denoiser
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.moments import label_probabilities
from gmmtf.optimizer import resolve_lr
from gmmtf.randomness import derived_seed
from gmmtf.schedule import NoiseSchedule

Make = Callable[[MixtureLaw, NoiseSchedule, int], Denoiser]
"""``make(law, schedule, seed)``: a module with parameters is trained, all else is measured only."""


@dataclass(frozen=True)
class Entry:
    """A denoiser for every task.

    Parameters
    ----------
    name
        As it is shown.
    about
        What it is, in a few words.
    make
        Makes the denoiser. It may use the law's d, N and moments; whether it uses more, as Bayes
        does, is what ``about`` should say.
    optimizer, lr
        Of :func:`gmmtf.train`; the rate of ``"adam"`` falls to zero as a cosine, after a warm-up of
        a twentieth of the steps. ``lr`` may be a function of the law; None as there.
    prediction
        What it returns, see :func:`gmmtf.parametrisation.as_denoiser`.
    any_length
        Whether it takes data points of another number of tokens than it was made for.
    """

    name: str
    about: str
    make: Make
    optimizer: str = "adam"
    lr: float | Callable[[MixtureLaw], float] | None = 1e-2
    prediction: str = "noise"
    any_length: bool = True


@checked
def isotropic(law: MixtureLaw) -> MultiTokenGMM:
    """The isotropic mixture of the same means: what a head's scale and start are made for."""
    if isinstance(law, MultiTokenGMM):
        return law
    variance = torch.einsum("c,cii->", law.weights, law.covariances) / law.dim
    return MultiTokenGMM.from_patterns(
        law.means, n_tokens=law.n_tokens, sigma=math.sqrt(float(variance)), weights=law.weights
    )


def _zero(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    return lambda x_t, t: torch.zeros_like(x_t)


def _linear(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    return LinearDenoiser(law, schedule)


def _token_bayes(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    if not isinstance(law, MultiTokenGMM):
        return optimal_denoiser(law, schedule)  # its tokens are independent
    alone = MultiTokenGMM.from_patterns(
        law.means, n_tokens=law.n_tokens, sigma=law.sigma, weights=label_probabilities(law)
    )
    return optimal_denoiser(alone, schedule)


def _ideal(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    n = STEPS * TOKENS_PER_STEP // law.n_tokens
    return empirical_ideal(law.sample(n, torch.Generator().manual_seed(seed)).x_0, schedule)


def _mean_square(law: MultiTokenGMM) -> float:
    """r², the mean square norm of the patterns."""
    return float(law.gram.diagonal().mean())


def _head(
    law: MixtureLaw, schedule: NoiseSchedule, seed: int, *, strength: float = 0.0, **options: Any
) -> AttentionDenoiser:
    """A head that starts at W = ``strength``/r² times I."""
    matched = isotropic(law)
    head = AttentionDenoiser(matched, schedule, **options)
    with torch.no_grad():
        head.weight.copy_(torch.eye(law.dim) * strength / _mean_square(matched))
    return head


def _uniform(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    return _head(law, schedule, seed).requires_grad_(False)


def _kernel(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    return KernelAverage(isotropic(law), schedule, KERNEL_WIDTH)


def _linear_attention(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    return LinearAttention(isotropic(law), schedule)


def _two_heads(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    heads = [_head(law, schedule, seed, strength=s, value=True) for s in (START, START / 5)]
    with torch.no_grad():
        for head, share in zip(heads, (0.85, 0.15), strict=True):
            assert head.value is not None  # it was asked for
            head.value.mul_(share)
    return ManyHeads(heads)


def _two_layers(law: MixtureLaw, schedule: NoiseSchedule, seed: int) -> Denoiser:
    return TwoLayers(*(_head(law, schedule, seed, strength=START) for _ in range(2)))


def _network(
    body: Callable[[int], nn.Module], law: MixtureLaw, schedule: NoiseSchedule, seed: int
) -> Denoiser:
    torch.manual_seed(derived_seed(seed, 3))
    return Preconditioned(body(law.dim), law, schedule)


def _deep_sets(dim: int) -> nn.Module:
    return TokenMLP(dim, pooled=True)


def _relative(rate: float) -> Callable[[MixtureLaw], float]:
    """A rate for W, in units of 1/r²."""
    return lambda law: rate / _mean_square(isotropic(law))


def _natural(law: MixtureLaw) -> float:
    """The step size of gradient descent on the head."""
    step = resolve_lr("gd", None, isotropic(law))
    assert step is not None  # gradient descent has one for any isotropic mixture
    return step


KERNEL_WIDTH = 0.5
"""Of the kernel average; like all rates it was chosen on the task ``few``, with another seed."""

START = 4.0
"""βr² at which heads start that would not leave W = 0, or would stay alike."""

_RATE = _relative(0.3)

_ENTRIES = (
    Entry("zero", "no denoising: it answers 0", _zero),
    Entry("linear", "the best linear filter of single tokens", _linear),
    Entry("token Bayes", "Bayes of single tokens; knows the law", _token_bayes),
    Entry("empirical ideal", "the optimum on the training data", _ideal, any_length=False),
    Entry("uniform attention", "the head at W = 0, a mean of all tokens", _uniform),
    Entry("kernel average", "weights by distance, nothing learned", _kernel),
    Entry(
        "linear attention",
        "a head without softmax, with a value matrix",
        _linear_attention,
        lr=_RATE,
    ),
    Entry("head", "a softmax head, our reading of the paper's", _head, optimizer="gd", lr=_natural),
    Entry("head, Adam", "the head, trained by Adam", _head, lr=_RATE),
    Entry(
        "head + tilt",
        "the head, the tilt subtracted",
        partial(_head, tilt_correction=True),
        lr=_RATE,
    ),
    Entry(
        "head + skip", "the head plus a multiple of the token", partial(_head, skip=True), lr=_RATE
    ),
    Entry("head + value", "the head with a value matrix", partial(_head, value=True), lr=_RATE),
    Entry("two heads", "the sum of two, with value matrices", _two_heads, lr=_RATE),
    Entry("two layers", "a head on the estimates of another", _two_layers, lr=_RATE),
    Entry("MLP", "a perceptron on single tokens", partial(_network, TokenMLP)),
    Entry("deep sets", "the MLP with a mean of all tokens a layer", partial(_network, _deep_sets)),
    Entry(
        "transformer",
        "two blocks of torch.nn.TransformerEncoder",
        partial(_network, PlainTransformer),
    ),
    Entry("DiT", "two blocks of a diffusion transformer", partial(_network, TokenDiT)),
    Entry("U-Net", "convolutions along the tokens, of diffusers", partial(_network, UNet)),
)

ENTRIES = {entry.name: entry for entry in _ENTRIES}
"""All entries by name."""


@checked
def entry(name: str) -> Entry:
    """Return an entry of the suite, or one's own.

    Parameters
    ----------
    name
        One of :data:`ENTRIES`, or ``"module:attribute"``, an :class:`Entry` or a function
        ``make(law, schedule, seed)`` that can be imported.

    Raises
    ------
    ValueError
        If there is none, or it is neither.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ValueError(
            f"entry: expected module:function, or one of {', '.join(ENTRIES)}, got {shown(name)}"
        )
    try:
        found = attrgetter(attribute)(import_module(module))
    except (ImportError, AttributeError) as error:
        raise ValueError(f"entry: cannot import {name!r}: {error}") from error
    if isinstance(found, Entry):
        return found
    if not callable(found):
        raise ValueError(f"entry: expected {name!r} to be a function or an Entry, got {found!r}")
    return Entry(name, found.__doc__ or "", found)
