"""What a law of data points is."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Tokens(NamedTuple):
    """A batch of data points drawn from a mixture.

    ``x_0``: clean tokens ``[batch, N, d]``; ``labels``: pattern of each token, long ``[batch, N]``;
    ``active``: which patterns could occur in each data point, bool ``[batch, M]``.
    """

    x_0: Tensor
    labels: Tensor
    active: Tensor
