"""What a network predicts, and the noise that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from gmmtf.arguments import checked, shown
from gmmtf.denoisers import Denoiser
from gmmtf.schedule import NoiseSchedule

PREDICTIONS = ("noise", "x0", "v", "score", "edm")
"""What a network may predict, see :func:`as_denoiser`."""

_ALIASES = {"epsilon": "noise", "sample": "x0", "v_prediction": "v"}  # diffusers' names


@checked
def edm_sigmas(schedule: NoiseSchedule) -> Tensor:
    """EDM's noise levels σ_t = √((1-ᾱ_t)/ᾱ_t), float64 ``[T]`` (Karras et al. 2022, table 1)."""
    return schedule.snr.rsqrt()


@checked
def resolve_prediction(prediction: str) -> str:
    """Return the name in :data:`PREDICTIONS`, of which diffusers' are synonyms.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    found = _ALIASES.get(prediction, prediction)
    if found not in PREDICTIONS:
        expected = ", ".join(map(repr, (*PREDICTIONS, *_ALIASES)))
        raise ValueError(f"prediction: expected one of {expected}, got {shown(prediction)}")
    return found


@checked
def to_noise(
    output: Tensor, schedule: NoiseSchedule, x_t: Tensor, t: Tensor, *, prediction: str
) -> Tensor:
    """The noise that a prediction implies, of the shape of ``x_t``.

    With x_t = √ᾱ x_0 + √(1-ᾱ) ε it is f for ``"noise"``, (x_t - √ᾱ f)/√(1-ᾱ) for ``"x0"`` and
    ``"edm"``, √ᾱ f + √(1-ᾱ) x_t for ``"v"`` = √ᾱ ε - √(1-ᾱ) x_0 (Salimans and Ho 2022), and
    -√(1-ᾱ) f for ``"score"``.

    Raises
    ------
    ValueError
        If the prediction is unknown, or shapes or times do not fit.
    """
    kind = resolve_prediction(prediction)
    _check_like("output", output, x_t)
    if kind in ("x0", "edm"):
        return schedule.x0_to_noise(x_t, t, output)
    if kind == "score":
        return schedule.score_to_noise(output, t)
    # x_t of data f and noise x_t is √ᾱ f + √(1-ᾱ) x_t.
    return schedule.add_noise(output, t, x_t) if kind == "v" else output


@checked
def from_noise(
    noise: Tensor, schedule: NoiseSchedule, x_t: Tensor, t: Tensor, *, prediction: str
) -> Tensor:
    """What a network that predicts this noise would return; the inverse of :func:`to_noise`."""
    kind = resolve_prediction(prediction)
    _check_like("noise", noise, x_t)
    if kind in ("x0", "edm"):
        return schedule.noise_to_x0(x_t, t, noise)
    if kind == "score":
        return schedule.noise_to_score(noise, t)
    # The f for which √ᾱ f + √(1-ᾱ) x_t is the noise.
    return schedule.noise_to_x0(noise, t, x_t) if kind == "v" else noise


@checked
def as_denoiser(
    network: Callable[..., Any],
    schedule: NoiseSchedule,
    prediction: str = "noise",
    *,
    name: str = "network",
) -> Denoiser:
    """A denoiser ``denoise(x_t, t) -> noise`` from a network of any parametrisation.

    A module is given tensors of its own floating point type on its own device, and what it returns
    comes back in the type and on the device of ``x_t``. Outputs of diffusers' models are
    unwrapped: an object with a tensor ``sample``, or a tuple that begins with the tensor.

    Parameters
    ----------
    network
        ``network(x_t, t)``; for ``"edm"`` ``network(x_t / √ᾱ_t, σ_t)`` with σ = √((1-ᾱ)/ᾱ), a
        vector ``[batch]``.
    prediction
        What it returns: ``"noise"`` ε, ``"x0"``, ``"v"`` = √ᾱ ε - √(1-ᾱ) x_0, ``"score"``
        ∇ log p_t(x_t), or ``"edm"``, x_0 from EDM's inputs. diffusers' names are synonyms:
        ``"epsilon"``, ``"sample"``, ``"v_prediction"``.
    name
        What messages call the network.

    Raises
    ------
    ValueError
        If the prediction is unknown; when called, if the output is not a tensor of floating point
        numbers of the shape of ``x_t``.
    """
    kind = resolve_prediction(prediction)
    sigmas = edm_sigmas(schedule)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        device, dtype = _placement(network)
        seen = x_t.to(device or x_t.device, dtype or x_t.dtype)
        times = t.to(seen.device)
        if kind == "edm":
            # EDM's data are not shrunk: x_t / √ᾱ, which is x_0 of no noise at all.
            clean = schedule.noise_to_x0(x_t, t, torch.zeros_like(x_t)).to(seen)
            returned = network(clean, sigmas.to(t.device)[t].to(seen))
        else:
            returned = network(seen, times)
        output = _unwrapped(returned)
        if (
            not isinstance(output, Tensor)
            or output.shape != x_t.shape
            or not output.is_floating_point()
        ):
            raise ValueError(
                f"{name}: expected floats of the shape of x_t, {tuple(x_t.shape)} = [batch, tokens,"
                f" dim], got {shown(output)}; give a function that calls the network and brings its"
                " output into this shape"
            )
        if kind == "noise":
            return output.to(x_t)
        # What the network saw, rounded as it was, and no further rounding.
        exact = x_t.double() if kind == "edm" else seen.to(x_t.device, torch.float64)
        predicted = output.to(x_t.device, torch.float64)
        return to_noise(predicted, schedule, exact, t, prediction=kind).to(x_t)

    return denoise


def _check_like(name: str, value: Tensor, x_t: Tensor) -> None:
    if value.shape != x_t.shape or not (value.is_floating_point() and x_t.is_floating_point()):
        raise ValueError(
            f"{name}: expected floats of the shape of x_t, {shown(x_t)}, got {shown(value)}"
        )


def _placement(network: Any) -> tuple[torch.device | None, torch.dtype | None]:
    """Where a module computes, and in which type; None for what its tensors do not tell."""
    if not isinstance(network, nn.Module):
        return None, None
    tensors = list(chain(network.parameters(), network.buffers()))
    types = (each.dtype for each in tensors if each.is_floating_point())
    return (tensors[0].device if tensors else None), next(types, None)


def _unwrapped(returned: Any) -> Any:
    """The tensor in what a model of diffusers returns; anything else as it is."""
    if isinstance(returned, Tensor):
        return returned
    sample = getattr(returned, "sample", None)
    if isinstance(sample, Tensor):
        return sample
    if isinstance(returned, (tuple, list)) and returned and isinstance(returned[0], Tensor):
        return returned[0]
    return returned
