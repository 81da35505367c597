"""Gradient descent of any module on the DDPM objective of any law, as a generator of records."""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from tqdm import tqdm

from gmmtf import checkpoint
from gmmtf.architecture import architecture
from gmmtf.arguments import checked, count
from gmmtf.denoisers.optimal import optimal_denoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.law import Law, fingerprint
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.optimizer import Optimizer, make_optimizer, resolve_lr
from gmmtf.randomness import derived_seed, standard_normal
from gmmtf.risks.evaluate import Evaluation, evaluate
from gmmtf.schedule import NoiseSchedule, stratified_times

TARGETS = ("noise", "bayes")

_UNREAD = 64  # losses that are kept before they are read


@dataclass(frozen=True)
class TrainingRecord(Evaluation):
    """State of a training run: the risks of :class:`~gmmtf.risks.evaluate.Evaluation` at ``step``.

    Every record of a run is evaluated on the same held-out data, so differences between records
    are far more precise than the standard errors say.
    """

    step: int


@checked
def train(
    denoiser: nn.Module,
    law: Law,
    schedule: NoiseSchedule,
    steps: int,
    *,
    optimizer: Optimizer = "gd",
    lr: float | None = None,
    batch_size: int = 32,
    target: str = "noise",
    seed: int = 0,
    record_every: int | None = None,
    record_at: Sequence[int] | None = None,
    eval_samples: int | None = 256,
    data_device: str | torch.device | None = None,
    checkpoint_path: str | os.PathLike[str] | None = None,
) -> Iterator[TrainingRecord]:
    """Train a denoiser by stochastic gradient descent on the population DDPM objective (C3, F2A).

    Every step draws fresh data points, with times stratified over the schedule. When a record is
    yielded the denoiser is in its state at that step, so a caller may measure it in the loop.

    Parameters
    ----------
    denoiser
        Module with ``forward(x_t, t)``; trained in place, on its device and in its dtype.
    steps
        Number of the last step; a record is yielded for step 0 and for step ``steps`` too.
    optimizer
        ``"gd"``, ``"adam"``, a class of ``torch.optim``, or a callable that makes an optimizer:
        ``f(parameters)`` if ``lr`` is None, ``f(parameters, lr=lr)`` otherwise.
    lr
        Step size. None, on a :class:`~gmmtf.laws.mixture.MultiTokenGMM`, is
        :func:`~gmmtf.risks.first_step.natural_step_size` for ``"gd"`` and 0.1/r² for ``"adam"``.
    target
        ``"noise"`` regresses on the injected noise, which is the DDPM objective; ``"bayes"`` on its
        conditional mean ε^B, which has the same expected gradient and less variance.
    record_every, record_at
        Steps between records, by default such that there are about 30, or the steps themselves.
    eval_samples
        Held-out data points of a record; with None the risks of a record are ``nan``.
    data_device
        Where the data are drawn, the denoiser's device when None. On ``"cpu"`` a run sees the same
        data whatever device it is trained on.
    checkpoint_path
        Where to keep a checkpoint, written at every record. If the file exists the run is resumed
        from it: its records are yielded again first, and on a CPU what follows is bit-identical to
        the uninterrupted run, also if the module draws from PyTorch's own generator. A run
        that is finished goes on if ``steps`` is larger now.

    Yields
    ------
    TrainingRecord

    Raises
    ------
    ValueError
        Before any work, if an argument is out of range, or if the checkpoint is a folder, is not
        whole, or belongs to a run with other settings, another law, schedule or architecture.
    FloatingPointError
        At the next record, or some steps later, if the loss is no longer finite; the last
        checkpoint is kept.
    """
    steps = count("steps", steps, 1)
    if target not in TARGETS:
        raise ValueError(f"target: expected one of {TARGETS}, got {target!r}")
    if not (callable(optimizer) and lr is None):
        lr = resolve_lr(optimizer, lr, law if isinstance(law, MultiTokenGMM) else None)
    if record_at is not None and record_every is not None:
        raise ValueError("record_at: give either record_at or record_every, and not both")
    parameter = next(denoiser.parameters(), None)
    if parameter is None:
        raise ValueError("denoiser: expected a module with parameters, got none")
    settings = _Settings(
        seed=count("seed", seed, 0),
        lr=lr,
        batch_size=count("batch_size", batch_size, 1),
        target=target,
        record_every=None if record_every is None else count("record_every", record_every, 1),
        record_at=None if record_at is None else [count("record_at", s, 0) for s in record_at],
        eval_samples=None if eval_samples is None else count("eval_samples", eval_samples, 2),
        dtype=str(parameter.dtype),
    )
    if lr is None and callable(optimizer):
        made = optimizer(denoiser.parameters())
    else:
        assert lr is not None  # resolve_lr has filled it in
        made = make_optimizer(optimizer, denoiser.parameters(), lr)
    place = parameter.device if data_device is None else torch.device(data_device)
    run = _Run(denoiser, law, schedule, steps, settings, made, place)
    path = None if checkpoint_path is None else Path(checkpoint_path).expanduser()
    records = run.resume(path) if path is not None and path.exists() else []
    return run.records(path, records)


@dataclass(frozen=True)
class _Settings:
    """What a run depends on besides its law, its optimizer and its schedule."""

    seed: int
    lr: float | None
    batch_size: int
    target: str
    record_every: int | None
    record_at: list[int] | None
    eval_samples: int | None
    dtype: str


class _Run:
    """One training run: the denoiser, its optimizer and its randomness."""

    def __init__(
        self,
        denoiser: nn.Module,
        law: Law,
        schedule: NoiseSchedule,
        steps: int,
        settings: _Settings,
        optimizer: torch.optim.Optimizer,
        data_device: torch.device,
    ) -> None:
        self.denoiser = denoiser
        self.law = law
        self.schedule = schedule
        self.steps = steps
        self.settings = settings
        self.optimizer = optimizer
        self.data_device = data_device
        parameter = next(denoiser.parameters())
        self.dtype, self.device = parameter.dtype, parameter.device
        self.generator = torch.Generator(data_device).manual_seed(settings.seed)
        self.step = 0
        self.global_state: dict[str, Tensor] = {}
        self.unread: list[tuple[int, Tensor]] = []
        self.optimum = optimal_denoiser(law, schedule) if settings.target == "bayes" else None
        # What the optimizer is and does, however it was made; read before a step changes it.
        groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
        self._architecture = architecture(denoiser)
        self._optimizer = json.loads(json.dumps([type(optimizer).__name__, groups], default=str))

    def records(self, path: Path | None, earlier: list[TrainingRecord]) -> Iterator[TrainingRecord]:
        """Yield the earlier records, then train on."""
        yield from earlier
        history = list(earlier)
        if not history:
            history.append(self.evaluate())
            self.save(path, history)
            yield history[-1]
        steps = range(self.step, self.steps)
        if steps:
            self.restore_global_state()
        bar = tqdm(steps, desc="training", total=self.steps, initial=self.step, leave=False)
        for step in bar:
            self.update()
            self.step = step + 1
            if self.is_recorded():
                history.append(self.evaluate())
                self.save(path, history)
                yield history[-1]

    def is_recorded(self) -> bool:
        # The default belongs to the number of steps, which a run that goes on changes.
        every, at = self.settings.record_every or max(1, self.steps // 30), self.settings.record_at
        due = self.step in at if at is not None else self.step % every == 0
        return due or self.step == self.steps

    def update(self) -> None:
        """One step of gradient descent on fresh data."""
        x_0 = self.law.sample(self.settings.batch_size, self.generator, self.dtype).x_0
        t = stratified_times(self.schedule, self.settings.batch_size, self.generator)
        noise = standard_normal(x_0.shape, self.generator, self.dtype)
        x_t = self.schedule.add_noise(x_0, t, noise)
        target = noise if self.optimum is None else self.optimum(x_t, t)
        predicted = self.denoiser(x_t.to(self.device), t.to(self.device))
        loss = (predicted - target.to(self.device)).square().mean()
        self.unread.append((self.step, loss.detach()))
        if len(self.unread) == _UNREAD:
            self.require_finite_losses()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def require_finite_losses(self) -> None:
        """Read the losses since the last time, all at once: each read makes a GPU's queue wait."""
        losses = [loss for _, loss in self.unread]
        read = torch.stack(losses).tolist() if losses else []
        for (step, _), loss in zip(self.unread, read, strict=True):
            if not math.isfinite(loss):
                self.refuse(loss, step)
        self.unread.clear()

    def refuse(self, loss: float, step: int) -> NoReturn:
        raise FloatingPointError(
            f"the loss is {loss} at step {step}; the last checkpoint is kept. "
            f"A smaller step size than lr={self.optimizer.param_groups[0]['lr']:.3g} may help"
        )

    def evaluate(self) -> TrainingRecord:
        self.require_finite_losses()
        if self.settings.eval_samples is None:
            unknown = Estimate(math.nan, math.nan)
            return TrainingRecord(unknown, unknown, unknown, self.step)
        # A generator of its own, seeded alike each time, gives every record the same data.
        held_out = torch.Generator(self.data_device)
        try:
            found = evaluate(
                self.denoiser,
                self.law,
                self.schedule,
                n_samples=self.settings.eval_samples,
                batch_size=self.settings.batch_size,
                generator=held_out.manual_seed(derived_seed(self.settings.seed, 1)),
                dtype=self.dtype,
            )
        except FloatingPointError:
            # Before the caller saves: a spoilt weight must not replace the last good checkpoint.
            self.refuse(math.nan, self.step)
        return TrainingRecord(found.loss, found.excess_risk, found.score_error, self.step)

    def save(self, path: Path | None, records: list[TrainingRecord]) -> None:
        if path is None:
            return
        tensors = {f"model.{name}": value for name, value in self.denoiser.state_dict().items()}
        tensors |= checkpoint.pack_optimizer(self.optimizer)
        tensors["generator"] = self.generator.get_state()
        tensors["betas"] = self.schedule.betas
        tensors["global.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["global.cuda"] = torch.cuda.get_rng_state(self.device)
        state = {
            "step": self.step,
            "run": self.identity(),
            "records": [asdict(record) for record in records],
        }
        checkpoint.save(path, tensors=tensors, state=state)

    def restore_global_state(self) -> None:
        """Put back the states of PyTorch's own generators, from which a dropout draws."""
        if "cpu" in self.global_state:
            torch.set_rng_state(self.global_state["cpu"])
        if "cuda" in self.global_state and self.device.type == "cuda":
            torch.cuda.set_rng_state(self.global_state["cuda"], self.device)

    def resume(self, path: Path) -> list[TrainingRecord]:
        """Restore the state saved at ``path`` and return its records."""
        tensors, state = checkpoint.load(path)
        whole = isinstance(state, dict) and set(state) == {"step", "run", "records"}
        if not whole or not {"generator", "betas"} <= set(tensors):
            raise ValueError(f"checkpoint_path: {path} is not a checkpoint of a training run")
        try:
            return self._restore(path, tensors, state)
        except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            raise ValueError(f"checkpoint_path: {path} is damaged ({error})") from error

    def _restore(
        self, path: Path, tensors: dict[str, Tensor], state: dict[str, Any]
    ) -> list[TrainingRecord]:
        for name, value in self.identity().items():
            found = state["run"].get(name)
            if found != value and name == "architecture":
                raise ValueError(
                    f"checkpoint_path: {path} holds another architecture than the denoiser: "
                    f"{_difference(found, value)}"
                )
            if found != value:
                raise ValueError(
                    f"checkpoint_path: {path} belongs to a run with {name} = {found}, "
                    f"this run has {value}"
                )
        betas = tensors["betas"]
        if not torch.equal(betas, self.schedule.betas):
            raise ValueError(f"checkpoint_path: {path} belongs to a run with another schedule")
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
        self.global_state = checkpoint.without_prefix(tensors, "global.")
        self.step = state["step"]
        return [_record(stored) for stored in state["records"]]

    def identity(self) -> dict[str, Any]:
        """Describe what a resumed run must share with the run that it continues."""
        law = {f"law.{name}": value for name, value in fingerprint(self.law).items()}
        run = asdict(self.settings) | {"data_device": self.data_device.type}
        made = {"optimizer": self._optimizer, "architecture": self._architecture}
        return run | made | law | {"law.code": _code(self.law)}


def _code(law: Law) -> str:
    """Text of the class of a law that is not the library's: its name does not tell what it is."""
    if type(law).__module__.startswith("gmmtf."):
        return type(law).__qualname__
    try:
        return inspect.getsource(type(law))
    except (OSError, TypeError):  # typed into a session that keeps no source
        return type(law).__qualname__


def _difference(stored: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """The first part that differs between two architectures."""
    stored = stored or {}
    part = next(name for name in [*now, *stored] if stored.get(name) != now.get(name))
    return f"its part {part!r} is {stored.get(part)}, the denoiser's {now.get(part)}"


def _record(stored: dict[str, Any]) -> TrainingRecord:
    estimates = {name: Estimate(**stored[name]) for name in ("loss", "excess_risk", "score_error")}
    return TrainingRecord(**estimates, step=stored["step"])
