"""Handwritten digits from the shipped weights, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from gmmtf.arguments import checked, count, shown
from gmmtf.device import resolve_device
from gmmtf.images.sampler import SOLVERS, Weight, check_guidance, check_sampler, draw
from gmmtf.images.weights import Trained, load_shipped
from gmmtf.temperature import Positive, check_temperature

GENERATOR = "ten"
"""Name of the shipped network that draws the digits."""

GUIDE = "ten-guide"
"""Name of the shipped network that guides it."""

TEMPERATURE = 0.9
"""At this one more digits are recognised than at 1, and they are nearer to real ones."""

Device = Annotated[torch.device | str, "checked by resolve_device"]


@checked
def generate(
    digits: int | str | Sequence[int | str],
    n: int = 1,
    *,
    seed: int = 0,
    sampler: str = "dpm-solver++",
    n_calls: int = 15,
    spacing: str | None = None,
    temperature: Positive = TEMPERATURE,
    guidance: Weight = 1.0,
    device: Device = "cpu",
    root: str | Path | None = None,
) -> Tensor:
    """Draw images of handwritten digits with the shipped weights.

    Parameters
    ----------
    digits
        A digit, ``7`` or ``"7"``, or several, ``"2026"`` or ``[2, 0, 2, 6]``.
    n
        How often they are drawn.
    seed
        Of the noise, which is drawn on the device; one seed gives the same images again.
    sampler, n_calls, spacing
        See :func:`gmmtf.images.sampler.draw`. Without a spacing a solver has Karras' times, with
        which these weights draw better digits, and the other samplers even ones.
    temperature
        Below 1 digits are clearer and vary less; 1 leaves the network's estimates as they are.
        See :func:`gmmtf.images.sampler.draw`.
    guidance
        Weight of classifier-free guidance; 1 is none, and a larger one gives clearer digits that
        vary less. See :func:`gmmtf.images.sampler.guided`.
    device
        Where the images are drawn: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.
    root
        Folder that holds ``checkpoints/``; see :func:`gmmtf.images.files.data_root`.

    Returns
    -------
    Tensor
        Pixels in [-1, 1], 1 is ink, ``[n · k, 28, 28]`` for k digits: the k digits in their order,
        n times over; ``images.view(n, k, 28, 28)[i]`` are those of the i-th time.

    Raises
    ------
    ValueError
        Before any work, if a digit is none or unknown to the weights, ``n`` is not positive, the
        sampler, its number of calls, their spacing, the temperature or the weight is out of range,
        the guide was trained on other digits, or the device is not there.
    DataError
        If the weights are missing or altered.
    ImportError
        If the sampler is DPM-Solver++ and diffusers is not installed.
    """
    chosen, n = _each(digits), count("n", n, 1)
    seed, weight = count("seed", seed, 0), check_guidance(guidance)
    temperature = check_temperature(temperature)
    place = resolve_device(str(device))
    trained = load_shipped(GENERATOR, root, place)
    if spacing is None:
        spacing = "karras" if sampler in SOLVERS else "even"
    n_calls = check_sampler(sampler, n_calls, trained.model.schedule.n_steps, spacing)
    if unknown := sorted(set(chosen) - set(trained.digits)):
        raise ValueError(f"digits: the weights know {trained.digits}, got {unknown}")
    guide = None if weight == 1 else _guide(trained, root, place).model
    classes = torch.tensor([trained.digits.index(digit) for digit in chosen] * n, device="cpu")
    return draw(
        trained.model, classes, len(classes), sampler=sampler, n_calls=n_calls, spacing=spacing,
        temperature=temperature, seed=seed, guide=guide, guidance=weight,
    )  # fmt: skip


def _each(digits: int | str | Sequence[int | str]) -> list[int]:
    """Return the digits one by one."""
    entries = [digits] if isinstance(digits, int) else list(digits)
    known = {name: digit for digit in range(10) for name in (digit, str(digit))}
    chosen = [known.get(entry, -1) for entry in entries]
    if not chosen or -1 in chosen:
        raise ValueError(
            "digits: expected digits from 0 to 9, such as 7, '7', '2026' or [2, 0, 2, 6], "
            f"got {shown(digits)}"
        )
    return chosen


def _guide(trained: Trained, root: str | Path | None, device: torch.device) -> Trained:
    """Load the guide, and refuse one that would guide away from other digits."""
    guide = load_shipped(GUIDE, root, device)
    if sorted(guide.digits) != sorted(trained.digits):
        raise ValueError(
            f"guidance: expected 1, as the guide was trained on the digits {guide.digits}, "
            f"and the generator on {trained.digits}"
        )
    return guide
