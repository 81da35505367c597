"""What a module is, in JSON values: its parts, their classes and their options."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf.arguments import checked
from gmmtf.laws.law import Law, digest, fingerprint
from gmmtf.schedule import NoiseSchedule


@checked
def architecture(module: nn.Module) -> dict[str, Any]:
    """Describe a module and all of its parts: two that compute differently have two descriptions.

    Each part, by its name, has its class, the shapes and types of its own parameters and buffers,
    and its public attributes: numbers and texts as they are, schedules and laws by their content,
    functions by their names. Values of parameters and buffers are no part of it.
    """
    parts = {name: _part(part) for name, part in module.named_modules()}
    described: dict[str, Any] = json.loads(json.dumps(parts))
    return described


def _part(part: nn.Module) -> dict[str, Any]:
    own = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
    options = {
        name: _plain(value)
        for name, value in vars(part).items()
        if not name.startswith("_") and name != "training"
    }
    shapes = {name: f"{list(value.shape)} {value.dtype}" for name, value in own}
    return {"class": type(part).__name__, "options": options, "tensors": shapes}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, NoiseSchedule):
        return digest(value.betas)
    if isinstance(value, Tensor):
        return digest(value)
    if isinstance(value, Law):
        return fingerprint(value)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, torch.dtype):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    # Neither a function nor another object is told by its repr, which may hold an address.
    return getattr(value, "__qualname__", type(value).__qualname__)
