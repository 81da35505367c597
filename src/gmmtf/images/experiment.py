"""Training the image transformer on real digits, one of them rare (in the manner of F3 and F5)."""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf import checkpoint
from gmmtf.images.muon import Muon
from gmmtf.images.transformer import DiT
from gmmtf.noise import standard_normal
from gmmtf.objective import stratified_times
from gmmtf.progress import progress


@dataclass(frozen=True)
class TrainingSettings:
    """What a run depends on besides the data and the network; stored in its checkpoint.

    The matrices of the blocks are trained with Muon, everything else with Adam, at one rate: it
    rises linearly over ``warmup_steps`` to ``lr`` and falls to zero as half a cosine.
    ``ema_decay`` belongs to the average of the weights that samples are drawn with. The squared
    error at time t has the weight 1 / max(ᾱ_t, ``weight_floor``); 1 gives DDPM's own objective,
    smaller values make high noise count for more. No weight changes the minimiser at any t.
    """

    steps: int = 2000
    batch_size: int = 64
    lr: float = 4e-3
    warmup_steps: int = 100
    weight_floor: float = 0.1
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    record_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
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
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay: expected a number in [0, 1), got {self.ema_decay}")


@dataclass(frozen=True)
class Record:
    """State of a run at ``step``.

    ``loss`` is DDPM's loss per coordinate, without the weights, averaged over the steps since the
    record before.
    """

    step: int
    loss: float


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


class Training:
    """One run of the image experiment.

    Parameters
    ----------
    model
        Trained in place, on its device, with the schedule that it holds.
    x_0
        Clean tokens ``[n, tokens, dim]`` on the CPU.
    labels
        Class indices ``[n]``, or None for a model without classes.
    settings
        The run.
    checkpoint_path
        Where to keep a checkpoint, written at every record. If the file exists the run is resumed
        from it: its records are yielded again first, and on a CPU what follows is bit-identical to
        the uninterrupted run.

    Raises
    ------
    ValueError
        Before any work, if shapes do not fit, or the checkpoint belongs to another run.

    Notes
    -----
    Random numbers are drawn on the CPU, so a run sees the same data and noise on every device.
    ``averaged`` is the model with averaged weights, the one to sample from.
    """

    def __init__(
        self,
        model: DiT,
        x_0: Tensor,
        labels: Tensor | None,
        settings: TrainingSettings,
        checkpoint_path: str | os.PathLike[str] | None = None,
    ) -> None:
        if x_0.ndim != 3 or len(x_0) == 0:
            raise ValueError(f"x_0: expected shape [n, tokens, dim], got {list(x_0.shape)}")
        if labels is not None and labels.shape != x_0.shape[:1]:
            raise ValueError(f"labels: expected shape [{len(x_0)}], got {list(labels.shape)}")
        self.model = model
        self.averaged = copy.deepcopy(model).requires_grad_(False)
        self.settings = settings
        self.step = 0
        self._x_0 = x_0
        self._labels = labels
        self._device = next(model.parameters()).device
        matrices = [w for name, w in model.blocks.named_parameters() if _is_hidden_matrix(name, w)]
        taken = {id(weight) for weight in matrices}
        others = [weight for weight in model.parameters() if id(weight) not in taken]
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(matrices, settings.lr),
            "adam": torch.optim.Adam(others, settings.lr, betas=(0.9, 0.99)),
        }
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._path = None if checkpoint_path is None else Path(checkpoint_path)
        self._records: list[Record] = []
        if self._path is not None and self._path.exists():
            self._resume(self._path)

    def records(self) -> Iterator[Record]:
        """Train to the last step, yielding a record every ``record_every`` steps and at the end.

        Raises
        ------
        FloatingPointError
            If the loss or its gradient is no longer finite; the last checkpoint is kept.
        """
        yield from list(self._records)
        losses = []
        steps = range(self.step, self.settings.steps)
        for step in progress(steps, "training", self.settings.steps, self.step):
            losses.append(self._update())
            self.step = step + 1
            if self.step % self.settings.record_every == 0 or self.step == self.settings.steps:
                self._records.append(Record(self.step, sum(losses) / len(losses)))
                losses = []
                self._save()
                yield self._records[-1]

    def _update(self) -> float:
        """Take one step on a random batch, and return its unweighted loss."""
        size = self.settings.batch_size
        chosen = torch.randint(len(self._x_0), (size,), generator=self._generator)
        x_0 = self._x_0[chosen].to(self._device)
        labels = None if self._labels is None else self._labels[chosen].to(self._device)
        t = stratified_times(self.model.schedule, size, self._generator).to(self._device)
        noise = standard_normal(x_0.shape, self._generator, x_0.dtype).to(self._device)
        x_t = self.model.schedule.add_noise(x_0, t, noise)
        errors = (self.model(x_t, t, labels) - noise).square().flatten(1).mean(1)
        floor = self.settings.weight_floor
        loss = (errors / self.model.schedule.alpha_bar(t).clamp(min=floor).to(errors)).mean()
        self.model.zero_grad()
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        value = float(errors.detach().mean())
        if not math.isfinite(value) or not bool(torch.isfinite(norm)):
            raise FloatingPointError(
                f"the loss is {value} and its gradient's norm {float(norm)} at step {self.step}; "
                "the last checkpoint is kept. "
                f"A smaller rate than lr={self.settings.lr:.3g} may help"
            )
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.step, self.settings)
            optimizer.step()
        update_average(self.averaged, self.model, averaging_decay(self.step + 1, self.settings))
        return value

    def _save(self) -> None:
        if self._path is None:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"averaged.{k}": value for k, value in self.averaged.state_dict().items()}
        for name, optimizer in self._optimizers.items():
            packed = checkpoint.pack_optimizer(optimizer)
            tensors |= {f"{name}.{key}": value for key, value in packed.items()}
        tensors["generator"] = self._generator.get_state()
        state = {
            "run": self._identity(),
            "step": self.step,
            "records": [asdict(record) for record in self._records],
        }
        checkpoint.save(self._path, tensors=tensors, state=state)

    def _resume(self, path: Path) -> None:
        tensors, state = checkpoint.load(path)
        for name, wanted in self._identity().items():
            found = state.get("run", {}).get(name)
            if found != wanted:
                raise ValueError(
                    f"checkpoint_path: {path} belongs to a run with {name} = {found}, "
                    f"this run has {wanted}"
                )
        for prefix, module in (("model.", self.model), ("averaged.", self.averaged)):
            module.load_state_dict(checkpoint.without_prefix(tensors, prefix))
        for name, optimizer in self._optimizers.items():
            checkpoint.unpack_optimizer(optimizer, checkpoint.without_prefix(tensors, f"{name}."))
        self._generator.set_state(tensors["generator"])
        self._records = [Record(**stored) for stored in state["records"]]
        self.step = state["step"]

    def _identity(self) -> dict[str, Any]:
        """Return what must agree between a checkpoint and the run that resumes from it."""
        data = hashlib.sha256(self._x_0.contiguous().numpy().tobytes())
        if self._labels is not None:
            data.update(self._labels.contiguous().numpy().tobytes())
        return {
            **asdict(self.settings),
            "network": asdict(self.model.settings),
            "schedule": [self.model.schedule.n_steps, float(self.model.schedule.betas.sum())],
            "data": data.hexdigest(),
        }


def _is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether a parameter of a block maps tokens to tokens; the modulation sees conditions."""
    return weight.ndim == 2 and "modulation" not in name


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's: a ← decay · a + (1 - decay) · w."""
    for average, weight in zip(averaged.parameters(), model.parameters(), strict=True):
        average.lerp_(weight, 1 - decay)
