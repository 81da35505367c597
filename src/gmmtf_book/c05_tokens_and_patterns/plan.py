"""What chapter 5 runs: data laws, the descent, the sweeps and the cells of the phase diagrams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gmmtf import MultiTokenGMM, NoiseSchedule, natural_step_size
from gmmtf_book import study

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Case:
    """One data law: M, N, K (None: M) and π_min (None: equal probabilities)."""

    n_patterns: int
    n_tokens: int
    n_active: int | None = None
    rarest: float | None = None

    @property
    def labels(self) -> dict[str, int | float]:
        """Labels of the case in a record; the rarest pattern is pattern 0."""
        active, rarest = self.n_active or self.n_patterns, self.rarest or 1 / self.n_patterns
        return {"M": self.n_patterns, "K": active, "N": self.n_tokens, "pi_min": rarest}

    def mixture(self, dim: int, radius: float, sigma: float) -> MultiTokenGMM:
        """Return the data law; its other patterns share what the rarest leaves."""
        size, p = self.n_patterns, self.rarest
        return MultiTokenGMM(
            n_patterns=size, dim=dim, n_tokens=self.n_tokens, radius=radius, sigma=sigma,
            weights=None if p is None else [p] + [(1 - p) / (size - 1)] * (size - 1),
            n_active=self.n_active,
        )  # fmt: skip


@dataclass(frozen=True)
class Plan(study.Plan):
    """Sizes that all cases share, the cases, the training, and what else is computed.

    ``record_at``: steps at which the excess is evaluated, in increasing order; the last ends the
    run. ``relative_step_size``: step size in units of K M d/r⁶. ``batch_size``: data points a step,
    times M/K. ``n_points``: query tokens of the prediction. ``sweeps``: names of sweeps, all when
    None, with their ``sweep_first`` quickest points; ``checks``: cells (N, π_min) of the phase
    diagram that are simulated; ``theory_points``: query tokens of what is computed for a figure or
    table and not recorded.
    """

    dim: int = 64
    radius: float = 8.0
    sigma: float = 0.3
    n_patterns: int = 8
    n_tokens: int = 64
    active_counts: tuple[int, ...] = (2, 4, 8)
    pattern_counts: tuple[int, ...] = (2, 4, 8)
    rarest: tuple[float, ...] = (0.02, 0.05, 0.125)
    token_counts: tuple[int, ...] = (64, 96, 128)
    record_at: tuple[int, ...] = (10, 30)
    relative_step_size: float = 1.0
    batch_size: int = 6
    eval_samples: int = 64
    n_points: int = 512
    seeds: tuple[int, ...] = (0,)
    sweeps: tuple[str, ...] | None = ("share, K = M", "share, step size", "rare, pi_min",
                                      "tokens, target")  # fmt: skip
    sweep_first: int = 3
    sweep_points: int = 256
    phase_tokens: tuple[int, ...] = (128, 512)
    phase_rarest: tuple[float, ...] = (0.045, 0.1)
    phase_radii: tuple[float, ...] = (8.0, 32.0)
    phase_points: int = 256
    checks: tuple[tuple[int, float], ...] = ()
    theory_points: int = 2048

    unrecorded = frozenset({
        "sweeps", "sweep_first", "sweep_points", "phase_tokens", "phase_rarest", "phase_radii",
        "phase_points", "checks", "theory_points",
    })  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """Return what all points of a record depend on: of the training, and of all else."""
        other = {"sweep_points": self.sweep_points, "phase_points": self.phase_points}
        return {"plan": super().settings(), **other}

    def families(self) -> dict[str, tuple[list[float], list[Case]]]:
        """Cases by what is varied: abscissae and cases. A case may be in several families."""
        m, n = self.n_patterns, self.n_tokens
        found: dict[str, list[tuple[float, Case]]] = {
            "K": [(k, Case(m, n, None if k == m else k)) for k in self.active_counts],
            "K = M": [(k, Case(k, n)) for k in self.pattern_counts],
            "pi_min": [(p, Case(m, n, None, None if p == 1 / m else p)) for p in self.rarest],
            "N": [(count, Case(m, count)) for count in self.token_counts],
        }
        return {name: ([float(x) for x, _ in v], [c for _, c in v]) for name, v in found.items()}

    def mixture(self, case: Case) -> MultiTokenGMM:
        """Return the data law of a case."""
        return case.mixture(self.dim, self.radius, self.sigma)

    def step_size(self, mixture: MultiTokenGMM) -> float:
        """Return the step size for a data law."""
        return self.relative_step_size * natural_step_size(mixture)


PLANS = {
    "live": Plan(),
    "smoke": Plan(
        active_counts=(2, 8), pattern_counts=(8,), rarest=(0.125,), token_counts=(64,),
        record_at=(4, 8), batch_size=4, eval_samples=16, n_points=128,
        sweeps=("rare, pi_min",), sweep_points=64,
        phase_tokens=(128,), phase_rarest=(0.1,), phase_radii=(32.0,), theory_points=256,
    ),
    "paper": Plan(
        dim=256, radius=16.0, n_tokens=512, active_counts=(2, 4, 6, 8),
        pattern_counts=(2, 4, 8, 16), rarest=(0.01, 0.02, 0.05, 0.125),
        token_counts=(64, 128, 256, 512), record_at=(20, 40), n_points=2048, seeds=(0, 1, 2),
        sweeps=None, sweep_first=5, sweep_points=512,
        phase_tokens=(64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048),
        phase_rarest=(0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.045, 0.07, 0.1, 0.125),
        phase_radii=(4.0, 5.7, 8.0, 11.3, 16.0, 22.6, 32.0, 45.3, 64.0), phase_points=512,
        checks=((64, 0.007), (64, 0.01), (128, 0.02), (256, 0.125), (512, 0.01), (512, 0.02),
                (512, 0.05), (1024, 0.01)),
    ),
}  # fmt: skip
"""``live``: half a minute of one core; ``smoke``: seconds; ``paper``: ten minutes, recorded."""
