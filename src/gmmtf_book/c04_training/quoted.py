"""What the prose of chapter 4 quotes, section by section, and what its figures draw."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from gmmtf import bayes_risk, oracle_risk
from gmmtf.risks.first_step import descent_direction, exact_descent_direction
from gmmtf.risks.formulas import mean_denoising_excess, start_risk
from gmmtf_book.c04_training import descent
from gmmtf_book.c04_training.growth import growth_summary
from gmmtf_book.c04_training.landscape import landscape_summary
from gmmtf_book.c04_training.plan import SCHEDULE, Plan
from gmmtf_book.c04_training.record import Points
from gmmtf_book.c04_training.runs import Run
from gmmtf_book.c04_training.summary import EASY

Numbers = dict[str, object]


def plan_of(paper: Points) -> Plan:
    """Return the plan of the recorded run."""
    return Plan(**paper.settings)


def start(run: Run) -> Numbers:
    """The untrained head."""
    return {
        "n": run.plan.n_tokens,
        "start-formula": run.start_formula,
        "start-measured": str(run.start.loss),
        "bayes": run.bayes,
        "oracle": run.oracle,
    }


def first_step_error(run: Run) -> float:
    """Standard error of the mean measured rate of products of a pattern with itself."""
    size: float = run.plan.n_patterns**0.5
    return float(run.first_step["error"][run.same].mean()) / size


def first_step(run: Run) -> Numbers:
    """The first step."""
    rates = run.first_step
    found: Numbers = {}
    for name, which in (("same", run.same), ("other", ~run.same)):
        limit = rates["limit"][which].mean()
        found[f"{name}-ratio"] = float(rates["measured"][which].mean() / limit)
        found[f"exact-{name}"] = float(rates["exact"][which].mean() / limit)
    by_limit = float(rates["limit"][run.same].mean())
    return found | {"direction-error": first_step_error(run) / by_limit}


def panels(run: Run, paper: Points) -> dict[str, dict[str, Any]]:
    """Curves and risks of this run and of the recorded one, by title."""
    here, there = run.plan, plan_of(paper)
    values = run.points.values
    return {
        f"here: $d$ = {here.dim}, $N$ = {here.n_tokens}": {
            "simulated": values["full"],
            "predicted": values["predicted"],
            "bayes": run.bayes,
            "oracle": run.oracle,
        },
        f"recorded: $d$ = {there.dim}, $N$ = {there.n_tokens}": {
            "simulated": descent.mean_curve(descent.runs(paper.values, "simulated/")),
            "predicted": paper.values["predicted"],
            "bayes": float(bayes_risk(there.law, SCHEDULE)),
            "oracle": oracle_risk(there.law, SCHEDULE),
        },
    }


def kept(run: Run) -> tuple[float, float]:
    """Excess risk and score-matching error at the end of training over those at its start."""
    first, last = run.records[0], run.records[-1]
    excess = last.excess_risk.value / first.excess_risk.value
    return excess, last.score_error.value / first.score_error.value


def end_ratio(values: dict[str, Any]) -> float:
    """Excess risk at the end of training over its prediction."""
    return float(values["full"]["excess"][-1][0] / values["predicted"]["excess"][-1][0])


def training(run: Run, paper: Points) -> Numbers:
    """The curves of training."""
    values, stored, there = run.points.values, paper.values, plan_of(paper)
    first, last = run.records[0].excess_risk.value, run.records[-1].excess_risk.value
    begin = stored["predicted"]["excess"][0][0]
    numbers, (excess, score) = descent.descent_summary(stored), kept(run)
    return {
        "excess-first": first,
        "excess-last": last,
        "kept": 100 * excess,
        "score-kept": 100 * score,
        "half": next(r.step for r in run.records if r.excess_risk.value < first / 2),
        "live-deviation": 100 * descent.deviation(values["full"], values["predicted"]),
        "live-end": 100 * abs(end_ratio(values) - 1),
        "paper-kept": 100 * numbers["kept"],
        "paper-score-kept": 100 * numbers["kept_score"],
        "paper-deviation": 100 * numbers["deviation"],
        "paper-one-seed": 100 * numbers["deviation_one_seed"],
        "paper-full": 100 * descent.deviation(stored["full"], stored["predicted"]),
        "paper-full-end": 100 * abs(end_ratio(stored) - 1),
        "paper-batch": there.batch_size,
        "paper-first-batch": there.first_batch_size,
        "paper-steps": there.steps,
        "paper-best": 100 * stored["best"]["excess"][0] / begin,
        "paper-k-over-n": 100 * mean_denoising_excess(there.law, SCHEDULE) / begin,
    }


def norms(run: Run) -> dict[str, tuple[list[int], list[float]]]:
    """Norms of the parts of r²W during training, by name."""
    at, unit, (outside, walk) = run.plan.at[1:], run.plan.radius**2, run.outside
    return {
        "pattern block": (at, [unit * float(run.reduced[k].pattern.norm()) for k in at]),
        "complement": (at, [unit * abs(float(run.reduced[k].complement)) for k in at]),
        "outside the family": (at, [unit * outside[k] for k in at]),
        "noise of the batches": (at, [unit * walk[k] for k in at]),
    }


def weight(run: Run, paper: Points) -> Numbers:
    """The trained weight."""
    unit, final, law = run.plan.radius**2, run.reduced[-1], run.law
    predicted, stored, (outside, walk) = run.points.values["predicted"], paper.values, run.outside
    products, size = unit * final.pattern, run.plan.n_patterns
    first = float(exact_descent_direction(law, SCHEDULE).gamma(law))
    return {
        "diagonal": float(products[run.same].mean()),
        "diagonal-spread": float(products[run.same].std()),
        "off-diagonal": float(products[~run.same].mean()),
        "row-sum": float(products.sum(1).abs().max()),
        "gamma": unit * float(final.gamma(law)),
        "gamma-predicted": predicted["complement"][-1],
        "diagonal-predicted": sum(predicted["products"][-1][u][u] for u in range(size)) / size,
        "gamma-peak": max(predicted["complement"]),
        "gamma-best": stored["best"]["complement"],
        "gamma-paper": stored["predicted"]["complement"][-1],
        "gamma-first": first * run.plan.lr * unit,
        "outside": 100 * outside[-1] / float(run.weights[-1].norm()),
        "outside-walk": outside[-1] / walk[-1],
        "outside-paper": stored["full"]["outside"][-1] / stored["full"]["walk"][-1],
    }


def attention(run: Run, t: int) -> Numbers:
    """Attention before and after training at a noise level."""
    after, _ = run.attend(run.head, t)
    return {
        "self-after": 100 * float(after.diagonal(dim1=1, dim2=2).mean()),
        "mass-before": 100 * run.own_mass(run.untrained(), t),
        "mass-after": 100 * run.own_mass(run.head, t),
        "attention-time": t,
        "perfect": run.perfect_selection(),
        "over-oracle": run.bayes + run.records[-1].excess_risk.value - run.oracle,
    }


def selection_table(run: Run, times: list[int]) -> pd.DataFrame:
    """Attention to the own pattern and excesses over the oracle, a row a noise level."""
    rows = {}
    for t in times:
        gap = bayes_risk(run.law, SCHEDULE, t=t).value - oracle_risk(run.law, SCHEDULE, t=t)
        found = run.measured(run.head, run.plan.n_exercise, t=t).excess_risk.value
        rows[t] = {
            "own pattern": f"{run.own_mass(run.head, t):.1%}",
            "trained, over oracle": f"{found + gap:.4f}",
            "perfect selection": f"{run.perfect_selection(t):.4f}",
            "uniform": f"{start_risk(run.law, SCHEDULE, t=t):.4f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("t")


def product_rows(run: Run, paper: Points) -> dict[str, dict[str, Any]]:
    """Curves of products of this run and of the recorded one, by title."""
    both = {
        f"$N$ = {run.plan.rare_n_tokens}": run.points.values,
        f"recorded, $N$ = {plan_of(paper).rare_n_tokens}": paper.values,
    }
    return {
        title: {
            "simulated": descent.mean_curve(descent.runs(values, "products/")),
            "predicted": values["products"],
        }
        for title, values in both.items()
    }


def ends(plan: Plan) -> tuple[int, int]:
    """The rarest and the commonest pattern."""
    weights = list(plan.rare_weights)
    return weights.index(min(weights)), weights.index(max(weights))


def products(run: Run, paper: Points) -> Numbers:
    """Products of the law with unequal patterns."""
    rarest, commonest = ends(run.plan)
    weights, law = list(run.plan.rare_weights), run.plan.unequal
    here = growth_summary(run.points.values, weights)
    there = growth_summary(paper.values, list(plan_of(paper).rare_weights))
    found: Numbers = {}
    for scope, summary in (("here", here), ("there", there)):
        found |= {f"{scope}-{k.replace('_', '-')}": value for k, value in summary.items()}
    exact = exact_descent_direction(law, SCHEDULE).pattern
    limit = descent_direction(law, SCHEDULE).pattern
    runs = descent.runs(paper.values, "products/")
    seen = descent.mean_curve(runs)

    def step_of(u: int) -> str:
        # The first recorded step at which the product of a pattern with itself has reached 1.
        pairs = zip(seen["step"], seen["products"], strict=True)
        return next((str(step) for step, product in pairs if product[u][u] >= 1), "none")

    at_end = [each["products"][-1][rarest][rarest] for each in runs]
    others = [v for v in range(len(weights)) if v != rarest]
    return found | {
        "there-ratio-percent": 100 * there["ratio_deviation"],
        "limit-ratio": float(limit[commonest, commonest] / limit[rarest, rarest]),
        "rising": sum(float(exact[rarest, v]) > 0 for v in others),
        "rare-low": min(at_end),
        "rare-high": max(at_end),
        "rare-time": step_of(rarest),
        "common-time": step_of(commonest),
        "rare-steps": seen["step"][-1],
        "pi-rare": min(weights),
        "pi-common": max(weights),
    }


def recorded_line(paper: Points) -> tuple[list[float], list[list[float]]]:
    """Strengths and exact excess risks of the recorded law."""
    kept = {n: p for n, p in paper.values.items() if n.startswith("line/")}
    return [float(name.removeprefix("line/")) for name in kept], list(kept.values())


def valley(run: Run, paths: dict[str, Any], ends: dict[str, float]) -> Numbers:
    """The descents on the slice."""
    zero = next(iter(ends.values()))
    contrasts = [x[-1] - y[-1] for x, y in paths.values()]
    sames = [x[-1] for x, _ in paths.values()]
    return {
        "slice-worst": max(ends.values()) / zero,
        "slice-least": min(ends.values()) / zero,
        "slice-contrast-low": min(contrasts),
        "slice-contrast-high": max(contrasts),
        "slice-same-low": min(sames),
        "slice-same-high": max(sames),
        "slice-steps": run.plan.slice_steps,
    }


def recorded_starts(paper: Points) -> dict[str, dict[str, Any]]:
    """Descents from the seven starts, by start."""
    return {n.removeprefix("start/"): v for n, v in paper.values.items() if "start/" in n}


def starts_table(paper: Points) -> pd.DataFrame:
    """Excess at the beginning and at the end of the descents from the seven starts."""
    paths = recorded_starts(paper)
    zero = paths["zero"]["excess"][-1][0]
    rows = {
        name: {
            "excess there": f"{path['excess'][0][0]:.4f}",
            "at the end": f"{path['excess'][-1][0]:.4f}",
            "end / end from zero": f"{path['excess'][-1][0] / zero:.2f}",
        }
        for name, path in paths.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("start")


def curvature_table(paper: Points) -> pd.DataFrame:
    """Gradient and extreme eigenvalues of the Hessian at three places."""
    places = {
        "zero": "W = 0", "end": "end of the descent from zero", "plateau": "end from random 10",
    }  # fmt: skip
    rows = {}
    for place, title in places.items():
        bent = paper.values[f"curvature/{place}"]
        rows[title] = {
            "gradient": f"{bent['gradient']:.1e}",
            "smallest": f"{bent['smallest']:.1e}",
            "largest eigenvalue": f"{bent['largest']:.1e}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Hessian at")


def starts(bends: dict[int, float], paper: Points) -> Numbers:
    """Curvature, and the descents from other starts."""
    values, hills = paper.values, landscape_summary(paper.values)
    stuck = torch.tensor(values["start/random 10"]["products"][-1])
    bent = values["curvature/zero"]["gradient"] / values["curvature/plateau"]["gradient"]
    return {f"bend-{count}": share for count, share in bends.items()} | {
        "bend-paper": hills["smallest_at_zero"],
        "easy-worst": max(hills[f"end {name}"] for name in EASY),
        "random-end": hills["end random 10"],
        "large-end": hills["end large"],
        "starts-steps": recorded_starts(paper)["zero"]["step"][-1],
        "wrong": sum(int(stuck[u].argmax()) != u for u in range(4)),
        "gradient-drop": bent,
    }


def live(run: Run, bends: dict[int, float], t: int) -> dict[str, float]:
    """Return the numbers that a run computed, by the names of their bounds."""
    rates, values = run.first_step, run.points.values
    same = rates["measured"][run.same].mean() - rates["exact"][run.same].mean()
    excess, score = kept(run)
    outside, walk = run.outside
    here = growth_summary(values, list(run.plan.rare_weights))
    return {
        "live_start": run.start.loss.errors_from(run.start_formula),
        "live_first_step": abs(float(same)) / first_step_error(run),
        "live_kept": excess,
        "live_kept_score": score,
        "live_end": end_ratio(values),
        "live_outside": outside[-1] / walk[-1],
        "live_attention": run.own_mass(run.head, t) / run.own_mass(run.untrained(), t),
        "live_rates": abs(here["ratio"] - here["ratio_predicted"]) / here["ratio_error"],
        "live_commonest": here["commonest_same_end"],
        "live_bend_4": bends[4],
        "live_bend_2": bends[2],
    }
