"""What the prose of chapter 4 quotes, section by section, and what its tables and figures show."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from gmmtf import MultiTokenGMM, bayes_risk, linear_risk, oracle_risk
from gmmtf.curve import Curve
from gmmtf.risks.first_step import descent_direction, exact_descent_direction
from gmmtf.risks.formulas import mean_denoising_excess, start_risk
from gmmtf_book.c04_training import summary
from gmmtf_book.c04_training.figures import Panel
from gmmtf_book.c04_training.plan import SCHEDULE, Plan
from gmmtf_book.c04_training.runs import Run, curve
from gmmtf_book.c04_training.summary import Study, kept

Numbers = dict[str, object]


def start(run: Run) -> Numbers:
    """The sizes of the run, and the untrained head."""
    plan = run.plan
    return {
        "dim": plan.dim, "n": plan.n_tokens, "k": plan.n_active, "m": plan.n_patterns,
        "r": plan.radius, "sigma": plan.sigma, "bayes": float(run.bayes), "oracle": run.oracle,
        "start-formula": start_formula(run), "start-measured": str(run.start.loss),
    }  # fmt: skip


def start_formula(run: Run) -> float:
    """Risk at W = 0 in closed form."""
    return run.oracle + start_risk(run.law, SCHEDULE)


def first_step(run: Run) -> Numbers:
    """The first step, over its limit for many tokens."""
    found: Numbers = {}
    for kind, (measured, exact, limit) in run.first_step.items():
        found |= {f"{kind}-ratio": measured.value / limit, f"exact-{kind}": exact / limit}
    measured, _, limit = run.first_step["same"]
    return found | {"direction-error": measured.standard_error / limit}


def panels(run: Run, paper: Study, law: str = "few") -> dict[str, Panel]:
    """Curves and risks of this run and of the recorded one, by title, of a law of the plan."""
    here, there = run.plan, paper.plan
    kinds = ("full" if law == "few" else "simulated", "simulated")
    titles = (
        f"here: $d$ = {here.dim}, $N$ = {here.n_tokens}",
        f"recorded: $d$ = {there.dim}, $N$ = {there.n_tokens}",
    )
    found = zip(titles, (run.study, paper), kinds, strict=True)
    return {title: _panel(study, law, kind) for title, study, kind in found}


def _panel(study: Study, name: str, kind: str) -> Panel:
    law = study.plan.laws[name]
    return Panel(
        study.curve(kind, name), study.curve("predicted", name), limit(study.plan, law),
        study.bayes() if name == "few" else float(bayes_risk(law, SCHEDULE)),
        oracle_risk(law, SCHEDULE), linear_risk(law, SCHEDULE),
    )  # fmt: skip


def limit(plan: Plan, law: MultiTokenGMM) -> Curve:
    """Return the descent in the limit of many tokens and dimensions, with the plan's step size."""
    return curve(law, plan.at, lr=plan.step_size(law), method="limit")


def beside(panels: Mapping[str, Panel], prefix: str = "") -> Numbers:
    """Excess of the linear filter and in the limit, and the runs' ends over each."""
    found: Numbers = {}
    for scope, panel in zip(("here", "there"), panels.values(), strict=True):
        key, left = prefix + scope, panel.linear - panel.bayes
        end, flow = (one.excess[-1].value for one in (panel.simulated, panel.limit))
        found |= {f"{key}-linear": left, f"{key}-over-linear": end / left, f"{key}-end": end,
                  f"{key}-limit": flow, f"{key}-over-limit": end / flow}  # fmt: skip
    return found


def end_ratio(study: Study) -> float:
    """Excess risk of the full W at the end of training over its prediction."""
    return float(study.curve("full").excess[-1] / study.curve("predicted").excess[-1])


def training(run: Run, paper: Study) -> Numbers:
    """The curves of training."""
    full, predicted, there = run.study.curve("full"), paper.curve("predicted"), paper.plan
    first, begin = full.excess[0].value, predicted.excess[0].value
    found = paper.descent_numbers()
    shares = {
        "kept": kept(full.excess), "score-kept": kept(full.score),
        "live-deviation": summary.deviation(full, run.study.curve("predicted")),
        "live-end": abs(end_ratio(run.study) - 1),
        "paper-kept": found["kept"], "paper-score-kept": found["kept_score"],
        "paper-deviation": found["deviation"], "paper-one-seed": found["deviation_one_seed"],
        "paper-full": summary.deviation(paper.curve("full"), predicted),
        "paper-full-end": abs(end_ratio(paper) - 1),
        "paper-best": paper.record.value(kind="best", law="few")["excess"].value / begin,
        "paper-k-over-n": mean_denoising_excess(there.mixture, SCHEDULE) / begin,
    }  # fmt: skip
    return {name: 100 * share for name, share in shares.items()} | {
        "excess-first": first, "excess-last": full.excess[-1].value,
        "half": next(r.step for r in run.records if r.excess_risk.value < first / 2),
        "paper-batch": there.batch_size, "paper-first-batch": there.batches(0, there.mixture)(0),
        "paper-steps": there.steps,
    }  # fmt: skip


def norms(run: Run) -> dict[str, Tensor]:
    """Norms of the parts of r²W at the recorded steps of training but the first, by name."""
    plan, full = run.plan, run.study.curve("full")
    outside, walk = plan.radius**2 * torch.tensor(run.study.outside(), dtype=torch.float64)
    parts = {
        "pattern block": full.products.norm(dim=(1, 2)),
        "complement": (plan.dim - plan.n_patterns) ** 0.5 * full.complement.abs(),
        "outside the family": outside,
        "noise of the batches": walk,
    }
    return {name: part[1:] for name, part in parts.items()}


def weight(run: Run, paper: Study) -> Numbers:
    """The trained weight."""
    full, predicted = run.study.curve("full"), run.study.curve("predicted")
    products, (outside, _) = full.products[-1], run.study.outside()
    first = run.plan.step_size(run.law) * exact_descent_direction(run.law, SCHEDULE).gamma(run.law)
    own = torch.eye(run.plan.n_patterns, dtype=torch.bool)
    return {
        "diagonal": float(products[own].mean()), "diagonal-spread": float(products[own].std()),
        "diagonal-predicted": float(predicted.products[-1][own].mean()),
        "off-diagonal": float(products[~own].mean()),
        "row-sum": float(products.sum(1).abs().max()),
        "gamma": float(full.complement[-1]), "gamma-predicted": float(predicted.complement[-1]),
        "gamma-peak": float(predicted.complement.max()),
        "gamma-first": run.plan.radius**2 * float(first),
        "gamma-best": paper.record.value(kind="best", law="few")["complement"],
        "gamma-paper": float(paper.curve("predicted").complement[-1]),
        "outside": 100 * outside[-1] / float(run.weights[-1].norm()),
        "outside-walk": run.study.outside_over_walk(), "outside-paper": paper.outside_over_walk(),
    }  # fmt: skip


def attention(run: Run, t: int) -> Numbers:
    """Attention before and after training at a noise level."""
    after, _ = run.attend(run.head, t)
    return {
        "self-after": 100 * float(after.diagonal(dim1=1, dim2=2).mean()),
        "mass-before": 100 * run.own_mass(run.untrained(), t),
        "mass-after": 100 * run.own_mass(run.head, t),
        "perfect": mean_denoising_excess(run.law, SCHEDULE), "attention-time": t,
        "over-oracle": float(run.bayes) + run.records[-1].excess_risk.value - run.oracle,
    }  # fmt: skip


def selection_table(run: Run, times: list[int]) -> pd.DataFrame:
    """Attention to the own pattern and excesses over the oracle, a row a noise level."""
    rows = {}
    for t in times:
        n_points = run.plan.n_exercise
        bayes = bayes_risk(run.law, SCHEDULE, t=t, n_points=n_points).value
        gap = bayes - oracle_risk(run.law, SCHEDULE, t=t)
        found = run.measured(run.head, n_points, t=t).excess_risk.value
        rows[t] = [
            f"{run.own_mass(run.head, t):.1%}", f"{found + gap:.4f}",
            f"{mean_denoising_excess(run.law, SCHEDULE, t=t):.4f}",
            f"{start_risk(run.law, SCHEDULE, t=t):.4f}",
        ]  # fmt: skip
    columns = ["own pattern", "trained, over oracle", "perfect selection", "uniform"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("t")


def product_rows(run: Run, paper: Study) -> dict[str, tuple[Curve, Curve]]:
    """Products of this run and of the recorded one, simulated and predicted, by title."""
    titles = {"$N$": run.study, "recorded, $N$": paper}
    return {
        f"{title} = {study.plan.rare_n_tokens}": (
            study.curve("simulated", "unequal"), study.curve("predicted", "unequal")
        )
        for title, study in titles.items()
    }  # fmt: skip


def products(run: Run, paper: Study) -> Numbers:
    """Products of the law with unequal patterns."""
    numbers = paper.product_numbers()
    found: Numbers = {
        "there-products-deviation": numbers["products_deviation"],
        "there-rarest-same-end": numbers["rarest_same_end"],
        "there-rarest-different-end": numbers["rarest_different_end"],
        "there-rarest-different-highest": numbers["rarest_different_highest"],
        "there-commonest-same-end": numbers["commonest_same_end"],
        "there-commonest-different-end": numbers["commonest_different_end"],
    }
    for scope, study in (("here", run.study), ("there", paper)):
        ratio, expected = study.growth_ratio()
        found |= {
            f"{scope}-ratio": ratio.value, f"{scope}-ratio-error": ratio.standard_error,
            f"{scope}-ratio-predicted": expected,
        }  # fmt: skip
    (rarest, commonest), law = run.plan.ends, run.plan.unequal
    limit = descent_direction(law, SCHEDULE).pattern.diagonal()
    first = exact_descent_direction(law, SCHEDULE).pattern[rarest]
    mean = paper.curve("simulated", "unequal")
    own = mean.products.diagonal(dim1=1, dim2=2)
    seeds = paper.curves("simulated", "unequal")
    at_end = [float(each.products[-1, rarest, rarest]) for each in seeds]
    return found | {
        "there-ratio-percent": 100 * ratio.relative_to(expected),  # of the last, the recorded one
        "limit-ratio": float(limit[commonest] / limit[rarest]),
        "rising": sum(bool(rate > 0) for v, rate in enumerate(first) if v != rarest),
        "rare-low": min(at_end), "rare-high": max(at_end), "rare-steps": mean.steps[-1],
        "rare-time": first_above(mean.steps, own[:, rarest]),
        "common-time": first_above(mean.steps, own[:, commonest]),
        "pi-rare": run.plan.rare_weights[rarest], "pi-common": run.plan.rare_weights[commonest],
    }  # fmt: skip


def first_above(steps: list[int], products: Tensor) -> str:
    """Return the first recorded step at which a product has reached 1, or "none"."""
    pairs = zip(steps, products, strict=True)
    return next((str(step) for step, product in pairs if product >= 1), "none")


def live(run: Run, t: int) -> dict[str, float]:
    """Return the numbers that a run computed, by the names of their bounds."""
    measured, exact, _ = run.first_step["same"]
    full, (ratio, expected) = run.study.curve("full"), run.study.growth_ratio()
    return {
        "live_start": run.start.loss.errors_from(start_formula(run)),
        "live_first_step": measured.errors_from(exact), "live_rates": ratio.errors_from(expected),
        "live_kept": kept(full.excess), "live_kept_score": kept(full.score),
        "live_over_linear": run.study.over_linear("few", "full"),
        "live_every_over_linear": run.study.over_linear("every"),
        "live_end": end_ratio(run.study), "live_outside": run.study.outside_over_walk(),
        "live_attention": run.own_mass(run.head, t) / run.own_mass(run.untrained(), t),
        "live_commonest": run.study.product_numbers()["commonest_same_end"],
    }  # fmt: skip
