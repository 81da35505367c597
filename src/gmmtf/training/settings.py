"""Settings of a training run, and their defaults."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.first_step import natural_step_size

OPTIMIZERS = {"gd": torch.optim.SGD, "adam": torch.optim.Adam}
TARGETS = ("noise", "bayes")


@dataclass(frozen=True)
class Settings:
    """What a run depends on besides the data law; stored in its checkpoint.

    ``target``: ``"noise"`` regresses on the injected noise, which is the DDPM objective;
    ``"bayes"`` on its conditional mean ε^B, which has the same expected gradient and less variance.
    """

    seed: int = 0
    optimizer: str = "gd"
    lr: float | None = None
    batch_size: int = 32
    target: str = "noise"
    record_every: int | None = None
    eval_samples: int = 256


def resolve(settings: dict[str, Any], mixture: MultiTokenGMM, steps: int) -> Settings:
    """Check settings and fill in the defaults that depend on the mixture or the run's length.

    Raises
    ------
    ValueError
        If a value is out of range.
    """
    chosen = Settings(**settings)
    _check_count("steps", steps, 1)
    _check_count("batch_size", chosen.batch_size, 1)
    _check_count("eval_samples", chosen.eval_samples, 2)
    if chosen.optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected {sorted(OPTIMIZERS)}, got {chosen.optimizer!r}")
    if chosen.target not in TARGETS:
        raise ValueError(f"target: expected one of {TARGETS}, got {chosen.target!r}")
    lr = chosen.lr
    if lr is None:
        square = float(mixture.gram.diagonal().mean())
        lr = natural_step_size(mixture) if chosen.optimizer == "gd" else 0.1 / square
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr: expected a finite positive number, got {lr}")
    every = chosen.record_every if chosen.record_every is not None else max(1, steps // 30)
    _check_count("record_every", every, 1)
    return Settings(**{**asdict(chosen), "lr": lr, "record_every": every})


def _check_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r}")
