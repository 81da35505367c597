"""Settings of the image experiment, and the rates that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

PRECISIONS = ("float32", "bfloat16")


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
        for name in ("steps", "batch_size", "record_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a positive number, got {value}")
        if not 0 <= self.warmup_steps <= self.steps:
            raise ValueError(
                f"warmup_steps: expected 0 to steps = {self.steps}, got {self.warmup_steps}"
            )
        if not 0 < self.weight_floor <= 1:
            raise ValueError(f"weight_floor: expected a number in (0, 1], got {self.weight_floor}")
        if len(self.time_shape) != 2 or not all(0 < x < math.inf for x in self.time_shape):
            raise ValueError(f"time_shape: expected two positive numbers, got {self.time_shape}")
        object.__setattr__(self, "time_shape", tuple(self.time_shape))  # JSON makes it a list
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay: expected a number in [0, 1), got {self.ema_decay}")


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Rate of the update that leads from ``step`` to ``step + 1``."""
    if step < settings.warmup_steps:
        return settings.lr * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * done))


def averaging_decay(step: int, settings: TrainingSettings) -> float:
    """Decay of the weights' average at the update number ``step`` (from 1).

    It rises to ``ema_decay`` so that the average soon forgets the initial weights.
    """
    return min(settings.ema_decay, step / (step + 9))
