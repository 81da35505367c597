"""Checkpoints: tensors and JSON state in one safetensors file, written atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gmmtf.arguments import checked, plain_tensor
from gmmtf.atomic import replacing
from gmmtf.jsonvalues import encode

_STATE_KEY = "state"
_NAMES_KEY = "names"


@checked
def save(path: str | os.PathLike[str], *, tensors: dict[str, Tensor], state: Any) -> None:
    """Write ``tensors`` and the JSON-serialisable ``state`` to ``path``.

    The file appears whole or not at all: it is written beside its place and then renamed, so a
    process killed at any moment leaves the previous checkpoint readable. Numbers of numpy and torch
    in the state become plain ones.
    """
    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    on_cpu = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    metadata = {_STATE_KEY: json.dumps(state, default=encode), _NAMES_KEY: json.dumps([*on_cpu])}
    with replacing(path) as partial:
        save_file(on_cpu, partial, metadata=metadata)


@checked
def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], Any]:
    """Read what :func:`save` wrote: the tensors (on the CPU) and the state.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a folder, cannot be read as a checkpoint of this library, or misses a tensor.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise ValueError(f"{path}: expected a file, got a folder")
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        # Earlier releases of safetensors load to the default device.
        with torch.device("cpu"), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from error
    if _STATE_KEY not in metadata:
        raise ValueError(f"{path}: a safetensors file, but without a checkpoint's state")
    try:
        state, names = (json.loads(metadata.get(k, "[]")) for k in (_STATE_KEY, _NAMES_KEY))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: the checkpoint's state is not JSON ({error})") from error
    if missing := sorted(set(names) - set(tensors)):
        raise ValueError(f"{path}: the checkpoint misses the tensors {missing}")
    return tensors, state


@checked
def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors named ``optimizer.<parameter index>.<entry>``."""
    return {
        f"optimizer.{index}.{name}": plain_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if value is not None
    }


@checked
def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put the state packed by :func:`pack_optimizer` back; settings such as the rate stay."""
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            entries.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
    # Loading gives every entry the type of its parameter; some optimizers keep another.
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, stored in entries.items():
        state = optimizer.state[parameters[number]]
        state.update({name: state[name].to(value.dtype) for name, value in stored.items()})


@checked
def without_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, named without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
