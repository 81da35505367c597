"""The expansion's indicator: never wrong where it holds, and it holds where weights are trained."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch

from gmmtf import MultiTokenGMM, ReducedWeight, risk
from gmmtf.curve import Curve
from gmmtf.jsonvalues import decode
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf_book import RESULTS
from gmmtf_book.c04_training.plan import PLANS as TRAINING
from gmmtf_book.c07_effective_tokens import limits, runs, search, summary
from gmmtf_book.c07_effective_tokens.plan import PLANS, SCHEDULE, Plan

EIGHT = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=512, radius=16.0, sigma=0.3)


def recorded(chapter: str) -> Iterator[tuple[dict, dict]]:
    for point in json.loads((RESULTS / f"{chapter}.json").read_text())["points"]:
        yield point["labels"], point["value"]


def trained() -> Iterator[tuple[str, ReducedWeight, MultiTokenGMM, HeadScalars]]:
    """Weights of recorded runs, by training, descent, or a search for the best."""
    plan = TRAINING["paper"]
    laws = {**plan.laws, "equal": plan.every}
    for label, value in recorded("04_training"):
        if label["kind"] in ("predicted", "full", "simulated"):
            law = laws[label["law"]]
            path = Curve.from_json(decode(value))
            for index in (len(path.steps) // 3, -1):
                yield f"04 {label} {index}", path.weight(law, index), law, PLAIN
    for label, value in recorded("06_mean_denoising"):
        if label["kind"] == "weight":
            yield f"06 {label}", ReducedWeight.from_json(value), EIGHT, PLAIN
    for label, value in recorded("07_effective_tokens"):
        if label["kind"] == "curve":
            weight = runs.from_three_numbers(value["weight"], EIGHT)
            yield f"07 {label}", weight, EIGHT, PLAIN
    scalars = ("value_span", "value_complement", "skip_span", "skip_complement", "tilt_correction")
    for label, value in recorded("08_better_heads"):
        if label["kind"] == "predicted" and value["method"] == "expansion":
            unit = EIGHT.radius**2
            numbers = value["same"], value["different"], value["gamma"] * 248**0.5
            weight = runs.from_three_numbers([each / unit for each in numbers], EIGHT)
            yield f"08 {label}", weight, EIGHT, HeadScalars(*(value[name] for name in scalars))
    for label, value in recorded("11_sampling"):
        if label["kind"] == "trained":
            weights = json.loads((RESULTS / "11_sampling.json").read_text())["settings"]["weights"]
            law = MultiTokenGMM(
                n_patterns=8, dim=256, n_tokens=512, radius=16.0, sigma=0.3, weights=weights
            )
            yield "11", ReducedWeight.from_json(value), law, PLAIN


def test_it_holds_at_the_weights_of_every_recorded_run() -> None:
    found = {
        name: risk(weight, law, SCHEDULE, head=head, n_points=64, n_replicates=2)
        for name, weight, law, head in trained()
    }
    assert {name[:2] for name in found} == {"04", "06", "07", "08", "11"}
    for name, each in found.items():
        assert each.holds, name
        # With room to spare: no other net of queries would say otherwise.
        assert each.validity < 0.02, name
        assert each.dispersion < 0.02, name


def test_a_few_random_settings_are_right_where_it_holds() -> None:
    generator = np.random.default_rng(2**20)
    found = pd.DataFrame([search.compare(search.draw(generator)) for _ in range(40)])
    known = found[found["known"]]
    assert (known.loc[known["holds"], "error"] < 0.05).all()
    assert 10 < known["holds"].sum() < len(known)


def test_random_settings_vary_in_everything() -> None:
    cases = [search.draw(np.random.default_rng(seed)) for seed in range(300)]
    strengths = [float(case.weight.pattern.diagonal().sum()) for case in cases]
    laws = [case.law for case in cases]
    assert min(law.n_tokens for law in laws) == 2
    for some in (
        [strength > 0 for strength in strengths],
        [law.k < law.n_patterns for law in laws],
        [law.inclusion is not None for law in laws],
        [float(law.probabilities.min()) < 1e-3 for law in laws],
        [law.n_patterns == 1 for law in laws],
        [case.t is None for case in cases],
        [case.head.is_plain for case in cases],
        [float(case.weight.complement) == 0 for case in cases],
        [bool((case.weight.pattern == case.weight.pattern.T).all()) for case in cases],
    ):
        assert 0 < sum(some) < len(cases)
    assert len(set(strengths)) == len(cases)


def test_the_recorded_search_straight_from_the_file() -> None:
    points = [
        value for label, value in recorded("07_effective_tokens") if label["kind"] == "search"
    ]
    rows = [
        (holds, error)
        for value in points
        for holds, error, known in zip(value["holds"], value["error"], value["known"], strict=True)
        if known
    ]
    assert len(rows) >= 2000
    assert len(points) == PLANS["paper"].search_batches
    right = [holds for holds, error in rows if decode(error) < 0.05]
    found = summary.recorded()
    assert found["search_settings"] == len(rows)
    assert found["search_held"] == sum(holds for holds, _ in rows)
    assert found["search_wrong"] == len(rows) - len(right) > 100  # the search is not an easy one
    assert found["search_refused"] == pytest.approx(1 - np.mean(right))
    worst = max(error for holds, error in rows if holds)
    assert found["search_worst_error"] == worst < 0.05


def test_a_recorded_batch_is_that_computed_anew() -> None:
    (value,) = (v for k, v in recorded("07_effective_tokens") if k.get("seed") == 3)
    generator = np.random.default_rng(3)
    for place in range(6):
        found = search.compare(search.draw(generator))
        assert found["holds"] == value["holds"][place]
        assert found["validity"] == pytest.approx(decode(value["validity"][place]), rel=1e-6)


def test_a_search_is_recorded_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCH", 2)
    study = runs.Study.open(Plan(search_batches=2))
    found = search.random_cases(study)
    assert len(found) == 4
    assert found["error"].dtype == float
    assert found["known"].dtype == bool
    assert len(study.record.points) == 2
    monkeypatch.setattr(search, "compare", lambda _: pytest.fail("computed again"))
    assert search.random_cases(study).equals(found)


def test_the_strain_is_the_larger_indicator_over_its_limit() -> None:
    table = pd.DataFrame({"validity": [0.01, 0.05, math.inf], "dispersion": [0.16, 0.0, 0.0]})
    assert limits.strain(table).tolist() == pytest.approx([2, 1, math.inf])


def test_a_symmetric_descent_is_that_of_the_limit() -> None:
    law = MultiTokenGMM(
        n_patterns=16, dim=10**9, n_tokens=10**9, radius=1e9**0.5, sigma=0.3, n_active=4
    )
    found = runs.symmetric_descent(law, 20, 8, n_points=256)
    assert [record.step for record in found] == [0, 8, 16, 20]
    for record in found[1:]:
        limit = risk(record.weight, law, SCHEDULE, method="limit").excess.value
        assert record.excess.value == pytest.approx(limit, rel=0.01)
        off = record.weight.pattern - record.weight.pattern.diagonal().diag()
        assert torch.unique(record.weight.pattern.diagonal()).numel() == 1
        assert torch.unique(off).numel() == 2
