"""Choice of the device that a chapter or a training run uses."""

from __future__ import annotations

import torch


def resolve_device(name: str = "auto") -> torch.device:
    """The device called ``name``; ``"auto"`` is the GPU where there is one and the CPU elsewhere.

    Raises
    ------
    ValueError
        If ``name`` is no device, or one that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: expected 'auto', 'cpu' or 'cuda', got {name!r}") from error
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device: {name!r} is not available here; use 'auto' or 'cpu'") from error
    return device
