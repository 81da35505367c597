"""One call that measures denoisers against the exact optimum of a law."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import scipy.stats
import torch
from torch import Tensor
from tqdm import tqdm

from gmmtf.arguments import checked, count, shown
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.optimal import optimal_denoiser
from gmmtf.draws import Draws
from gmmtf.laws.law import Law
from gmmtf.laws.noisy import Noisy, draw_noisy
from gmmtf.measurement import Measurement
from gmmtf.parametrisation import as_denoiser, edm_sigmas, resolve_prediction
from gmmtf.randomness import generator_device
from gmmtf.readings import Readings
from gmmtf.references import REFERENCES, References, references
from gmmtf.risks.evaluate import evaluation_mode
from gmmtf.schedule import NoiseSchedule, Times, stratified_times

N_LEVELS = 10
"""Times that are measured one by one where none are chosen."""

_BEATEN = 1e-9  # probability below which a law's own optimum counts as beaten


@checked
def measure(
    entries: Mapping[str, Any],
    law: Law,
    schedule: NoiseSchedule,
    *,
    t: Times = None,
    sigma: float | Sequence[float] | None = None,
    prediction: str | Mapping[str, str] = "noise",
    n_samples: int = 256,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Measurement:
    """Measure denoisers against the exact optimum of a law, noise level by noise level.

    All denoisers see the same data, and ``"oracle"``, ``"bayes"``, ``"linear"`` and ``"zero"`` (no
    denoising) are always among them; the first and the third may be left out for a law of your own,
    see :func:`~gmmtf.references.references`. The references are computed in float64 without
    autocast. Modules are measured in their evaluation mode, on their own device and in
    their own type, and keep the modes they had; what a function does to a module inside it is its
    own affair.

    Parameters
    ----------
    entries
        Denoisers by name: ``network(x_t, t)`` with ``x_t`` ``[batch, N, d]`` and integers ``t``
        ``[batch]``, see :func:`~gmmtf.parametrisation.as_denoiser`. Models of diffusers fit.
    law
        Any law that has an :func:`~gmmtf.denoisers.optimal.optimal_denoiser`.
    t
        A time or several, which are measured in increasing order, and averages are over them. None:
        ten times from 0 to T-1, and averages over the whole schedule, from stratified times.
    sigma
        EDM's noise levels √((1-ᾱ)/ᾱ) in place of ``t``; the nearest times are measured.
    prediction
        What the entries return, all or by name: ``"noise"``, ``"x0"``, ``"v"``, ``"score"`` or
        ``"edm"``, or diffusers' names. An entry that is not named predicts the noise.
    n_samples
        Data points at each time, and once more for the average over the schedule.
    generator
        Source of the randomness; its device is where the data are drawn.
    dtype
        Type of the data, and of what functions are given.

    Returns
    -------
    Measurement
        All numbers with standard errors, paired differences, tables and a figure.

    Warns
    -----
    UserWarning
        If an entry looks like another parametrisation, or has a smaller loss than the denoiser that
        a law of your own gives as its optimum.

    Raises
    ------
    ValueError
        If a name is taken, an output has another shape, or an argument is out of range.
    FloatingPointError
        If what an entry returns is not finite.
    TypeError
        If the law has no optimal denoiser.
    """
    n_samples, batch_size = count("n_samples", n_samples, 2), count("batch_size", batch_size, 1)
    kinds = _predictions(entries, prediction)
    times = _times(schedule, t, sigma)
    known = references(law, schedule)
    denoisers = {
        name: as_denoiser(network, schedule, kinds[name], name=f"entries[{name!r}]")
        for name, network in entries.items()
    }
    readings = {name: Readings(kinds[name], schedule) for name in entries}
    device = generator_device(generator)
    plans = [torch.full((n_samples,), time, device=device) for time in times]
    chosen = t is not None or sigma is not None
    if not chosen:  # first, so that the average is that of `evaluate`
        plans.insert(0, stratified_times(schedule, n_samples, generator))
    bar = tqdm(total=len(plans) * -(-n_samples // batch_size), desc="measuring", leave=False)
    drawn = []
    with ExitStack() as stack, torch.no_grad(), bar:
        for network in entries.values():
            stack.enter_context(evaluation_mode(getattr(network, "__self__", network)))
        for k, plan in enumerate(plans):
            losses: list[Tensor] = []
            excesses: list[Tensor] = []
            for batch in plan.split(batch_size):
                noisy = draw_noisy(law, schedule, batch, generator, dtype)
                loss, excess = _errors(denoisers, known, noisy, schedule, readings)
                losses.append(loss)
                excesses.append(excess)
                bar.update()
            stratified = not chosen and k == 0
            drawn.append(
                Draws(plan.cpu(), torch.cat(losses, 1), torch.cat(excesses, 1), stratified)
            )
    names = (*entries, *known.known)
    _warn_of_readings(readings, kinds)
    _warn_of_beaten_optimum(law, names, len(entries), drawn)
    whole = None if chosen else drawn.pop(0)
    return Measurement(names, schedule, tuple(drawn), whole, repr(law), known.left_out)


def _errors(
    denoisers: Mapping[str, Denoiser],
    known: References,
    noisy: Noisy,
    schedule: NoiseSchedule,
    readings: Mapping[str, Readings],
) -> tuple[Tensor, Tensor]:
    """Losses and excesses of all denoisers on a batch, float64 ``[denoisers, batch]``."""
    exact = noisy._replace(x_t=noisy.x_t.double(), noise=noisy.noise.double())
    with torch.autocast(exact.x_t.device.type, enabled=False):
        found = {name: reference(exact) for name, reference in known.known.items()}
    bayes = found["bayes"]
    predicted = {}
    for name, denoise in denoisers.items():
        try:
            noise = denoise(noisy.x_t, noisy.t).double()
        except Exception as error:
            error.add_note(f"entries[{name!r}], at {_place(schedule, noisy.t)}")
            raise
        bad = ~noise.isfinite().flatten(1).all(1)
        if bool(bad.any()):
            raise FloatingPointError(
                f"entries[{name!r}]: expected finite outputs, got NaN or infinity at "
                f"{_place(schedule, noisy.t[bad])}"
            )
        readings[name].add(noise, bayes, exact)
        predicted[name] = noise
    every = predicted | found
    loss = [_mean_square(noise - exact.noise) for noise in every.values()]
    excess = [
        # E‖ε* - ε^B‖² is how far the oracle's loss is *below* the Bayes risk.
        _mean_square(noise - bayes) * (-1 if name == "oracle" else 1)
        for name, noise in every.items()
    ]
    return torch.stack(loss).cpu(), torch.stack(excess).cpu()


def _mean_square(difference: Tensor) -> Tensor:
    return difference.square().flatten(1).mean(1)


def _place(schedule: NoiseSchedule, t: Tensor) -> str:
    first = int(t[0])
    return f"t = {first}, sigma = {float(edm_sigmas(schedule)[first]):.3g}"


def _predictions(entries: Mapping[str, Any], given: str | Mapping[str, str]) -> dict[str, str]:
    """What each entry predicts, once names and entries are sound."""
    for name, network in entries.items():
        if name in REFERENCES:
            raise ValueError(
                f"entries: the name {name!r} is taken by a reference, which is measured anyway; "
                "give the entry another name"
            )
        if not callable(network):
            raise ValueError(f"entries[{name!r}]: expected a denoiser, got {shown(network)}")
    if isinstance(given, str):
        return dict.fromkeys(entries, resolve_prediction(given))
    if unknown := sorted(set(given) - set(entries)):
        raise ValueError(f"prediction: expected names of entries, got {unknown}")
    return {name: resolve_prediction(given.get(name, "noise")) for name in entries}


def _times(schedule: NoiseSchedule, t: Times, sigma: float | Sequence[float] | None) -> list[int]:
    """The times to measure, increasing."""
    if sigma is None:
        if t is None:
            even = torch.linspace(0, schedule.n_steps - 1, N_LEVELS, dtype=torch.float64)
            return sorted(set(even.round().long().tolist()))
        return sorted(set(schedule.times(t).tolist()))
    if t is not None:
        raise ValueError("sigma: give either t or sigma, and not both")
    wanted = [sigma] if isinstance(sigma, float) else list(sigma)
    known = edm_sigmas(schedule)
    low, high = float(known[0]), float(known[-1])
    # The last digits of a rounded number are no reason to refuse it.
    if not wanted or not all(low * 0.99 <= each <= high * 1.01 for each in wanted):
        raise ValueError(
            f"sigma: expected noise levels of the schedule, from {low:.4g} to {high:.4g}, "
            f"got {shown(sigma)}"
        )
    return sorted({int((known.log() - known.new_tensor(s).log()).abs().argmin()) for s in wanted})


def _warn_of_readings(readings: Mapping[str, Readings], kinds: Mapping[str, str]) -> None:
    for name, each in readings.items():
        if (other := each.other()) is not None:
            warnings.warn(
                f"entries[{name!r}]: the outputs make no sense as {kinds[name]!r}, and do as "
                f"{other!r}; if that is what it predicts, give "
                f"prediction={{{name!r}: {other!r}}}",
                stacklevel=4,
            )


def _warn_of_beaten_optimum(
    law: Law, names: Sequence[str], n_entries: int, drawn: Sequence[Draws]
) -> None:
    """Warn if an entry's loss is below that of the optimum, of a law that brings its own."""
    generic: Callable[..., Any] = optimal_denoiser.dispatch(object)
    if optimal_denoiser.dispatch(type(law)) is not generic:
        return
    loss = torch.cat([draws.loss for draws in drawn], 1)
    for name, gain in zip(names, loss[names.index("bayes")] - loss[:n_entries], strict=False):
        if float(gain.std()) == 0:
            continue
        test = scipy.stats.ttest_1samp(gain.numpy(), 0, alternative="greater")
        if test.pvalue < _BEATEN:
            warnings.warn(
                f"law: entries[{name!r}] has a smaller loss than the denoiser that the law gives as"
                f" its optimum, by {float(gain.mean()):.2g} a coordinate; look at "
                f"{type(law).__name__}.denoiser",
                stacklevel=4,
            )
