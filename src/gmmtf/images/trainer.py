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
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from gmmtf import checkpoint
from gmmtf.arguments import checked
from gmmtf.images.muon import Muon
from gmmtf.images.pixels import check_finite
from gmmtf.images.settings import TrainingSettings, averaging_decay, learning_rate
from gmmtf.images.times import TimeLaw
from gmmtf.images.transformer import DiT
from gmmtf.images.workers import Alone, Workers
from gmmtf.randomness import standard_normal

__all__ = ["Record", "Training", "TrainingSettings", "update_average"]

EXPLODED = 10.0
"""Loss at which a run stops: ten times that of estimating the noise by zero."""


@dataclass(frozen=True)
class Record:
    """State of a run at ``step``.

    ``loss`` is DDPM's loss per coordinate, uniform over the schedule and without weights, averaged
    over the steps since the record before.
    """

    step: int
    loss: float


class Training:
    """One run of the image experiment.

    Parameters
    ----------
    model
        Trained in place, on its device, with the schedule that it holds.
    x_0
        Clean tokens ``[n, tokens, dim]``, floating point, on the CPU.
    labels
        Class indices ``[n]``, or None for a model without classes.
    settings
        The run.
    checkpoint_path
        Where to keep a checkpoint, written at every record. If the file exists the run is resumed
        from it: its records are yielded again first, and on a CPU what follows is bit-identical to
        the uninterrupted run.
    weights
        How often each image is drawn, relative to the others ``[n]``; None for all alike.
    workers
        The processes that share the run; this one alone by default. The first of them writes the
        checkpoints.
    compile_network
        Whether to compile the network with ``torch.compile``; worth its minute on GPUs.

    Raises
    ------
    ValueError
        Before any work, if shapes do not fit, tokens are not finite, no file can be written at
        ``checkpoint_path``, the checkpoint is incomplete or belongs to another run (also to one of
        another length, as the rate falls over all steps), or the batch cannot be divided.

    Notes
    -----
    Random numbers are drawn on the CPU, so a run sees the same data and noise on every device.
    ``averaged`` is the model with averaged weights, the one to sample from.
    """

    @checked
    def __init__(
        self,
        model: DiT,
        x_0: Tensor,
        labels: Tensor | None,
        settings: TrainingSettings,
        checkpoint_path: str | os.PathLike[str] | None = None,
        *,
        weights: Tensor | None = None,
        workers: Workers | None = None,
        compile_network: bool = False,
    ) -> None:
        if x_0.ndim != 3 or len(x_0) == 0:
            raise ValueError(f"x_0: expected shape [n, tokens, dim], got {list(x_0.shape)}")
        if not x_0.is_floating_point():
            raise ValueError(f"x_0: expected floating point, got {x_0.dtype}")
        if labels is not None and labels.shape != x_0.shape[:1]:
            raise ValueError(f"labels: expected shape [{len(x_0)}], got {list(labels.shape)}")
        if weights is not None:
            weights = _check_weights(weights, len(x_0))
        self._workers: Workers = Alone() if workers is None else workers
        if settings.batch_size % self._workers.count != 0:
            raise ValueError(
                f"batch_size: expected a multiple of the {self._workers.count} processes, "
                f"got {settings.batch_size}"
            )
        self.model = model
        self.averaged = copy.deepcopy(model).requires_grad_(False)
        self.settings = settings
        self.step = 0
        self._x_0 = check_finite("x_0", x_0.detach().clone())  # the caller may change its own
        self._labels = None if labels is None else labels.detach().clone()
        self._weights = weights
        self._device = next(model.parameters()).device
        matrices = [w for name, w in model.blocks.named_parameters() if _is_hidden_matrix(name, w)]
        taken = {id(weight) for weight in matrices}
        others = [weight for weight in model.parameters() if id(weight) not in taken]
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(matrices, settings.lr),
            "adamw": torch.optim.AdamW(others, settings.lr, betas=(0.9, 0.99), fused=True),
        }
        self._times = TimeLaw(model.schedule.n_steps, settings.time_shape)
        self._generator = torch.Generator("cpu").manual_seed(settings.seed)
        self._path = None if checkpoint_path is None else _place(checkpoint_path)
        self._records: list[Record] = []
        if self._path is not None and self._path.exists():
            self._resume(self._path)
        network: Any = torch.compile(model, fullgraph=True) if compile_network else model
        self._network = self._workers.wrap(network)

    def records(self) -> Iterator[Record]:
        """Train to the last step, yielding a record every ``record_every`` steps and at the end.

        Raises
        ------
        FloatingPointError
            If the loss has exploded, or it or its gradient is no longer finite; the last
            checkpoint is kept.
        """
        yield from list(self._records)
        losses: list[float] = []
        steps = range(self.step, self.settings.steps)
        shown: dict[str, Any] = {
            "desc": "training",
            "total": self.settings.steps,
            "initial": self.step,
        }
        bar = tqdm(steps, **shown, unit=" images", unit_scale=self.settings.batch_size, leave=False)
        for step in bar:
            losses.append(self._update())
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            self.step = step + 1
            if self.step % self.settings.record_every == 0 or self.step == self.settings.steps:
                self._records.append(Record(self.step, sum(losses) / len(losses)))
                losses = []
                self._save()
                yield self._records[-1]

    def _update(self) -> float:
        """Take one step on a random batch, and return its unweighted loss."""
        x_0, labels, t, noise = self._batch()
        x_t = self.model.schedule.add_noise(x_0, t, noise)
        low = self.settings.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=low):
            predicted = self._network(x_t, t, labels)
        errors = (predicted.to(noise) - noise).square().flatten(1).mean(1)
        floor = self.settings.weight_floor
        loss = (errors / self.model.schedule.alpha_bar(t).clamp(min=floor).to(errors)).mean()
        self.model.zero_grad()
        self._workers.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        plain = (self._times.importance(t) * errors.detach()).mean()
        # Both at once: every number that is read makes the processor wait for a GPU.
        value: float
        value, steepness = torch.stack([self._workers.mean(plain), norm.to(plain)]).tolist()
        if not value < EXPLODED or not math.isfinite(steepness):
            raise FloatingPointError(
                f"the loss is {value} and its gradient's norm {steepness} at step {self.step}; "
                "the last checkpoint is kept. "
                f"A smaller rate than lr={self.settings.lr:.3g} may help"
            )
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.step, self.settings)
            optimizer.step()
        update_average(self.averaged, self.model, averaging_decay(self.step + 1, self.settings))
        return value

    def _batch(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Draw a batch; return this process's share: clean tokens, labels, times, noise."""
        size = self.settings.batch_size
        share = slice(self._workers.rank, None, self._workers.count)
        chosen = self._chosen(size)
        t = self._times.draw(size, self._generator)
        noise = standard_normal((size, *self._x_0.shape[1:]), self._generator, self._x_0.dtype)
        x_0 = self._x_0[chosen[share]].to(self._device)
        labels = None if self._labels is None else self._labels[chosen[share]].to(self._device)
        return x_0, labels, t[share].to(self._device), noise[share].to(self._device)

    def _chosen(self, size: int) -> Tensor:
        """Draw which images the batch consists of, with replacement."""
        if self._weights is None:
            return torch.randint(len(self._x_0), (size,), generator=self._generator, device="cpu")
        return torch.multinomial(self._weights, size, replacement=True, generator=self._generator)

    def _save(self) -> None:
        if self._path is None or self._workers.rank != 0:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"averaged.{k}": value for k, value in self.averaged.state_dict().items()}
        for name, optimizer in self._optimizers.items():
            with torch.device("cpu"):
                packed = checkpoint.pack_optimizer(optimizer)
            tensors |= {f"{name}.{key}": value for key, value in packed.items()}
        tensors["generator"] = self._generator.get_state()
        state = {
            "run": self._identity(),
            "step": self.step,
            "records": [asdict(record) for record in self._records],
            "tensors": sorted(tensors),
        }
        checkpoint.save(self._path, tensors=tensors, state=state)

    def _resume(self, path: Path) -> None:
        tensors, state = checkpoint.load(path)
        entries = {"run", "step", "records", "tensors"}
        if not isinstance(state, dict) or not entries <= set(state):
            raise ValueError(f"checkpoint_path: {path} is not a checkpoint of a training run")
        try:
            self._restore(path, tensors, state)
        except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            raise ValueError(f"checkpoint_path: {path} is damaged ({error})") from error

    def _restore(self, path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        if missing := sorted(set(state["tensors"]) - set(tensors)):
            raise ValueError(f"checkpoint_path: {path} lacks {', '.join(missing)}")
        for name, wanted in self._identity().items():
            found = state["run"].get(name)
            if found != wanted:
                short = len(f"{found}{wanted}") < 200  # the betas, for one, are not
                values = f" = {found}, this run has {wanted}" if short else " of another value"
                raise ValueError(f"checkpoint_path: {path} belongs to a run with {name}{values}")
        for prefix, module in (("model.", self.model), ("averaged.", self.averaged)):
            module.load_state_dict(checkpoint.without_prefix(tensors, prefix))
        for name, optimizer in self._optimizers.items():
            checkpoint.unpack_optimizer(optimizer, checkpoint.without_prefix(tensors, f"{name}."))
        self._generator.set_state(tensors["generator"])
        self._records = [Record(**stored) for stored in state["records"]]
        self.step = state["step"]

    def _identity(self) -> dict[str, Any]:
        """Return what must agree between a checkpoint and the run that resumes from it."""
        data = hashlib.sha256()
        for part in (self._x_0, self._labels, self._weights):
            if part is not None:
                data.update(f"{part.dtype} {list(part.shape)}".encode())
                data.update(part.contiguous().view(torch.uint8).numpy().data)
        return {
            **asdict(self.settings),
            "time_shape": list(self.settings.time_shape),
            "network": self.model.settings.named(),
            "architecture": _architecture(self.model),
            "schedule": self.model.schedule.betas.tolist(),
            "data": data.hexdigest(),
        }


def _check_weights(weights: Tensor, n: int) -> Tensor:
    """Return a copy of the weights of ``n`` images, in float64."""
    if weights.shape != (n,):
        raise ValueError(f"weights: expected shape [{n}], got {list(weights.shape)}")
    weights = check_finite("weights", weights.detach().double().clone())
    if float(weights.min()) < 0 or float(weights.max()) == 0:
        raise ValueError("weights: expected numbers from 0 on, not all 0")
    return weights


def _place(path: str | os.PathLike[str]) -> Path:
    """Return the path of a checkpoint if a file can be there, before hours of work."""
    place = Path(path).expanduser()
    folder = next(folder for folder in place.absolute().parents if folder.exists())
    if place.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = f"{place} is a folder" if place.is_dir() else f"no file can be written in {folder}"
        raise ValueError(f"checkpoint_path: expected the path of a file, but {what}")
    return place


def _architecture(model: nn.Module) -> dict[str, list[str]]:
    """Return the shape and type of every weight, and the first name of those that are tied."""
    first: dict[int, str] = {}
    return {
        name: [str(list(w.shape)), str(w.dtype), first.setdefault(id(w), name)]
        for name, w in model.named_parameters(remove_duplicate=False)
    }


def _is_hidden_matrix(name: str, weight: Tensor) -> bool:
    """Whether a parameter of a block maps tokens to tokens; the modulation sees conditions."""
    return weight.ndim == 2 and "modulation" not in name


@checked
@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's: a ← decay · a + (1 - decay) · w."""
    if not 0 <= decay <= 1:
        raise ValueError(f"decay: expected a number from 0 to 1, got {decay}")
    move = get_ema_multi_avg_fn(decay)
    move(list(averaged.parameters()), list(model.parameters()), 0)
