"""What the prose says of the two readings of a rare pattern: rare tokens, or rare data points."""

from __future__ import annotations

import pandas as pd

from gmmtf import Estimate
from gmmtf.scaling import fit_power_law
from gmmtf_book.c05_tokens_and_patterns.summary import Study


def product_table(study: Study) -> pd.DataFrame:
    """Query-key products after the run where the fewest data points hold the rarest pattern."""
    case = study.plan.families()["inclusion"][1][0]
    predicted = study.record.value(kind="predicted", **case.labels)["products"]
    runs = [p.value["products"] for p in study.record.select(kind="simulated", **case.labels)]
    rows = {}
    for name, value in predicted.items():
        query, key = name.split()
        found = Estimate.pooled([Estimate(run[name]) for run in runs])
        rows[f"{query} query, {key} pattern"] = {
            "simulated": f"{found.value:.2f} ± {found.standard_error:.2f}",
            "predicted": f"{value:.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("product")


def quoted(study: Study) -> dict[str, object]:
    """Return what the prose quotes."""
    plan = study.plan
    whole, own = study.series("inclusion"), study.series("inclusion", "rare", share=True)
    values = [e.value for e in whole.simulated]
    found: dict[str, object] = {
        "inc-k": plan.n_patterns // 2, "inc-first": whole.x[0], "inc-last": whole.x[-1],
        "inc-low": min(values), "inc-high": max(values),
        "inc-spread": 100 * (max(values) / min(values) - 1),
        "inc-own-first": 100 * own.simulated[0].value,
        "inc-own-last": 100 * own.simulated[-1].value,
        "inc-dev": 100 * study.deviation("inclusion"),
        "inc-own-dev": 100 * max(p.deviation for p in study.rare_pairs("inclusion")),
        "learn-n": plan.learned_tokens, "learn-rarest": plan.learned[0],
        "learn-last": plan.learned[-1],
    }  # fmt: skip
    for reading in ("tokens", "data"):
        series, first = study.learned(reading)
        steps = [e.value for e in series.simulated]
        ratios = [counted / alone for counted, alone in zip(steps, first, strict=True)]
        pairs = zip(steps, series.predicted, strict=True)
        found |= {
            f"learn-{reading}": str(fit_power_law(series.x, steps)),
            f"learn-{reading}-law": fit_power_law(series.x, first).exponent,
            f"learn-{reading}-most": steps[0], f"learn-{reading}-least": steps[-1],
            f"learn-{reading}-low": min(ratios), f"learn-{reading}-high": max(ratios),
            f"learn-{reading}-dev": 100 * max(abs(a / b - 1) for a, b in pairs),
        }  # fmt: skip
    return found
