"""What the prose of chapter 4 quotes, from made-up points of a run and of a recorded one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from gmmtf import Estimate, ReducedWeight, bayes_risk, descend, linear_risk, oracle_risk
from gmmtf.record import Recording
from gmmtf.risks.first_step import descent_direction, exact_descent_direction
from gmmtf.risks.formulas import mean_denoising_excess, start_risk
from gmmtf_book.c04_training import PLANS, SCHEDULE, Run, Study, full_weight, quoted
from rooms import drawn
from rooms.curves import made

PLAN = PLANS["smoke"]
SIZES = {"few": 6, "every": 4, "unequal": 4}
BAYES = Estimate(0.25, 0.01)


def fill(record: Recording, seed: int) -> None:
    """Add made-up descents from W = 0 of all laws, a Bayes risk, and rates."""
    cases = [(kind, law) for kind in ("predicted", "simulated") for law in SIZES]
    for k, (kind, law) in enumerate(cases):
        for n in range(2 if kind == "simulated" else 1):
            value = made(seed + 2 * k + n, size=SIZES[law]).as_json()
            record.add(value, 0.0, kind=kind, law=law, seed=n)
    outside = {"outside": [0.0, 1.0, 2.0, 3.0], "walk": [0.0, 4.0, 5.0, float(seed)]}
    record.add(made(seed - 1, size=6).as_json() | outside, 0.0, kind="full", law="few")
    record.add(BAYES + seed / 1000, 0.0, kind="bayes")
    numbers = made(seed, range(16), size=1).excess
    record.add([numbers[:4], numbers[4:8], numbers[8:12], numbers[12:]], 0.0, kind="rates", seed=0)
    record.add(
        made(seed + 1).products.new_tensor([[1.0, 2, 3, 4]] * 4), 0.0, kind="predicted rates"
    )


@pytest.fixture(scope="module")
def run() -> Run:
    """A run whose points are made up; they do not fit the law. Its head attends to patterns."""
    run = Run(PLAN, None, torch.device("cpu"))
    fill(run.study.record, seed=10)
    excesses = [e.value for e in run.study.curve("full").excess]
    levels = [excesses[0] * share for share in (1, 0.7, 0.45, 0.2)]
    run.records = [
        SimpleNamespace(step=3 * k, excess_risk=Estimate(x)) for k, x in enumerate(levels)
    ]
    run.weights = [3 * torch.eye(16)]
    with torch.no_grad():
        run.head.weight.copy_(torch.eye(16) / 8)
    return run


@pytest.fixture(scope="module")
def paper() -> Study:
    """A study that holds all kinds of points, all made up."""
    record = Recording(None, {})
    fill(record, seed=30)
    for law, excess in (("few", 0.01), ("every", 0.02)):
        best = {"excess": Estimate(excess, 0.001), "products": [], "complement": -30 * excess}
        record.add(best, 0.0, kind="best", law=law)
    changes = {"n_tokens": 80, "sigma": 0.5, "steps": 70, "first_batch_size": 99}
    return Study(record, replace(PLAN, **changes))


def test_the_left_panel_is_of_this_run_and_the_right_one_recorded(run, paper):
    (left, here), (right, there) = quoted.panels(run, paper).items()
    said = drawn.sides("04_training", "fig-train-risks")
    assert "here" in said[0]
    assert "recorded" in said[1]
    assert left == "here: $d$ = 16, $N$ = 48"
    assert right == "recorded: $d$ = 16, $N$ = 80"
    for panel, study, kind in ((here, run.study, "full"), (there, paper, "simulated")):
        assert panel.simulated.excess == study.curve(kind).excess
        assert panel.predicted.excess == study.curve("predicted").excess
        assert panel.oracle < panel.bayes
    assert (here.bayes, here.oracle) == (run.bayes.value, run.oracle)
    assert (here.bayes, there.bayes) == pytest.approx((0.26, 0.28))
    assert there.oracle > here.oracle  # with a larger sigma
    assert here.linear == linear_risk(PLAN.mixture, SCHEDULE)


def test_panels_of_the_second_law_have_its_curves_and_risks(run, paper):
    here, there = quoted.panels(run, paper, "every").values()
    for panel, study in ((here, run.study), (there, paper)):
        law = study.plan.every
        assert panel.simulated.excess == study.curve("simulated", "every").excess
        assert panel.predicted.excess == study.curve("predicted", "every").excess
        assert panel.bayes == bayes_risk(law, SCHEDULE).value
        assert panel.oracle == oracle_risk(law, SCHEDULE)
        assert panel.linear == linear_risk(law, SCHEDULE)
        assert panel.limit.products.shape[1:] == (4, 4)


def test_the_upper_products_are_of_this_run_and_the_lower_ones_recorded(run, paper):
    assert "Above: here" in drawn.caption("04_training", "fig-train-products")
    above, below = quoted.product_rows(run, paper).items()
    for (title, (simulated, predicted)), study in ((above, run.study), (below, paper)):
        assert title == ("recorded, $N$ = 64" if study is paper else "$N$ = 64")
        for curve, kind in ((simulated, "simulated"), (predicted, "predicted")):
            assert torch.equal(curve.products, study.curve(kind, "unequal").products)


def test_the_limit_is_the_descent_of_the_plan_in_it():
    law = PLAN.every
    found = quoted.limit(PLAN, law)
    assert found.steps == PLAN.at
    records = descend(law, SCHEDULE, PLAN.steps, lr=PLAN.step_size(law), method="limit",
                      record_at=PLAN.at)  # fmt: skip
    assert [e.value for e in found.excess] == [r.excess.value for r in records]


def test_numbers_beside_the_runs(run, paper):
    panels = quoted.panels(run, paper)
    found = quoted.beside(panels)
    for key, panel in zip(("here", "there"), panels.values(), strict=True):
        end = panel.simulated.excess[-1].value
        assert found[f"{key}-linear"] == pytest.approx(panel.linear - panel.bayes)
        assert found[f"{key}-over-linear"] == pytest.approx(end / (panel.linear - panel.bayes))
        assert found[f"{key}-end"] == end
        assert found[f"{key}-limit"] == panel.limit.excess[-1].value
        assert found[f"{key}-over-limit"] == pytest.approx(end / panel.limit.excess[-1].value)
    assert len(found) == 10
    assert quoted.beside(panels, "every-") == {f"every-{name}": x for name, x in found.items()}


def test_norms_of_the_weight_are_of_the_full_training(run):
    full = run.study.curve("full")
    norms = quoted.norms(run)
    block = torch.stack([torch.linalg.matrix_norm(each) for each in full.products[1:]])
    torch.testing.assert_close(norms["pattern block"], block)
    # The complement has d - M = 10 dimensions, and γ on each.
    torch.testing.assert_close(norms["complement"], 10**0.5 * full.complement[1:].abs())
    assert norms["outside the family"].tolist() == [64, 128, 192]
    assert norms["noise of the batches"].tolist() == [256, 320, 640]


def test_numbers_of_the_training_tell_this_run_from_the_recorded_one(run, paper):
    found = quoted.training(run, paper)
    full, predicted = run.study.curve("full"), run.study.curve("predicted")
    first, last = full.excess[0].value, full.excess[-1].value
    ratios = [a.value / b.value for a, b in zip(full.excess, predicted.excess, strict=True)]
    there = paper.curve("full").excess[-1].value, paper.curve("predicted").excess[-1].value
    begin = paper.curve("predicted").excess[0].value
    numbers = paper.descent_numbers()
    expected = {
        "excess-first": first,
        "excess-last": last,
        "kept": 100 * last / first,
        "score-kept": 100 * full.score[-1].value / full.score[0].value,
        "half": 6,
        "live-deviation": 100 * max(abs(ratio - 1) for ratio in ratios),
        "live-end": 100 * abs(ratios[-1] - 1),
        "paper-kept": 100 * numbers["kept"],
        "paper-score-kept": 100 * numbers["kept_score"],
        "paper-deviation": 100 * numbers["deviation"],
        "paper-one-seed": 100 * numbers["deviation_one_seed"],
        "paper-full-end": 100 * abs(there[0] / there[1] - 1),
        "paper-best": 1 / begin,
        "paper-k-over-n": 100 * mean_denoising_excess(paper.plan.mixture, SCHEDULE) / begin,
        "paper-batch": 16,
        "paper-first-batch": 3 * 99,
        "paper-steps": 70,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["paper-full"] >= found["paper-full-end"]
    assert set(found) == {*expected, "paper-full"}


def test_numbers_of_the_weight(run, paper):
    found = quoted.weight(run, paper)
    full, predicted = run.study.curve("full"), run.study.curve("predicted")
    products = full.products[-1].tolist()
    own = torch.tensor([products[u][u] for u in range(6)])
    others = [products[u][v] for u in range(6) for v in range(6) if u != v]
    predicted_own = [float(predicted.products[-1, u, u]) for u in range(6)]
    law = PLAN.mixture
    one_step = PLAN.step_size(law) * exact_descent_direction(law, SCHEDULE).complement / 10**0.5
    assert found == pytest.approx(
        {
            "diagonal": float(own.mean()),
            "diagonal-spread": float(own.std()),
            "diagonal-predicted": sum(predicted_own) / 6,
            "off-diagonal": sum(others) / 30,
            "row-sum": max(abs(sum(row)) for row in products),
            "gamma": float(full.complement[-1]),
            "gamma-predicted": float(predicted.complement[-1]),
            "gamma-peak": max(predicted.complement.tolist()),
            "gamma-first": 64 * float(one_step),
            "gamma-best": -0.3,
            "gamma-paper": float(paper.curve("predicted").complement[-1]),
            "outside": 100 * 3 / (3 * 4),
            "outside-walk": 0.3,
            "outside-paper": 0.1,
        }
    )


def test_rates_at_the_start_are_means_over_pairs_of_patterns(run):
    rates = full_weight.growth_rates(PLAN.mixture, n_batches=4, batch_size=32, seed=0)
    found = quoted.first_step(run)
    exact = exact_descent_direction(PLAN.mixture, SCHEDULE).products(PLAN.mixture).tolist()
    limit = descent_direction(PLAN.mixture, SCHEDULE).products(PLAN.mixture).tolist()
    for kind in ("same", "other"):
        pairs = [(u, v) for u in range(6) for v in range(6) if (u == v) == (kind == "same")]
        mean = sum(limit[u][v] for u, v in pairs)
        measured = sum(rates[u][v].value for u, v in pairs) / mean
        assert found[f"{kind}-ratio"] == pytest.approx(measured)
        assert found[f"exact-{kind}"] == pytest.approx(sum(exact[u][v] for u, v in pairs) / mean)
    errors = sum(rates[u][u].standard_error ** 2 for u in range(6)) ** 0.5
    assert found["direction-error"] == pytest.approx(errors / sum(limit[u][u] for u in range(6)))


def test_numbers_of_products_tell_the_rarest_from_the_commonest_pattern(run):
    record = Recording(None, {})
    fill(record, seed=30)
    record.drop(kind="simulated", law="unequal")
    for seed, (rarest, commonest) in enumerate(
        [([0, 0.5, 1.5, 3.0], [0, 1.5, 2, 2.5]), ([0, 0.5, 0.5, 5.0], [0, 1, 2, 3.5])]
    ):
        path = made(70 + seed, size=4)
        path.products[:, 0, 0] = torch.tensor(rarest)
        path.products[:, 3, 3] = torch.tensor(commonest)
        record.add(path.as_json(), 0.0, kind="simulated", law="unequal", seed=seed)
    paper = Study(record, PLAN)
    found = quoted.products(run, paper)
    numbers, (ratio, expected) = paper.product_numbers(), paper.growth_ratio()
    here, here_expected = run.study.growth_ratio()
    limit = descent_direction(PLAN.unequal, SCHEDULE).products(PLAN.unequal)
    first = exact_descent_direction(PLAN.unequal, SCHEDULE).products(PLAN.unequal)
    assert float(first[0, 0]) > 0  # and does not count among the others
    wanted = {
        "there-products-deviation": numbers["products_deviation"],
        "there-rarest-same-end": 4.0,
        "there-rarest-different-end": numbers["rarest_different_end"],
        "there-rarest-different-highest": numbers["rarest_different_highest"],
        "there-commonest-same-end": 3.0,
        "there-commonest-different-end": numbers["commonest_different_end"],
        "here-ratio": here.value,
        "here-ratio-error": here.standard_error,
        "here-ratio-predicted": here_expected,
        "there-ratio": ratio.value,
        "there-ratio-error": ratio.standard_error,
        "there-ratio-predicted": expected,
        "there-ratio-percent": 100 * abs(ratio.value / expected - 1),
        "limit-ratio": float(limit[3, 3] / limit[0, 0]),
        "rising": sum(float(first[0, v]) > 0 for v in (1, 2, 3)),
        "rare-low": 3.0,
        "rare-high": 5.0,
        "rare-steps": 100,
        "pi-rare": 0.01,
        "pi-common": 0.7,
    }
    assert (found.pop("rare-time"), found.pop("common-time")) == ("10", "1")
    assert found == pytest.approx(wanted)
    assert quoted.first_above([0, 1], torch.tensor([0.1, 0.9])) == "none"


def test_attention_goes_to_the_own_pattern(run):
    """At W = 0 attention is uniform; the own pattern has a token, and one in two of the others."""
    found = quoted.attention(run, 100)
    attention, labels = run.attend(run.head, 100)
    assert attention.shape == (64, 48, 48)
    torch.testing.assert_close(attention.sum(-1), torch.ones(64, 48).double())
    own = sum(
        float(attention[k, n, labels[k] == labels[k, n]].sum())
        for k in range(64)
        for n in range(48)
    )
    assert found["mass-after"] == pytest.approx(100 * own / (64 * 48))
    assert found["mass-before"] == pytest.approx(100 * (1 / 48 + 47 / 48 / 2), abs=1)
    assert found["mass-after"] > 1.5 * found["mass-before"]
    own = [float(attention[k, n, n]) for k in range(64) for n in range(48)]
    assert found["self-after"] == pytest.approx(100 * sum(own) / len(own))
    assert found["attention-time"] == 100
    assert found["perfect"] == pytest.approx(mean_denoising_excess(PLAN.mixture, SCHEDULE))
    end = run.records[-1].excess_risk.value
    assert found["over-oracle"] == pytest.approx(end + run.bayes.value - run.oracle)


def test_the_selection_table_compares_excesses_over_the_oracle(run):
    table = quoted.selection_table(run, [100, 900])
    assert list(table.index) == [100, 900]
    for t, row in table.iterrows():
        assert row["own pattern"] == f"{run.own_mass(run.head, t):.1%}"
        perfect = mean_denoising_excess(PLAN.mixture, SCHEDULE, t=t)
        assert row["perfect selection"] == f"{perfect:.4f}"
        assert row["uniform"] == f"{start_risk(PLAN.mixture, SCHEDULE, t=t):.4f}"
        loss = run.measured(run.head, PLAN.n_exercise, t=t).loss.value
        alpha_bar = float(SCHEDULE.alpha_bars[t])
        oracle = alpha_bar * 0.09 / (1 - alpha_bar + alpha_bar * 0.09)
        assert float(row["trained, over oracle"]) == pytest.approx(loss - oracle, abs=0.1)


def test_live_numbers_have_the_names_of_their_bounds(run):
    found = quoted.live(run, 100)
    full, predicted = run.study.curve("full"), run.study.curve("predicted")
    measured, exact, _ = run.first_step["same"]
    ratio, expected = run.study.growth_ratio()
    formula = run.oracle + start_risk(PLAN.mixture, SCHEDULE)
    loss = run.start.loss
    attention = quoted.attention(run, 100)
    assert found == pytest.approx(
        {
            "live_start": abs(loss.value - formula) / loss.standard_error,
            "live_first_step": abs(measured.value - exact) / measured.standard_error,
            "live_kept": full.excess[-1].value / full.excess[0].value,
            "live_kept_score": full.score[-1].value / full.score[0].value,
            "live_over_linear": full.excess[-1].value
            / (linear_risk(PLAN.mixture, SCHEDULE) - run.bayes.value),
            "live_every_over_linear": run.study.curve("simulated", "every").excess[-1].value
            / (linear_risk(PLAN.every, SCHEDULE) - bayes_risk(PLAN.every, SCHEDULE).value),
            "live_end": full.excess[-1].value / predicted.excess[-1].value,
            "live_outside": 0.3,
            "live_attention": attention["mass-after"] / attention["mass-before"],
            "live_rates": abs(ratio.value - expected) / ratio.standard_error,
            "live_commonest": run.study.product_numbers()["commonest_same_end"],
        }
    )
    assert quoted.start(run)["start-formula"] == pytest.approx(formula)
    assert quoted.start(run)["start-measured"] == str(loss)


def test_the_zero_weight_is_the_head_before_training(run):
    """The excess of the untrained head over the oracle is that of the closed form."""
    assert float(ReducedWeight.from_full(run.untrained().weight, PLAN.mixture)[1]) == 0
    assert run.start.loss.errors_from(quoted.start_formula(run)) < 4
