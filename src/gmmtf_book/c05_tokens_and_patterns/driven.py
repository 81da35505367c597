"""What the figure that the reader drives shows of the recorded runs with a rare pattern."""

from __future__ import annotations

from typing import Any

from gmmtf import Estimate
from gmmtf_book.c05_tokens_and_patterns.plan import Case
from gmmtf_book.c05_tokens_and_patterns.summary import Study

PRODUCTS = {"rarest same": "rareSame", "commonest same": "commonSame"}


def recorded_runs(study: Study) -> dict[str, Any]:
    """Return the setting of the runs, and what each ended with, as pairs (value, standard error).

    A case is of data points that hold the rarest pattern with probability ``rarest``; ``all`` is
    the excess of all tokens at ``steps``, ``own`` that of the rare pattern's at the last of them,
    when the ``products`` were read too.
    """
    plan = study.plan
    x, cases = plan.families()["inclusion"]
    first = plan.mixture(cases[0])
    return {
        "patterns": first.n_patterns,
        "active": first.k,
        "dim": plan.dim,
        "radius": plan.radius,
        "sigma": plan.sigma,
        "rate": plan.relative_step_size,
        "tokens": plan.n_tokens,
        "steps": list(plan.record_at),
        "cases": [_case(study, rarest, case) for rarest, case in zip(x, cases, strict=True)],
    }


def _case(study: Study, rarest: float, case: Case) -> dict[str, Any]:
    runs = [p.value for p in study.record.select(kind="simulated", **case.labels)]
    products = {
        name: _pair(Estimate.pooled([Estimate(run["products"][key]) for run in runs]))
        for key, name in PRODUCTS.items()
        if all("products" in run for run in runs)
    }
    return {
        "rarest": rarest,
        "all": [_pair(study.compare(case, step).simulated) for step in study.plan.record_at],
        "own": _pair(study.compare(case, what="rare").simulated),
        "products": products,
    }


def _pair(found: Estimate) -> tuple[float, float]:
    return round(found.value, 6), round(found.standard_error, 6)
