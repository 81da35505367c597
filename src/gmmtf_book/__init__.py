"""The rooms of the book's chapters: plans, runs, summaries and figures of one chapter each.

A line that knows a chapter lives here; a line that would make sense to somebody who never read the
book lives in `gmmtf`. No room imports another.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

BOOK = Path(__file__).resolve().parents[2] / "book"
"""Where the chapters' notebooks are, and their presets in ``params``."""

RESULTS = BOOK.parent / "data" / "results"
"""Where the recorded runs are kept."""

CHAPTERS = (
    "01_multi_token_gmm",
    "02_ddpm_objective",
    "03_mmse_denoiser",
    "04_training",
    "05_tokens_and_patterns",
    "06_mean_denoising",
    "07_effective_tokens",
    "08_better_heads",
    "09_digits_as_tokens",
    "10_mnist_generation",
    "11_sampling",
    "12_benchmark",
    "13_landscape",
)
"""Names of the chapters' notebooks; the room of each has its name with a ``c`` before it."""


def room(chapter: str) -> ModuleType:
    """Return the room of a chapter.

    Raises
    ------
    ValueError
        If there is no such chapter.
    """
    if chapter not in CHAPTERS:
        raise ValueError(f"chapter: expected one of {', '.join(CHAPTERS)}, got {chapter!r}")
    return import_module(f"gmmtf_book.c{chapter}")
