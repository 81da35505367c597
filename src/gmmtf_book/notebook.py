"""What every chapter's notebook does: it begins, and it hands its numbers to the prose."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from IPython import get_ipython
from myst_nb import glue

from gmmtf.device import resolve_device
from gmmtf.figures import use_style
from gmmtf_book import BOOK, CHAPTERS
from gmmtf_book.parameters import check_injected


def begin(seed: int, device: str) -> tuple[torch.Generator, torch.Generator]:
    """Set the style of the figures, and return generators on the CPU and on the device.

    One thread is fastest for small tensors, and results repeat. Parameters that papermill injected
    are checked, and relative paths are those of the book's folder, wherever papermill was called.

    Raises
    ------
    ValueError
        If there is no such device, or a parameter has another type than the chapter's own.
    """
    shell = get_ipython()
    if shell is not None:
        check_injected(shell.user_ns.get("In", []), shell.user_ns)
        if not Path(
            "params", CHAPTERS[0]
        ).is_dir():  # neither the book's folder nor a working copy of it
            os.chdir(BOOK)
    torch.set_num_threads(1)
    use_style()
    place = resolve_device(device)
    return torch.Generator().manual_seed(seed), torch.Generator(place).manual_seed(seed)


def glue_all(prefix: str, numbers: Mapping[str, object]) -> None:
    """Glue numbers and texts for the prose, as ``prefix-name`` each, without showing them.

    Scalars of numpy become plain numbers, whose text is that of the number alone.
    """
    for name, value in numbers.items():
        plain = value.item() if isinstance(value, np.generic) else value
        glue(f"{prefix}-{name}", plain, display=False)
