"""What chapter 5 runs: data laws, the descent, the sweeps and the cells of the phase diagrams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gmmtf import MultiTokenGMM, NoiseSchedule, natural_step_size
from gmmtf_book import study

SCHEDULE = NoiseSchedule.linear(1000)


@dataclass(frozen=True)
class Case:
    """One data law: M, N, K (None: M), and how rare pattern 0 is (None: as all others).

    ``rarest``: its probability π_min for a token; ``inclusion``: its probability to be among the K
    active patterns of a data point.
    """

    n_patterns: int
    n_tokens: int
    n_active: int | None = None
    rarest: float | None = None
    inclusion: float | None = None

    @property
    def labels(self) -> dict[str, int | float]:
        """Labels of the case in a record; the rarest pattern is pattern 0."""
        sizes = {"M": self.n_patterns, "K": self.n_active or self.n_patterns, "N": self.n_tokens}
        if self.inclusion is not None:
            return {**sizes, "inclusion": self.inclusion}
        return {**sizes, "pi_min": self.rarest or 1 / self.n_patterns}

    def mixture(self, dim: int, radius: float, sigma: float) -> MultiTokenGMM:
        """Return the data law; its other patterns share what the rarest leaves."""
        return MultiTokenGMM(
            n_patterns=self.n_patterns, dim=dim, n_tokens=self.n_tokens, radius=radius, sigma=sigma,
            weights=self._shared(self.rarest, 1), n_active=self.n_active,
            inclusion=self._shared(self.inclusion, self.n_active or self.n_patterns),
        )  # fmt: skip

    def _shared(self, rarest: float | None, total: float) -> list[float] | None:
        """Probabilities of all patterns, of which pattern 0 has the rarest."""
        if rarest is None:
            return None
        others = self.n_patterns - 1
        return [rarest] + [(total - rarest) / others] * others


@dataclass(frozen=True)
class Plan(study.Plan):
    """Sizes that all cases share, the cases, the training, and what else is computed.

    ``included``: smallest inclusion probabilities, with half of the patterns in a data point;
    ``learned``: smallest probabilities, of tokens and of data points, at which the steps until the
    rare pattern is learned are counted, with ``learned_tokens`` tokens. ``record_at``: steps at
    which the excess is evaluated, in increasing order; the last ends the run.
    ``relative_step_size``: step size in units of K M d/r⁶. ``batch_size``: data points a step,
    times M/K. ``n_points``: query tokens of the prediction. ``sweeps``: names of sweeps, all when
    None, with their ``sweep_first`` quickest points; ``checks``: cells (N, π_min) of the phase
    diagram that are simulated; ``filter_active``, ``filter_tokens``: K and N of the cells that are
    compared with a linear filter, ``filter_checks`` those (K, N) that are simulated;
    ``theory_points``: query tokens of what is computed for a figure or table and not recorded.
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
    included: tuple[float, ...] = (0.05, 0.5)
    learned: tuple[float, ...] = (0.04, 0.08)
    learned_tokens: int = 64
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
    filter_active: tuple[int, ...] = (2, 16)
    filter_tokens: tuple[int, ...] = (128,)
    filter_checks: tuple[tuple[int, int], ...] = ((2, 128),)
    theory_points: int = 2048

    unrecorded = frozenset({
        "sweeps", "sweep_first", "sweep_points", "phase_tokens", "phase_rarest", "phase_radii",
        "phase_points", "checks", "theory_points", "included", "learned",
        "learned_tokens", "filter_active", "filter_tokens", "filter_checks",
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
            "inclusion": [(p, self.rare_data(p)) for p in self.included],
            "N": [(count, Case(m, count)) for count in self.token_counts],
        }
        return {name: ([float(x) for x, _ in v], [c for _, c in v]) for name, v in found.items()}

    def rare_data(self, p: float, n_tokens: int | None = None) -> Case:
        """Return the case in which a share ``p`` of the data points hold the rarest pattern."""
        m, k = self.n_patterns, self.n_patterns // 2
        return Case(m, n_tokens or self.n_tokens, k, inclusion=None if p == k / m else p)

    def learned_cases(self) -> dict[str, list[Case]]:
        """Return the cases of the times until a rare pattern is learned, by what is rare."""
        m, n = self.n_patterns, self.learned_tokens
        return {
            "tokens": [Case(m, n, None, p) for p in self.learned],
            "data": [self.rare_data(p, n) for p in self.learned],
        }

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
        included=(0.5,), learned=(), sweeps=("rare, pi_min",), sweep_points=64,
        filter_active=(2,), filter_tokens=(128,), filter_checks=((2, 128),),
        phase_tokens=(128,), phase_rarest=(0.1,), phase_radii=(32.0,), theory_points=256,
    ),
    "paper": Plan(
        dim=256, radius=16.0, n_tokens=512, active_counts=(2, 4, 6, 8),
        pattern_counts=(2, 4, 8, 16), rarest=(0.01, 0.02, 0.05, 0.125),
        token_counts=(64, 128, 256, 512), included=(0.01, 0.02, 0.05, 0.125, 0.5),
        learned=(0.01, 0.02, 0.04, 0.08), learned_tokens=256,
        record_at=(20, 40), n_points=2048, seeds=(0, 1, 2),
        sweeps=None, sweep_first=5, sweep_points=512,
        phase_tokens=(64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048),
        phase_rarest=(0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.045, 0.07, 0.1, 0.125),
        phase_radii=(4.0, 5.7, 8.0, 11.3, 16.0, 22.6, 32.0, 45.3, 64.0), phase_points=512,
        checks=((64, 0.007), (64, 0.01), (128, 0.02), (256, 0.125), (512, 0.01), (512, 0.02),
                (512, 0.05), (1024, 0.01)),
        filter_active=(1, 2, 3, 4, 6, 8, 11, 16),
        filter_tokens=(8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024),
        filter_checks=((1, 32), (2, 16), (2, 64), (2, 256), (4, 64), (4, 256), (8, 128), (16, 8),
                       (16, 64), (16, 256), (16, 1024)),
    ),
}  # fmt: skip
"""``live``: half a minute of one core; ``smoke``: seconds; ``paper``: twenty minutes, recorded."""
