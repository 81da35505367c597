"""Gradient descent on the DDPM objective, as a generator of records (C3)."""

from __future__ import annotations

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
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.progress import progress
from gmmtf.randomness import derived_seed, standard_normal
from gmmtf.risks.evaluate import Evaluation, evaluate
from gmmtf.schedule import NoiseSchedule, stratified_times
from gmmtf.training.settings import OPTIMIZERS, Settings, resolve


@dataclass(frozen=True)
class Record(Evaluation):
    """State of a training run: the risks of :class:`~gmmtf.risks.evaluate.Evaluation` at ``step``.

    Every record of a run is evaluated on the same held-out data, so differences between records
    are far more precise than the standard errors say.
    """

    step: int


def train(
    denoiser: nn.Module,
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    steps: int,
    *,
    checkpoint_path: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Iterator[Record]:
    """Train a denoiser by stochastic gradient descent on the population DDPM objective (C3, F2A).

    Every step draws fresh data points, with times stratified over the schedule.

    Parameters
    ----------
    denoiser
        Module with ``forward(x_t, t)``; trained in place, on its device and in its dtype.
    steps
        Number of the last step; a record is yielded for step 0 and for step ``steps`` too.
    checkpoint_path
        Where to keep a checkpoint, written at every record. If the file exists the run is resumed
        from it: its records are yielded again first, and on a CPU what follows is bit-identical to
        the uninterrupted run.
    **settings
        Fields of :class:`Settings`. ``lr=None`` is :func:`natural_step_size` for ``"gd"`` and
        0.1/r² for ``"adam"``; ``record_every=None`` gives about 30 records.

    Yields
    ------
    Record

    Raises
    ------
    ValueError
        Before any work, if an argument is out of range, or if the checkpoint belongs to a run with
        other settings, another law or another architecture.
    FloatingPointError
        If the loss is no longer finite; the last checkpoint is kept.
    """
    run = _Run(denoiser, mixture, schedule, steps, resolve(settings, mixture, steps))
    path = None if checkpoint_path is None else Path(checkpoint_path)
    records = run.resume(path) if path is not None and path.exists() else []
    return run.records(path, records)


class _Run:
    """One training run: the denoiser, its optimizer and its randomness."""

    def __init__(
        self,
        denoiser: nn.Module,
        mixture: MultiTokenGMM,
        schedule: NoiseSchedule,
        steps: int,
        settings: Settings,
    ) -> None:
        parameter = next(denoiser.parameters(), None)
        if parameter is None:
            raise ValueError("denoiser: expected a module with parameters, got none")
        self.denoiser = denoiser
        self.mixture = mixture
        self.schedule = schedule
        self.steps = steps
        self.settings = settings
        self.dtype = parameter.dtype
        self.device = parameter.device
        self.optimizer = OPTIMIZERS[settings.optimizer](denoiser.parameters(), lr=settings.lr)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed)
        self.bayes = BayesDenoiser(mixture, schedule)
        self.step = 0

    def records(self, path: Path | None, earlier: list[Record]) -> Iterator[Record]:
        """Yield the earlier records, then train on."""
        yield from earlier
        history = list(earlier)
        if not history:
            history.append(self.evaluate())
            self.save(path, history)
            yield history[-1]
        for step in progress(range(self.step, self.steps), "training", self.steps, self.step):
            self.update()
            self.step = step + 1
            if self.step % self._record_every == 0 or self.step == self.steps:
                history.append(self.evaluate())
                self.save(path, history)
                yield history[-1]

    def update(self) -> None:
        """One step of gradient descent on fresh data."""
        x_0 = self.mixture.sample(self.settings.batch_size, self.generator, self.dtype).x_0
        t = stratified_times(self.schedule, self.settings.batch_size, self.generator)
        noise = standard_normal(x_0.shape, self.generator, self.dtype)
        x_t = self.schedule.add_noise(x_0, t, noise)
        target = noise if self.settings.target == "noise" else self.bayes(x_t, t)
        loss = (self.denoiser(x_t, t) - target).square().mean()
        self.require_finite(float(loss.detach()))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {self.step}; the last checkpoint is kept. "
                f"A smaller step size than lr={self.settings.lr:.3g} may help"
            )

    def evaluate(self) -> Record:
        # A generator of its own, seeded alike each time, gives every record the same data.
        held_out = torch.Generator(self.device).manual_seed(derived_seed(self.settings.seed, 1))
        found = evaluate(
            self.denoiser,
            self.mixture,
            self.schedule,
            n_samples=self.settings.eval_samples,
            batch_size=self.settings.batch_size,
            generator=held_out,
            dtype=self.dtype,
        )
        # Before the caller saves: a spoilt weight must not replace the last good checkpoint.
        self.require_finite(found.loss.value)
        return Record(found.loss, found.excess_risk, found.score_error, self.step)

    def save(self, path: Path | None, records: list[Record]) -> None:
        if path is None:
            return
        tensors = {f"model.{name}": value for name, value in self.denoiser.state_dict().items()}
        tensors |= checkpoint.pack_optimizer(self.optimizer)
        tensors["generator"] = self.generator.get_state()
        state = {
            "step": self.step,
            "run": self.identity(),
            "records": [asdict(record) for record in records],
        }
        checkpoint.save(path, tensors=tensors, state=state)

    def resume(self, path: Path) -> list[Record]:
        """Restore the state saved at ``path`` and return its records."""
        tensors, state = checkpoint.load(path)
        if not isinstance(state, dict) or set(state) != {"step", "run", "records"}:
            raise ValueError(f"checkpoint_path: {path} is not a checkpoint of a training run")
        for name, value in self.identity().items():
            found = state["run"].get(name)
            if found != value:
                raise ValueError(
                    f"checkpoint_path: {path} belongs to a run with {name} = {found}, "
                    f"this run has {value}"
                )
        if state["step"] > self.steps:
            raise ValueError(
                f"steps: the checkpoint {path} is at step {state['step']}, beyond {self.steps}"
            )
        model = checkpoint.without_prefix(tensors, "model.")
        shapes = {name: value.shape for name, value in self.denoiser.state_dict().items()}
        if {name: value.shape for name, value in model.items()} != shapes:
            raise ValueError(
                f"checkpoint_path: {path} holds another architecture than the denoiser"
            )
        self.denoiser.load_state_dict(model)
        checkpoint.unpack_optimizer(self.optimizer, tensors)
        self.generator.set_state(tensors["generator"])
        self.step = state["step"]
        return [_record(stored) for stored in state["records"]]

    def identity(self) -> dict[str, Any]:
        """Describe what a resumed run must share with the run that it continues."""
        return {
            **asdict(self.settings),
            "dtype": str(self.dtype),
            "n_tokens": self.mixture.n_tokens,
            "sigma": self.mixture.sigma,
            "n_active": self.mixture.k,
            "weights": self.mixture.probabilities.tolist(),
            "patterns": _digest(self.mixture.means),
            "schedule": _digest(self.schedule.betas),
        }

    @property
    def _record_every(self) -> int:
        assert self.settings.record_every is not None  # filled in by _resolve
        return self.settings.record_every


def _digest(values: Tensor) -> str:
    """Hash of a float64 tensor and its shape: any other value gives another digest."""
    content = str(tuple(values.shape)).encode() + values.contiguous().numpy().tobytes()
    return hashlib.sha256(content).hexdigest()


def _record(stored: dict[str, Any]) -> Record:
    estimates = {name: Estimate(**stored[name]) for name in ("loss", "excess_risk", "score_error")}
    return Record(**estimates, step=stored["step"])
