"""Progress bars that a person sees and that recorded outputs do not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def is_watched() -> bool:
    """Whether a person watches the output: in a terminal, or in a kernel of a Jupyter server.

    A Jupyter server names the notebook in ``JPY_SESSION_NAME`` for the kernels that it starts.
    Programs that execute notebooks (the book's build, papermill, nbval) start kernels without it.
    """
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ


def progress(
    iterable: Iterable[Item],
    description: str,
    total: int | None = None,
    initial: int = 0,
    images: int | None = None,
) -> tqdm[Item]:
    """Iterate with a progress bar on stderr, shown only where :func:`is_watched`.

    With ``images`` a step, the bar counts images and shows their rate.
    """
    return tqdm(
        iterable,
        desc=description,
        total=total,
        initial=initial,
        disable=not is_watched(),
        leave=False,
        unit="it" if images is None else " images",
        unit_scale=False if images is None else images,
    )
