"""What chapter 12 runs."""

from __future__ import annotations

from dataclasses import dataclass

from gmmtf_book import study


@dataclass(frozen=True)
class Plan(study.Plan):
    """Sizes and settings.

    ``set_entries``, ``set_sizes``, ``set_seeds``: of the study of training sets; a size of 0 stands
    for fresh data. ``set_ideal``: largest set of which the empirical ideal is measured.
    ``set_dim``, ``set_tokens``: d and N of the law. ``set_steps``, ``set_tokens_per_step``: of the
    training. ``set_measured``: data points that are measured at each noise level.
    """

    set_entries: tuple[str, ...] = ("empirical ideal",)
    set_sizes: tuple[int, ...] = (100, 1000)
    set_ideal: int = 10**5
    set_seeds: tuple[int, ...] = (0,)
    set_dim: int = 16
    set_tokens: int = 16
    set_steps: int = 1000
    set_tokens_per_step: int = 1024
    set_measured: int = 128

    unrecorded = frozenset({"set_entries", "set_sizes", "set_ideal", "set_seeds"})


_ENTRIES = ("empirical ideal", "head", "head + value", "MLP", "DiT")

PLANS = {
    "live": Plan(),
    "smoke": Plan(set_sizes=(10, 100), set_measured=16),
    "paper": Plan(
        set_entries=_ENTRIES, set_sizes=(10, 10**2, 10**3, 10**4, 10**5, 10**6, 0),
        set_seeds=(0, 1, 2),
    ),
}  # fmt: skip
"""``live``: half a minute; ``smoke``: seconds; ``paper``: twenty minutes of one core."""
