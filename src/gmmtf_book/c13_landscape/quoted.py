"""What the prose of chapter 13 quotes, section by section, and what its tables show."""

from __future__ import annotations

import math

import pandas as pd
import torch

from gmmtf import Estimate
from gmmtf.curve import Curve
from gmmtf_book.c13_landscape.figures import coordinates
from gmmtf_book.c13_landscape.runs import Run
from gmmtf_book.c13_landscape.summary import ARRIVED, Study

Numbers = dict[str, object]


def convergence_table(paper: Study) -> pd.DataFrame:
    """What each excess risk takes, with dimensions as powers of two."""
    found = paper.convergence()
    shown = pd.DataFrame(
        {"step 𝒯(ε/2)": found["step"], "exponent in 1/ε": _digits(found["slope"], "{:.2f}")}
    )
    for name in (name for name in found if str(name).startswith("d,")):
        shown[name] = found[name].map(lambda d: "-" if pd.isna(d) else f"2^{math.log2(d):.0f}")
    return shown.assign(**{"Nε/K, N = √d": _digits(found["Nε/K"], "{:.2g}")})


def _digits(column: pd.Series[float], form: str) -> pd.Series[str]:
    return column.map(lambda x: "-" if pd.isna(x) else form.format(x))


def valley(run: Run, paths: dict[str, Curve]) -> Numbers:
    """The descents on the slice, the first of them from zero."""
    ends = [path.excess[-1].value for path in paths.values()]
    sames = [float(coordinates(path)[0][-1]) for path in paths.values()]
    return {
        "slice-worst": max(ends) / ends[0], "slice-least": min(ends) / ends[0],
        "slice-same-low": min(sames), "slice-same-high": max(sames),
        "slice-steps": run.plan.slice_steps,
    }  # fmt: skip


def starts_table(paper: Study) -> pd.DataFrame:
    """How the descents from each start get on; the median, and the largest where there are more."""
    columns = {
        "first": ("excess there", 2),
        "early": (f"after {paper.plan.starts_steps} steps, over that from zero", 2),
        "arrived": ("steps until it has arrived", 0),
    }
    rows = {}
    for name, each in paper.arrivals().groupby("start", sort=False):
        rows[name] = {"descents": len(each)} | {
            title: _median_and_largest(each[column], digits)
            for column, (title, digits) in columns.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("start")


def _median_and_largest(values: pd.Series, digits: int) -> str:
    found = f"{values.median():.{digits}f}"
    return found if len(values) == 1 else f"{found} ({values.max():.{digits}f})"


def curvature_table(paper: Study) -> pd.DataFrame:
    """Gradient and extreme eigenvalues of the Hessian at three places."""
    places = {
        "zero": "W = 0",
        "end": f"step {paper.plan.starts_steps} from zero",
        "plateau": f"step {paper.plan.starts_steps} from random 10",
    }
    bent = paper.curvature().loc[list(places), ["gradient", "smallest", "largest"]]
    bent = bent.rename(index=places, columns={"largest": "largest eigenvalue"})
    return bent.rename_axis("Hessian at").map("{:.1e}".format)


def starts(bends: dict[int, float], paper: Study) -> Numbers:
    """Curvature, and the descents from other starts."""
    hills, found, slope = paper.landscape_numbers(), paper.arrivals(), paper.curvature()["gradient"]
    steps = paper.plan.starts_steps
    caught, _ = paper.starts()["random 10"][0]
    preferred = caught.products[caught.steps.index(steps)].argmax(dim=1)
    arrived = found.groupby("start")["arrived"]
    random = arrived.get_group("random 10")
    shares: Numbers = {f"bend-{count}": share for count, share in bends.items()}
    return shares | {
        "bend-paper": hills["smallest_at_zero"], "easy-worst": hills["worst_early"],
        "random-median": float(random.median()), "random-largest": float(random.max()),
        "random-soon": int((random <= steps).sum()), "seeds": len(random),
        "random-early": hills["early random 10"], "large-early": hills["early large"],
        "large-arrived": float(arrived.max()["large"]), "arrived-percent": 100 * (ARRIVED - 1),
        "starts-steps": steps, "starts": len(found) - 1,
        "wrong": int((preferred != torch.arange(len(preferred))).sum()),
        "gradient-drop": float(slope["zero"] / slope["plateau"]),
    }  # fmt: skip


def live(
    bends: dict[int, float],
    paths: dict[str, Curve],
    line: dict[float, Estimate],
    simulated: dict[float, Estimate],
) -> dict[str, float]:
    """Return the numbers that a run computed, by the names of their bounds."""
    zero, *others = paths.values()
    return {
        "live_bend_4": bends[4], "live_bend_5": bends[5], "live_bend_2": bends[2],
        "live_line": max(line[s].errors_from(simulated[s]) for s in line),
        "live_from_zero": zero.excess[-1].value / zero.excess[0].value,
        "live_slice_worst": max(p.excess[-1].value / zero.excess[-1].value for p in others),
    }  # fmt: skip
