"""What a law of data points is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked


class Tokens(NamedTuple):
    """A batch of data points drawn from a law.

    ``x_0``: clean tokens ``[batch, N, d]``; ``labels``: pattern or class of each token, long
    ``[batch, N]``; ``active``: which of them could occur in each data point, bool ``[batch, M]``.
    """

    x_0: Tensor
    labels: Tensor
    active: Tensor


@runtime_checkable
class Law(Protocol):
    """A law of data points of N tokens in R^d: whatever can draw them.

    :class:`~gmmtf.laws.mixture.MultiTokenGMM`, :class:`~gmmtf.laws.full.FullMixture` and
    :class:`~gmmtf.laws.pool.TokenLaw` are laws. Their optimal denoisers and risks are found by
    :func:`~gmmtf.denoisers.optimal.optimal_denoiser` and :func:`~gmmtf.risks.optimum.bayes_risk`.
    A law of your own joins them with a method ``denoiser(schedule)`` that returns its optimal
    denoiser, and may have a method ``bayes_risk(schedule, t=...)`` where its risk is known.
    """

    @property
    def dim(self) -> int:
        """d, the dimension of a token."""

    @property
    def n_tokens(self) -> int:
        """N, the number of tokens of a data point."""

    def sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tokens:
        """Draw ``batch_size`` data points on the generator's device."""


@checked
def fingerprint(law: Law) -> dict[str, Any]:
    """Describe a law in JSON values: two laws that differ have two descriptions.

    Holds the name of the class, d, N and, of every other public attribute, a plain value or the
    hash of an array. A law that is told apart by other things has a method ``fingerprint()``.
    """
    own = getattr(law, "fingerprint", None)
    content = own() if callable(own) else _public(law)
    return {"law": type(law).__name__, "dim": law.dim, "n_tokens": law.n_tokens} | content


@checked
def digest(values: Tensor) -> str:
    """Hash of a tensor, its shape and its type: any other value gives another digest."""
    array = values.detach().cpu().contiguous()
    kind = "" if array.dtype == torch.float64 else str(array.dtype)
    content = array.flatten().view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(f"{kind}{tuple(array.shape)}".encode() + content).hexdigest()


def _public(law: Law) -> dict[str, Any]:
    # What a dataclass computes and keeps (cached properties) is no part of what it was made from.
    names = getattr(type(law), "__dataclass_fields__", None) or vars(law)
    return {name: _plain(getattr(law, name)) for name in names if not name.startswith("_")}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist()) if value.ndim == 0 else digest(torch.from_numpy(value))
    if isinstance(value, Tensor):
        return _plain(value.item()) if value.ndim == 0 else digest(value)
    if isinstance(value, Sequence):
        return [_plain(each) for each in value]
    return repr(value)
