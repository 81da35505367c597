"""One run of the benchmark: an entry trained on a task's budget, and measured."""

from __future__ import annotations

import collections
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf.arguments import ArgumentError, checked, count
from gmmtf.benchmark import entries, tasks
from gmmtf.benchmark.entries import ENTRIES, Entry
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE, STEPS, TASKS, VERSION, MixtureLaw, Task
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.optimal import optimal_denoiser
from gmmtf.laws.law import Law
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.moments import label_probabilities
from gmmtf.laws.noisy import draw_noisy
from gmmtf.measuring import measure
from gmmtf.parametrisation import as_denoiser
from gmmtf.provenance import code_digest
from gmmtf.randomness import derived_seed
from gmmtf.record import Recording
from gmmtf.sweep import sweep
from gmmtf.training import train

MEASURED_TOKENS = 4096
"""Tokens that are measured at each time."""

LENGTHS = (16, 32, 64, 128, 256, 512)
"""Numbers of tokens to which entries that were trained on ``LENGTH_TASK`` are taken."""

LENGTH_TASK = "few"

_WARM_UP = 20  # a twentieth of the steps


@checked
def run(
    entry: str | Entry, task: str, seed: int, *, version: str = VERSION, code: str | None = None
) -> dict[str, Any]:
    """Train an entry on a task and measure it.

    Parameters
    ----------
    entry
        An entry, or the name of one, see :func:`gmmtf.benchmark.entries.entry`.
    task
        One of :data:`~gmmtf.benchmark.tasks.TASKS`.
    seed
        Of the start, the training data and the data that are measured; all entries are measured on
        the same data.
    version
        Of the suite, which must be this one.
    code
        Digest of the code of entries of one's own: if this is one, its code must have it.

    Returns
    -------
    dict
        ``excess``, ``loss``, ``score_error``, ``elbo``, ``min_snr``: risks averaged over
        :data:`~gmmtf.benchmark.tasks.LEVELS`, the last two with these weightings of the excess;
        ``gap``: the loss less Bayes' on the same data, paired; ``levels``: the excess at each
        level; ``rare``, ``common``: the excess on tokens of the rarest pattern and on all others,
        where one is rare; ``lengths``: the excess at each of ``LENGTHS``, for ``LENGTH_TASK``;
        ``n_parameters``: how many numbers were trained.

    Raises
    ------
    ValueError
        If entry, task or version is unknown, or an output has another shape.
    FloatingPointError
        If an output or the loss is not finite.
    """
    if version != VERSION:
        raise ValueError(f"version: this is version {VERSION} of the suite, got {version!r}")
    made = entry if isinstance(entry, Entry) else entries.entry(entry)
    on, seed = tasks.task(task), count("seed", seed, 0)
    if code is not None and (made is entry or own_code(str(entry)) not in (None, code)):
        raise ValueError(f"code: the code of {made.name!r} is not the one that was asked for")
    denoise = trained(made, on, seed, steps=STEPS)
    found = _measured(denoise, on.law, seed)
    values: dict[str, Any] = {"n_parameters": _size(denoise)} | found
    if (rare := rarest(on.law)) is not None:
        values |= _by_label(denoise, on.law, rare, seed)
    if on.name == LENGTH_TASK and made.any_length:
        assert isinstance(on.law, MultiTokenGMM)
        others = (replace(on.law, n_tokens=n) for n in LENGTHS if n != on.law.n_tokens)
        at = {law.n_tokens: _measured(denoise, law, seed) for law in others}
        values["lengths"] = [at.get(n, found)["excess"].value for n in LENGTHS]
    return values


@checked
def run_all(
    names: Sequence[str],
    path: str | os.PathLike[str] | None,
    *,
    tasks: Sequence[str] = tuple(TASKS),
    seeds: Sequence[int] = (0, 1, 2),
    n_workers: int | None = None,
    client: Any = None,
    retry_failed: bool = False,
) -> Recording:
    """Run entries on tasks, one row a run; see :func:`gmmtf.sweep`, whose errors these are.

    Entries of one's own are recorded with the digest of their code: a file that was begun with
    other code is refused.
    """
    codes = {name: own_code(name) for name in names}
    fixed: dict[str, Any] = {"version": VERSION}
    if len(own := {code for code in codes.values() if code is not None}) > 1:
        raise ValueError("names: expected entries of one module, or of the suite")
    if own:
        fixed["code"] = own.pop()
    grid: list[dict[str, str | int]] = [
        {"entry": name, "task": task, "seed": seed}
        for seed in seeds
        for task in tasks
        for name in names
    ]
    return sweep(
        run, grid, path, fixed=fixed, n_workers=n_workers, client=client, retry_failed=retry_failed
    )


@checked
def own_code(name: str) -> str | None:
    """Digest of the module of an entry that is not of the suite; None for those that are."""
    return None if name in ENTRIES else code_digest(name.partition(":")[0])


@checked
def trained(made: Entry, on: Task, seed: int, *, steps: int, data: Law | None = None) -> Denoiser:
    """Make an entry for a task, and train it if it has something to train.

    ``data``: where the training data are drawn from, the task's law by default.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, 0))
        network = made.make(on.law, SCHEDULE, seed)
        if not callable(network):
            raise ArgumentError(f"entry: expected {made.name!r} to make a denoiser, got {network}")
        if not isinstance(network, nn.Module) or _size(network) == 0:
            return as_denoiser(network, SCHEDULE, made.prediction, name=made.name)
        module = _AsNoise(network, made)
        lr = made.lr(on.law) if callable(made.lr) else made.lr
        optimizer = annealed(lr, steps) if made.optimizer == "adam" and lr else made.optimizer
        records = train(
            module, data or on.law, SCHEDULE, steps, optimizer=optimizer,
            lr=None if callable(optimizer) else lr, batch_size=on.batch_size,
            seed=derived_seed(seed, 1), record_every=steps, eval_samples=None,
        )  # fmt: skip
        collections.deque(records, maxlen=0)  # only the end is of interest
    return module


class _AsNoise(nn.Module):
    """A network of any parametrisation as a module that returns the noise."""

    def __init__(self, network: nn.Module, made: Entry) -> None:
        super().__init__()
        self.network = network
        self.denoise = as_denoiser(network, SCHEDULE, made.prediction, name=made.name)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        return self.denoise(x_t, t)


@checked
def annealed(lr: float, steps: int) -> Callable[[Iterable[Tensor]], torch.optim.Optimizer]:
    """Adam whose rate rises linearly at first, and falls to zero as a cosine."""

    def rate(step: int) -> float:
        rise = min(1.0, (step + 1) * _WARM_UP / steps)
        return lr * rise * (1 + math.cos(math.pi * step / steps)) / 2

    def make(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        made = torch.optim.Adam(parameters, rate(0))
        steps_done = iter(range(1, steps + 1))

        def next_rate(*_: Any) -> None:
            for group in made.param_groups:
                group["lr"] = rate(next(steps_done))

        made.register_step_post_hook(next_rate)
        return made

    return make


def _measured(denoise: Denoiser, law: MixtureLaw, seed: int) -> dict[str, Any]:
    """Risks of a denoiser on data that depend on the seed alone."""
    found = measure(
        {"entry": denoise}, law, SCHEDULE, t=list(LEVELS),
        n_samples=max(8, MEASURED_TOKENS // law.n_tokens),
        generator=torch.Generator().manual_seed(derived_seed(seed, 2)),
    )  # fmt: skip
    whole = found.evaluation("entry")
    return {
        "excess": whole.excess_risk,
        "loss": whole.loss,
        "score_error": whole.score_error,
        "elbo": found.evaluation("entry", weighting="elbo").excess_risk,
        "min_snr": found.evaluation("entry", weighting="min-snr").excess_risk,
        "gap": found.difference("entry", "bayes").loss,
        "levels": [found.evaluation("entry", t=t).excess_risk.value for t in LEVELS],
    }


def rarest(law: MixtureLaw) -> int | None:
    """The pattern that is rarer than all others, if one is."""
    if not isinstance(law, MultiTokenGMM):
        return None
    (least, second), order = label_probabilities(law).topk(2, largest=False)
    return int(order[0]) if least < second * (1 - 1e-9) else None


@torch.no_grad()
def _by_label(denoise: Denoiser, law: MixtureLaw, rare: int, seed: int) -> dict[str, float]:
    """Excess on tokens of one pattern, and on all others."""
    generator = torch.Generator().manual_seed(derived_seed(seed, 4))
    bayes = optimal_denoiser(law, SCHEDULE)
    errors: dict[bool, list[Tensor]] = {True: [], False: []}
    for t in LEVELS:
        times = torch.full((MEASURED_TOKENS // law.n_tokens,), t)
        noisy = draw_noisy(law, SCHEDULE, times, generator)
        each = (denoise(noisy.x_t, times) - bayes(noisy.x_t, times)).double().square().mean(-1)
        for is_rare, kept in errors.items():
            kept.append(each[(noisy.labels == rare) == is_rare])
    return {
        name: float(torch.cat(errors[is_rare]).mean())
        for name, is_rare in (("rare", True), ("common", False))
    }


def _size(denoise: Denoiser) -> int:
    """How many numbers of a denoiser are trained."""
    if not isinstance(denoise, nn.Module):
        return 0
    return sum(p.numel() for p in denoise.parameters() if p.requires_grad)
