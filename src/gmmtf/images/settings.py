"""Settings of the image experiment, and the rates that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gmmtf.arguments import checked, count, fitted, positive

PRECISIONS = ("float32", "bfloat16")

_LEAST = {"steps": 1, "batch_size": 1, "record_every": 1, "warmup_steps": 0, "seed": 0}


@dataclass(frozen=True)
class TrainingSettings:
    """What a run depends on besides the data and the network; stored in its checkpoint.

    The matrices of the blocks are trained with Muon, everything else with AdamW, at one rate: it
    rises linearly over ``warmup_steps`` to ``lr`` and falls to zero as half a cosine.
    ``ema_decay`` belongs to the average of the weights that samples are drawn with. The squared
    error at time t has the weight 1 / max(ᾱ_t, ``weight_floor``); 1 gives DDPM's own objective,
    smaller values make high noise count for more. ``time_shape`` says which times are drawn more
    often, see `gmmtf.images.times`; (1, 1) is DDPM's uniform law. Neither changes the minimiser.
    ``precision`` is ``"float32"``, or ``"bfloat16"`` for matrix products in bfloat16 (GPUs).
    """

    steps: int = 2000
    batch_size: int = 64
    lr: float = 2.5e-3
    warmup_steps: int = 100
    weight_floor: float = 0.1
    time_shape: tuple[float, float] = (2.0, 2.5)
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    record_every: int = 500
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {PRECISIONS}, got {self.precision!r}")
        plain: dict[str, Any] = {
            name: count(name, getattr(self, name), least) for name, least in _LEAST.items()
        }
        plain |= {
            name: positive(name, getattr(self, name), 1e30)  # float32 holds it
            for name in ("lr", "clip_norm", "weight_floor")
        }
        if plain["warmup_steps"] > plain["steps"]:
            raise ValueError(f"warmup_steps: expected 0 to {self.steps}, got {self.warmup_steps}")
        if plain["weight_floor"] > 1:
            raise ValueError(f"weight_floor: expected a number in (0, 1], got {self.weight_floor}")
        shape = tuple(
            positive("time_shape", x)
            for x in fitted("time_shape", self.time_shape, Sequence[float])
        )  # JSON makes it a list
        if len(shape) != 2:
            raise ValueError(f"time_shape: expected two positive numbers, got {self.time_shape}")
        decay = fitted("ema_decay", self.ema_decay, float)
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay: expected a number in [0, 1), got {decay}")
        plain |= {"time_shape": shape, "ema_decay": decay}
        for name, value in plain.items():
            object.__setattr__(self, name, value)


@checked
def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Rate of the update that leads from ``step`` to ``step + 1``."""
    if step < settings.warmup_steps:
        return settings.lr * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * done))


@checked
def averaging_decay(step: int, settings: TrainingSettings) -> float:
    """Decay of the weights' average at the update number ``step`` (from 1).

    It rises to ``ema_decay`` so that the average soon forgets the initial weights.
    """
    return min(settings.ema_decay, step / (step + 9))
