"""Gradient descent on the DDPM objective, as a generator of records (C3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf import checkpoint
from gmmtf.estimate import Estimate
from gmmtf.mixture import MultiTokenGMM
from gmmtf.mmse import BayesDenoiser
from gmmtf.noise import standard_normal
from gmmtf.objective import Evaluation, evaluate, stratified_times
from gmmtf.progress import progress
from gmmtf.schedule import NoiseSchedule

OPTIMIZERS = {"gd": torch.optim.SGD, "adam": torch.optim.Adam}
TARGETS = ("noise", "bayes")


@dataclass(frozen=True)
class Record(Evaluation):
    """State of a training run: the risks of :class:`~gmmtf.objective.Evaluation` at ``step``.

    Every record of a run is evaluated on the same held-out data, so differences between records
    are far more precise than the standard errors say.
    """

    step: int


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


def natural_step_size(mixture: MultiTokenGMM) -> float:
    """Step size d/r⁴, which makes the first steps of gradient descent independent of d and r.

    By the first-step formula (theory result 1) W grows at a rate ∝ ᾱπ_u²r⁴/d, and it acts through
    its product with r². For unequal norms r² is their mean square.
    """
    return mixture.dim / float(mixture.gram.diagonal().mean()) ** 2


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
        other settings or another architecture.
    FloatingPointError
        If the loss is no longer finite; the last checkpoint is kept.
    """
    run = _Run(denoiser, mixture, schedule, steps, _resolve(settings, mixture, steps))
    path = None if checkpoint_path is None else Path(checkpoint_path)
    records = run.resume(path) if path is not None and path.exists() else []
    return run.records(path, records)


def _resolve(settings: dict[str, Any], mixture: MultiTokenGMM, steps: int) -> Settings:
    """Settings with defaults filled in, checked."""
    chosen = Settings(**settings)
    for name, value in (("steps", steps), ("batch_size", chosen.batch_size)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    if chosen.optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected {sorted(OPTIMIZERS)}, got {chosen.optimizer!r}")
    if chosen.target not in TARGETS:
        raise ValueError(f"target: expected one of {TARGETS}, got {chosen.target!r}")
    lr = chosen.lr
    if lr is None:
        square = float(mixture.gram.diagonal().mean())
        lr = natural_step_size(mixture) if chosen.optimizer == "gd" else 0.1 / square
    if not lr > 0:
        raise ValueError(f"lr: expected a positive number, got {lr}")
    every = chosen.record_every if chosen.record_every is not None else max(1, steps // 30)
    if every < 1:
        raise ValueError(f"record_every: expected at least 1, got {every}")
    return Settings(**{**asdict(chosen), "lr": lr, "record_every": every})


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
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the loss is {float(loss)} at step {self.step}; the last checkpoint is kept. "
                f"A smaller step size than lr={self.settings.lr:.3g} may help"
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def evaluate(self) -> Record:
        # A generator of its own, seeded alike each time, gives every record the same data.
        held_out = torch.Generator(self.device).manual_seed(self.settings.seed + 2**32)
        found = evaluate(
            self.denoiser,
            self.mixture,
            self.schedule,
            n_samples=self.settings.eval_samples,
            batch_size=self.settings.batch_size,
            generator=held_out,
            dtype=self.dtype,
        )
        return Record(found.loss, found.excess_risk, found.score_error, self.step)

    def save(self, path: Path | None, records: list[Record]) -> None:
        if path is None:
            return
        tensors = {f"model.{name}": value for name, value in self.denoiser.state_dict().items()}
        tensors |= checkpoint.pack_optimizer(self.optimizer)
        tensors["generator"] = self.generator.get_state()
        state = {
            "step": self.step,
            "settings": asdict(self.settings),
            "law": _law(self.mixture, self.schedule),
            "records": [asdict(record) for record in records],
        }
        checkpoint.save(path, tensors=tensors, state=state)

    def resume(self, path: Path) -> list[Record]:
        """Restore the state saved at ``path`` and return its records."""
        tensors, state = checkpoint.load(path)
        wanted = {**asdict(self.settings), **_law(self.mixture, self.schedule)}
        found = {**state["settings"], **state["law"]}
        for name, value in wanted.items():
            if found.get(name) != value:
                raise ValueError(
                    f"checkpoint_path: {path} belongs to a run with {name} = {found.get(name)}, "
                    f"this run has {value}"
                )
        model = _without_prefix(tensors, "model.")
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

    @property
    def _record_every(self) -> int:
        assert self.settings.record_every is not None  # filled in by _resolve
        return self.settings.record_every


def _law(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> dict[str, Any]:
    """What identifies the data law and the schedule, for comparison when a run is resumed."""
    return {
        "n_tokens": mixture.n_tokens,
        "dim": mixture.dim,
        "sigma": mixture.sigma,
        "n_active": mixture.k,
        "probabilities": mixture.probabilities.tolist(),
        "gram": mixture.gram.tolist(),
        "schedule": [schedule.n_steps, float(schedule.betas.sum())],
    }


def _without_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _record(stored: dict[str, Any]) -> Record:
    estimates = {name: Estimate(**stored[name]) for name in ("loss", "excess_risk", "score_error")}
    return Record(**estimates, step=stored["step"])
