"""Weights of trained image transformers: a small file that says what it holds, and the shipped one.

The file is safetensors with the weights as float16 and the schedule's betas; its metadata hold the
size of the network, the digits that its classes stand for, and whatever the writer adds about the
run. Files of an earlier form hold the number of steps only; all of them were made with DDPM's
linear schedule, and that is what they are read with.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gmmtf import checkpoint
from gmmtf.arguments import checked
from gmmtf.images.files import data_root, read_pinned
from gmmtf.images.mnist import check_digits
from gmmtf.images.pixels import check_finite
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.jsonvalues import decode, encode
from gmmtf.schedule import NoiseSchedule


class Pinned(NamedTuple):
    """A file in ``checkpoints/`` and the SHA-256 of its content."""

    name: str
    sha256: str


SHIPPED = {
    "digits": Pinned(
        "mnist_digits.safetensors",
        "b03b1c6de3ec1519e9aaf7c29ec1e0ca6eb5c6a5ee81abbeadf559649d7eab71",
    ),
    "guide": Pinned(
        "mnist_guide.safetensors",
        "d8034e518d06b4696a38501d3991e8a7da8d4c079b898c4d7ec853891b80711b",
    ),
    "ten": Pinned(
        "mnist_ten_digits.safetensors",
        "22a9267c314f6d3f9e2e313faab425f69aec7c5f75b8bfc2e96e49f398b16ea7",
    ),
    "ten-guide": Pinned(
        "mnist_ten_guide.safetensors",
        "0095fd2e20a0e262741245e65d2052aff35d16f2f15b31e969b4c7e282914021",
    ),
}
"""The generators of four digits, one of them rare, and of all ten, alike; with each the model
without classes that guides it."""


BETAS = "schedule.betas"


@dataclass(frozen=True)
class Trained:
    """A trained image transformer, the digits of its classes, and what is known of its run."""

    model: DiT
    digits: list[int]
    about: dict[str, Any]


@checked
def save_weights(
    path: str | os.PathLike[str], model: DiT, digits: Sequence[int], about: dict[str, Any]
) -> None:
    """Write the weights of a model as float16, atomically.

    Parameters
    ----------
    model
        Usually the one with averaged weights.
    digits
        What its classes stand for, in order; of a model without classes, what it was trained on.
    about
        JSON values to keep beside the weights.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite, also as float16, or a value is none of JSON; nothing is
        written then.
    """
    tensors = {name: weight.half() for name, weight in model.state_dict().items()}
    spoilt = [name for name, weight in tensors.items() if not bool(weight.isfinite().all())]
    if spoilt:
        raise ValueError(f"model: expected finite weights in float16, but {spoilt[0]} has others")
    tensors[BETAS] = model.schedule.betas
    try:
        encoded = encode(about)
    except (ValueError, TypeError) as error:
        raise ValueError(f"about: {error}") from error
    network = model.settings.named()
    state = {"network": network, "digits": check_digits(digits), "about": encoded}
    checkpoint.save(Path(path).expanduser(), tensors=tensors, state=state)


@checked
def load_weights(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Trained:
    """Read what :func:`save_weights` wrote, for inference in float32.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no weights of an image transformer, they do not fit the network that it
        names, or one is NaN or infinite.
    """
    tensors, state = checkpoint.load(Path(path).expanduser())
    missing = [k for k in ("network", "digits", "about") if k not in state]
    if BETAS not in tensors and "schedule_steps" not in state:
        missing.append(BETAS)
    if missing:
        raise ValueError(
            f"{path}: expected the weights of an image transformer, but it lacks "
            f"{', '.join(missing)}"
        )
    try:
        settings = TransformerSettings(**state["network"])
        digits, about = check_digits(state["digits"]), decode(state["about"])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected the weights of an image transformer: {error}"
        ) from error
    betas = tensors.pop(BETAS, None)
    for name, weight in tensors.items():
        check_finite(f"{path}: {name}", weight)
    with torch.device("cpu"):
        if betas is None:  # the earlier form
            betas = NoiseSchedule.linear(state["schedule_steps"]).betas
        model = DiT(settings, NoiseSchedule(betas)).float()
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{path}: the weights do not fit the network that the file names, {settings}: {error}"
        ) from error
    model = model.eval().requires_grad_(False).to(device)
    return Trained(model, digits, about)


@checked
def load_shipped(
    name: str = "digits", root: str | Path | None = None, device: torch.device | str = "cpu"
) -> Trained:
    """Load a network that is part of the project.

    Parameters
    ----------
    name
        One of `SHIPPED`.
    root
        Folder that holds ``checkpoints/``; see :func:`gmmtf.images.files.data_root`.
    device
        Where to put it.

    Raises
    ------
    ValueError
        If there is no such network.
    DataError
        If the weights are missing, or are not the ones that this version of the library pins.
    """
    if name not in SHIPPED:
        raise ValueError(f"name: expected one of {sorted(SHIPPED)}, got {name!r}")
    path = data_root(root) / "checkpoints" / SHIPPED[name].name
    origin = "Restore it from the repository; scripts/train_digits.py makes a new one"
    read_pinned(path, SHIPPED[name].sha256, origin)
    return load_weights(path, device)
