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
        "inc-k": plan.n_patterns // 2, "inc-first": whole.x[0],
        "inc-spread": 100 * (max(values) / min(values) - 1),
        "inc-own-first": 100 * own.simulated[0].value,
        "inc-own-last": 100 * own.simulated[-1].value,
        "learn-n": plan.learned_tokens,
    }  # fmt: skip
    for reading in ("tokens", "data"):
        series, first = study.learned(reading)
        steps = [e.value for e in series.simulated]
        found |= {
            f"learn-{reading}": fit_power_law(series.x, steps).exponent,
            f"learn-{reading}-law": fit_power_law(series.x, first).exponent,
        }
    return found
