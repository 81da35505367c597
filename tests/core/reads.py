"""Finds where numbers are read from tensors, which makes the processor wait for an accelerator."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Reads(TorchDispatchMode):
    """Counts what would make the processor wait for an accelerator."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in ("local_scalar", "is_nonzero", "aten.equal")):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))
