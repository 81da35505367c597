"""What is timed of sweeps: how much faster two workers are than one."""

from __future__ import annotations

from benchmarks.timing import Spread, speedup
from gmmtf import MultiTokenGMM, NoiseSchedule, bayes_risk, sweep

N_RUNS = 10


def risks(seed: int, n_points: int) -> list[float]:
    """Return the Bayes risk at ten noise levels: some seconds of work on one thread."""
    mixture = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=2048, radius=16.0, sigma=0.3)
    schedule = NoiseSchedule.linear(1000)
    return [
        bayes_risk(mixture, schedule, t=t, n_points=n_points, seed=seed).value
        for t in range(50, 1000, 100)
    ]


def two_workers() -> tuple[str, Spread]:
    """Time a sweep with two processes against the same with one, the start of both included."""

    def runs(n_workers: int) -> None:
        fixed = {"n_points": 2**17}
        sweep(risks, {"seed": range(N_RUNS)}, None, fixed=fixed, n_workers=n_workers)

    ratio = speedup(lambda: runs(1), lambda: runs(2))
    return f"sweep of {N_RUNS} runs, two workers against one (times)", ratio


CASES = {"sweep_two_workers_speedup": two_workers}
