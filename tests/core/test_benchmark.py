"""The benchmark's tasks, exact risks, scores and leaderboard, and nobody below Bayes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from gmmtf import Estimate, FullMixture, MultiTokenGMM, bayes_risk, linear_risk
from gmmtf.benchmark import ENTRIES, TASKS, VERSION, exact, running
from gmmtf.benchmark.exact import derive, exact_risks, law_digest
from gmmtf.benchmark.leaderboard import (
    MEANING,
    as_html,
    compact,
    impossible,
    leaderboard,
    read,
    score,
    shipped,
    shown,
)
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE, STEPS, TOKENS_PER_STEP, task
from gmmtf.jsonvalues import encode
from gmmtf.laws.law import fingerprint
from gmmtf.record import Recording
from gmmtf_book.c09_digits_as_tokens import tokens
from make_benchmark_digits import COMPONENTS, DIM, PER_DIGIT

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "data" / "results" / "benchmark.json"


def test_the_suite_is_as_large_as_it_says():
    assert len(TASKS) >= 10
    assert len(ENTRIES) >= 12
    assert all(name == each.name for name, each in TASKS.items())
    kinds = {type(each.law) for each in TASKS.values()}
    assert kinds == {MultiTokenGMM, FullMixture}
    assert all(each.batch_size * each.law.n_tokens == TOKENS_PER_STEP for each in TASKS.values())
    assert STEPS * TOKENS_PER_STEP == 819_200  # what the pages say
    with pytest.raises(ValueError, match=r"^task: expected one of every, .*got 'ever'"):
        task("ever")


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_what_its_risks_were_stored_for(name):
    stored = exact_risks(name)
    assert stored.fingerprint == law_digest(TASKS[name])
    assert len(stored.bayes) == len(stored.linear) == len(stored.oracle) == len(LEVELS)
    for k in (1, 8, 15):
        t, kept = LEVELS[k], stored.bayes[k]
        assert stored.linear[k] == pytest.approx(linear_risk(TASKS[name].law, SCHEDULE, t=t))
        n_points = 32 if name in ("many", "crowded") else 128
        again = bayes_risk(TASKS[name].law, SCHEDULE, t=t, n_points=n_points, seed=1)
        error = math.hypot(again.standard_error, kept.standard_error)
        assert abs(again.value - kept.value) <= 4.5 * error + 1e-12
        assert stored.oracle[k] <= kept.value + 4.5 * kept.standard_error
        assert kept.value - 4.5 * kept.standard_error <= stored.linear[k] < 1


def test_risks_are_derived_as_they_were_stored(monkeypatch):
    monkeypatch.setattr(exact, "LEVELS", LEVELS[::5])
    found, stored = derive(task("one"), n_points=64, seed=3), exact_risks("one")
    assert found.fingerprint == stored.fingerprint
    assert found.oracle == pytest.approx(stored.oracle[::5], rel=1e-12)
    assert found.linear == pytest.approx(stored.linear[::5], rel=1e-12)
    for mine, other in zip(found.bayes, stored.bayes[::5], strict=True):
        assert mine.errors_from(other) < 4.5


def test_averages_are_over_the_levels():
    found = exact.ExactRisks("", [0.0, 0.0], [Estimate(0.1, 0.03), Estimate(0.3, 0.04)], [0.5, 0.9])
    assert (found.bayes_risk.value, found.bayes_risk.standard_error) == pytest.approx((0.2, 0.025))
    excess = found.linear_excess
    assert (excess.value, excess.standard_error) == pytest.approx((0.5, 0.025))


def test_risks_of_another_suite_are_refused(monkeypatch):
    exact._stored.cache_clear()
    monkeypatch.setattr(exact, "VERSION", "0")
    with pytest.raises(RuntimeError, match="not of this suite"):
        exact_risks("few")
    exact._stored.cache_clear()


def test_tasks_ask_what_they_say():
    laws = {name: each.law for name, each in TASKS.items()}
    sizes = {name: (law.n_patterns, law.k) for name, law in laws.items() if hasattr(law, "k")}
    assert [sizes[name] for name in ("every", "one", "few", "half")] == [
        (4, 4), (32, 1), (16, 3), (12, 6),
    ]  # fmt: skip
    norms = laws["unequal"].gram.diagonal().sqrt()
    assert float(norms.max() / norms.min()) == pytest.approx(3.5)
    gram = laws["oblique"].gram
    cosines = gram / gram.diagonal().sqrt().outer(gram.diagonal().sqrt())
    assert cosines[~torch.eye(8, dtype=torch.bool)].numpy() == pytest.approx(0.5)
    crowded = laws["crowded"]
    assert (crowded.n_patterns, crowded.dim) == (24, 16)
    assert len(crowded.means.unique(dim=0)) == 24
    assert float(laws["rare-tokens"].probabilities[0]) == pytest.approx(0.02)
    assert laws["rare-data"].inclusion[0] == pytest.approx(0.04)
    assert running.rarest(laws["rare-tokens"]) == running.rarest(laws["rare-data"]) == 0
    assert all(running.rarest(laws[name]) is None for name in TASKS if "rare" not in name)
    few, many, wide = (laws[name] for name in ("few", "many", "wide"))
    assert fingerprint(replace(few, n_tokens=512)) == fingerprint(many)
    assert fingerprint(replace(few, sigma=1.0)) == fingerprint(wide)
    axes = laws["covariances"].covariances.diagonal(dim1=1, dim2=2)
    assert (axes > 1).sum(1).tolist() == [4] * 8
    assert len({tuple(each) for each in axes.tolist()}) == 8


def test_the_stored_digits_are_fitted_to_the_tokens_that_they_should_be():
    """The last step of a fit leaves each digit the mean and the covariance of its tokens."""
    data, law = tokens.load(DIM, per_digit=PER_DIGIT), TASKS["digits"].law
    assert len(law.weights) == 10 * COMPONENTS
    means, covariances = [], []
    for digit in range(10):
        own, x = law.classes == digit, data.train_tokens[data.train_labels == digit].double()
        weights = law.weights[own]
        assert float(weights.sum()) == pytest.approx(0.1)
        mean = 10 * weights @ law.means[own]
        torch.testing.assert_close(mean, x.mean(0), atol=1e-4, rtol=1e-4)
        second = law.covariances[own] + law.means[own, :, None] * law.means[own, None]
        found = 10 * torch.einsum("c,cij->ij", weights, second) - mean.outer(mean)
        expected = torch.cov(x.T, correction=0) + 1e-3 * torch.eye(DIM)  # the fit's ridge
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        means.append(mean)
        covariances.append(found)
    even = torch.full((10,), 0.1, dtype=torch.float64)
    single = FullMixture(even, torch.stack(means), torch.stack(covariances), torch.arange(10), 64)
    unseen = data.test_tokens[::20].double()
    assert _log_density(law, unseen) > _log_density(single, unseen) + 0.1


def _log_density(law: FullMixture, x: torch.Tensor) -> float:
    normal = torch.distributions.MultivariateNormal(law.means, law.covariances)
    return float((normal.log_prob(x[:, None]) + law.weights.log()).logsumexp(1).mean())


def test_scores_run_from_bayes_over_the_linear_filter_down():
    linear = exact_risks("few").linear_excess.value
    assert score(0.0, "few") == 100
    assert score(-1e-9, "few") == 100
    assert score(linear, "few") == pytest.approx(50)
    assert score(3 * linear, "few") == pytest.approx(25)


SETTINGS = {"function": "gmmtf.benchmark.running.run", "fixed version": VERSION}


def result(path: Path, rows: list[tuple[str, str, int, object]], settings=SETTINGS) -> Path:
    """Write a file as `run` does, of entry, task, seed and value."""
    points = [
        {"labels": {"entry": entry, "task": name, "seed": seed}, "value": encode(value),
         "provenance": {}}
        for entry, name, seed, value in rows
    ]  # fmt: skip
    path.write_text(json.dumps({"settings": settings, "points": points}))
    return path


def value(excess: float, gap: float | None = None) -> dict[str, Estimate]:
    return {
        "excess": Estimate(excess, 0.01),
        "gap": Estimate(excess if gap is None else gap, 0.005),
    }


def linear(name: str) -> float:
    return exact_risks(name).linear_excess.value


def test_a_leaderboard_is_the_mean_over_tasks_with_the_scatter_of_its_seeds(tmp_path):
    rows = [
        (entry, name, seed, value(factor * (1 + seed / 10) * linear(name)))
        for entry, factor in (("worse", 3.0), ("better", 1.0))
        for name in TASKS for seed in (7, 8)
    ]  # fmt: skip
    found = leaderboard(result(tmp_path / "a.json", rows), own=False)
    assert list(found.index) == ["better", "worse"]
    assert list(found.columns) == ["score", "error", *TASKS]
    scores = [100 / (1 + 1.7), 100 / (1 + 1.8)]
    for name in ("score", "every", "wide"):
        assert found.loc["better", name] == pytest.approx(sum(scores) / 2)
    assert found.loc["better", "error"] == pytest.approx((scores[0] - scores[1]) / 2)


def test_entries_of_other_seeds_keep_their_scores(tmp_path):
    """What was run with one seed has a score, and takes none from those with other seeds."""
    rows = [("mine", name, 9, value(linear(name))) for name in TASKS]
    rows += [("half", name, 0, value(linear(name))) for name in list(TASKS)[:6]]
    found = leaderboard(result(tmp_path / "a.json", rows))
    alone = leaderboard()
    assert found.loc["mine", "score"] == pytest.approx(50)
    assert math.isnan(found.loc["mine", "error"])
    assert math.isnan(found.loc["half", "score"])
    assert found.loc["half", "every"] == pytest.approx(50)
    assert list(found.index)[-1] == "half"
    pd.testing.assert_frame_equal(found.loc[alone.index], alone)


def test_an_entry_that_failed_once_has_no_score_there(tmp_path):
    rows = [("mine", name, seed, value(linear(name))) for name in TASKS for seed in (0, 1)]
    failure = {"error": "ValueError", "message": "m", "traceback": "t"}
    rows[3] = (*rows[3][:3], failure)
    found = leaderboard(result(tmp_path / "a.json", rows))
    assert found.loc["mine", list(TASKS)].isna().sum() == 1
    assert math.isnan(found.loc["mine", rows[3][1]])
    assert math.isnan(found.loc["mine", "score"])


def test_a_page_has_the_table_and_what_it_means(tmp_path):
    table = leaderboard(result(tmp_path / "a.json", [("mine", "few", 0, value(linear("few")))]))
    as_html(table, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert MEANING in page
    assert page.count("<tr") == len(table) + 1
    assert shown(table).loc["mine", ["score", "few", "one"]].tolist() == ["–", "50.0", "–"]


def test_a_result_of_another_version_is_refused(tmp_path):
    old = result(tmp_path / "old.json", [], SETTINGS | {"fixed version": "0"})
    with pytest.raises(ValueError, match=f"version {VERSION} of the benchmark, got version '0'"):
        read(old)
    for settings in ({}, SETTINGS | {"function": "other.run"}):
        with pytest.raises(ValueError, match="expected a result of version"):
            read(result(tmp_path / "other.json", [("a", "every", 0, value(1.0))], settings))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.json")


def test_an_entry_is_in_one_file():
    with pytest.raises(ValueError, match=r"each entry in one file, got \['DiT', "):
        leaderboard(RECORD)
    with pytest.raises(ValueError, match="at least one file"):
        leaderboard(own=False)
    pd.testing.assert_frame_equal(leaderboard(RECORD, own=False), leaderboard(), check_like=True)


def test_what_is_shipped_is_what_was_recorded():
    recorded = compact([RECORD])
    found = pd.read_csv(ROOT / "src" / "gmmtf" / "benchmark" / "results.csv")
    pd.testing.assert_frame_equal(found, recorded, check_like=True)
    assert len(shipped()) == len(TASKS) * len(ENTRIES) * 3
    assert set(shipped()["seed"]) == {0, 1, 2}
    kept = shipped().set_index(["entry", "task", "seed"])
    for point in list(Recording(RECORD).points)[::97]:
        row = kept.loc[tuple(point.labels[name] for name in ("entry", "task", "seed"))]
        for name in ("excess", "gap"):
            assert row[name].value == pytest.approx(point.value[name].value)
            assert row[name].standard_error == pytest.approx(point.value[name].standard_error)


def test_no_entry_beats_bayes():
    assert impossible(shipped()).empty


def test_one_that_beats_bayes_is_seen(tmp_path):
    rows = shipped()
    rows.at[5, "gap"] = Estimate(-0.02, 0.005)
    rows.at[6, "gap"] = Estimate(-0.014, 0.005)
    assert list(impossible(rows).index) == [5]
    path = result(tmp_path / "mine.json", [("mine", "every", 0, value(0.1, -0.02))])
    with pytest.warns(UserWarning, match=r"mine on every, seed 0: a smaller .* by 0.02, ") as seen:
        leaderboard(path)
    assert seen[0].filename == __file__


def test_the_laws_are_the_same_wherever_they_are_made(monkeypatch):
    """What a library computes is rounded as its processor likes: no law may hold it.

    Decompositions, and also functions of every entry, such as PyTorch's square root.
    """

    def elsewhere(decompose):
        def rounded(*args, **options):
            found = decompose(*args, **options)
            if isinstance(found, torch.Tensor):
                return found * (1 + 4e-16)
            return type(found)([each * (1 + 4e-16) for each in found])

        return rounded

    for name in ("cholesky", "eigh", "qr", "svd", "inv", "solve"):
        monkeypatch.setattr(torch.linalg, name, elsewhere(getattr(torch.linalg, name)))
    for name in ("sqrt", "rsqrt", "exp", "log", "pow", "sin", "cos", "__pow__", "__rpow__"):
        for place in (torch, torch.Tensor):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, elsewhere(getattr(place, name)))
    assert float(torch.tensor(4.0, dtype=torch.float64).sqrt()) != 2
    gram = torch.eye(2, dtype=torch.float64) + 1
    assert not torch.equal(torch.linalg.cholesky(gram), torch.linalg.cholesky_ex(gram).L)
    for name, each in TASKS.items():
        assert law_digest(replace(each)) == exact_risks(name).fingerprint
