"""What chapter 9 runs: the tokens, the training, the measurements."""

from __future__ import annotations

from dataclasses import dataclass

from gmmtf import NoiseSchedule
from gmmtf_book import study
from gmmtf_book.c09_digits_as_tokens import tokens
from gmmtf_book.c09_digits_as_tokens.setting import Setting

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Plan(study.Plan):
    """Sizes and settings.

    ``per_digit``: training images of each digit; ``components``: normal components fitted to each.
    ``records``: steps at which a loss is measured, the last is the length of a run.
    ``relative_step_size``: in units of M²d/r⁶. ``n_evaluate`` and ``n_level``: data points for a
    loss over the schedule and at one of ``level_times``; ``n_direction``: batches for the first
    step; ``n_predict``: points of the theory's net.
    """

    dim: int = 64
    n_tokens: int = 128
    per_digit: int = 1000
    components: int = 2
    records: tuple[int, ...] = (0, 4, 8, 12, 16, 20, 28, 40, 60, 80)
    batch_size: int = 16
    relative_step_size: float = 0.1
    n_seeds: int = 1
    rare_digits: tuple[int, ...] = (2,)
    rare_probability: float = 0.01
    n_evaluate: int = 64
    n_level: int = 4
    level_times: tuple[int, ...] = (0, 10, 50, 100, 200, 300, 400, 550, 700, 850)
    n_direction: int = 64
    n_predict: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = list(self.records)
        if len(steps) < 2 or steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError(f"records: expected increasing steps from 0 on, got {steps}")
        if self.n_seeds < 1:
            raise ValueError(f"n_seeds: expected at least 1, got {self.n_seeds}")

    def setting(self) -> Setting:
        """Load the tokens, and fit what is fitted to them."""
        data = tokens.load(self.dim, per_digit=self.per_digit)
        return Setting(data, SCHEDULE, self.n_tokens, self.components, self.seed)


PLANS = {
    "live": Plan(),
    "smoke": Plan(
        dim=24, per_digit=200, n_tokens=48, components=1, records=(0, 8, 40), n_evaluate=32,
        n_level=2, level_times=(0, 100, 400), n_direction=16, n_predict=128,
    ),
    "paper": Plan(
        dim=87, per_digit=2500, n_tokens=512, components=4, batch_size=8, n_seeds=3,
        rare_digits=(2, 4, 7), n_level=2, n_direction=128, n_predict=2048,
    ),
}  # fmt: skip
"""``live``: a minute; ``smoke``: seconds; ``paper``: less than ten minutes of one core."""
