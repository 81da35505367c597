"""What the study runs: data laws and the settings of the descent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.risks.first_step import natural_step_size


@dataclass(frozen=True)
class Case:
    """One data law of the study: M, N, K (None: M) and π_min (None: equal probabilities)."""

    n_patterns: int
    n_tokens: int
    n_active: int | None = None
    rarest: float | None = None

    @property
    def key(self) -> str:
        """Name of the case in a recording."""
        active = self.n_patterns if self.n_active is None else self.n_active
        return f"M={self.n_patterns} K={active} N={self.n_tokens} pi_min={self.smallest:g}"

    @property
    def smallest(self) -> float:
        """π_min; the rarest pattern is pattern 0, and the others share the rest equally."""
        return 1 / self.n_patterns if self.rarest is None else self.rarest


@dataclass(frozen=True)
class Plan:
    """What is run: the sizes that all cases share, the cases, and the training.

    ``record_at``: steps at which the excess is evaluated, in increasing order; the last ends the
    run. ``relative_step_size``: step size in units of K M d/r⁶. ``n_points``: query tokens of the
    net on which the prediction descends.
    """

    dim: int
    radius: float
    sigma: float
    n_patterns: int
    n_tokens: int
    active_counts: tuple[int, ...]
    pattern_counts: tuple[int, ...]
    rarest: tuple[float, ...]
    token_counts: tuple[int, ...]
    record_at: tuple[int, ...]
    relative_step_size: float
    batch_size: int
    eval_samples: int
    n_points: int
    seeds: tuple[int, ...]

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Plan:
        """Rebuild a plan from the settings of a recording."""
        stored: dict[str, Any] = settings["plan"]
        entries: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return cls(**entries)

    def settings(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"plan": asdict(self)}

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
        weights = None
        if case.rarest is not None:
            rest = (1 - case.rarest) / (case.n_patterns - 1)
            weights = [case.rarest] + [rest] * (case.n_patterns - 1)
        return MultiTokenGMM(
            n_patterns=case.n_patterns,
            dim=self.dim,
            n_tokens=case.n_tokens,
            radius=self.radius,
            sigma=self.sigma,
            weights=weights,
            n_active=case.n_active,
        )

    def step_size(self, mixture: MultiTokenGMM) -> float:
        """Return the step size for a data law."""
        return self.relative_step_size * natural_step_size(mixture)
