"""What chapter 12 runs."""

from __future__ import annotations

from dataclasses import dataclass

from gmmtf_book import study


@dataclass(frozen=True)
class Plan(study.Plan):
    """Sizes and settings.

    ``set_sizes``, ``set_seeds``: of the study of training sets; ``set_dim``, ``set_tokens``: its d
    and N; ``set_steps``, ``set_tokens_per_step``: the training there; ``set_measured``: data points
    that are measured at each noise level.
    """

    set_sizes: tuple[int, ...] = (100,)
    set_seeds: tuple[int, ...] = (0,)
    set_dim: int = 16
    set_tokens: int = 16
    set_steps: int = 2000
    set_tokens_per_step: int = 1024
    set_measured: int = 128

    unrecorded = frozenset({"set_sizes", "set_seeds"})


PLANS = {
    "paper": Plan(set_sizes=(10**2, 10**3, 10**4, 10**5, 10**6, 0), set_seeds=(0, 1, 2)),
}
