"""The processes that share one training run: this one alone, or several through accelerate.

All processes draw the same batch from the same random numbers, and each works on its share of it.
Gradients are averaged, so that the run is that of one process up to rounding.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Workers(Protocol):
    """What a training run needs to know of the processes that share it."""

    rank: int
    count: int

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network in the form that averages gradients over the processes."""

    def backward(self, loss: Tensor) -> None:
        """Compute gradients of the mean of the processes' losses."""

    def mean(self, value: Tensor) -> Tensor:
        """Average a tensor over the processes."""


class Alone:
    """One process."""

    rank = 0
    count = 1

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network itself."""
        return network

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        torch.autograd.backward(loss)

    def mean(self, value: Tensor) -> Tensor:
        """Return the value itself."""
        return value


class Accelerated:
    """The processes that ``accelerate launch`` has started, one for each device.

    Raises
    ------
    ImportError
        If accelerate is not installed.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise ImportError(
                "several processes need accelerate: pip install 'gmmtf[distributed]'"
            ) from error
        self._accelerator: Any = Accelerator(cpu=cpu)
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wrap the network, which must be on this process's device."""
        wrapped: nn.Module = self._accelerator.prepare_model(network)
        return wrapped

    def backward(self, loss: Tensor) -> None:
        """Compute gradients; the wrapped network averages them."""
        self._accelerator.backward(loss)

    def mean(self, value: Tensor) -> Tensor:
        """Average over the processes."""
        averaged: Tensor = self._accelerator.reduce(value, reduction="mean")
        return averaged

    def finish(self) -> None:
        """Leave the group of processes."""
        self._accelerator.end_training()
