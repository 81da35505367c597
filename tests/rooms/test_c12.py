"""The tables of the benchmark's records, and the numbers of the prose."""

from __future__ import annotations

import json
import math
import re
from itertools import product
from statistics import mean, median, stdev

import nbformat
import pandas as pd
import pytest

from gmmtf import Estimate
from gmmtf.benchmark import ENTRIES, TASKS, leaderboard
from gmmtf.benchmark.exact import ExactRisks
from gmmtf.benchmark.running import LENGTHS
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE
from gmmtf.jsonvalues import encode
from gmmtf.record import Recording
from gmmtf_book import BOOK
from gmmtf_book.c12_benchmark import results, summary, training_sets
from gmmtf_book.c12_benchmark.training_sets import FRESH, IDEAL

SEEDS = (0, 1, 2)
SIZES = (10, 100, 1000, FRESH)
STUDIED = (IDEAL, "head", "DiT")


def excess(entry: str, task: str, seed: int) -> float:
    """Made so that no two runs have the same, and blind Bayes is exact on one task."""
    if (entry, task) == ("token Bayes", "rare-tokens"):
        return 0.0
    place = (list(ENTRIES).index(entry) + 1) * 0.01 + list(TASKS).index(task) * 0.0023
    return place + 0.0004 * seed**2


ROWS = [
    {
        "entry": entry, "task": task, "seed": seed, "excess": Estimate(value, 1e-4),
        "gap": Estimate(value - 0.011, 0.002 * (seed + 1)),
        "levels": [value * (k + 1) for k in range(len(LEVELS))],
        "n_parameters": 1000 * (list(ENTRIES).index(entry) + 1),
    }
    | ({"lengths": [value * 8 / n for n in LENGTHS]}
       if task == "few" and ENTRIES[entry].any_length else {})
    | ({"rare": value * (2 + seed), "common": value} if task.startswith("rare") else {})
    for entry, task, seed in product(ENTRIES, reversed(TASKS), SEEDS)
    for value in [excess(entry, task, seed)]
]  # fmt: skip


def set_value(entry: str, size: int, seed: int) -> dict[str, Estimate]:
    """The larger the set the better; the ideal hardly."""
    base = (5.0 if entry == IDEAL else 0.01) + 0.001 * STUDIED.index(entry)
    gained = base * (1 + (10 / size if size else 0)) + 0.0002 * seed
    return {
        "excess": Estimate(gained, 1e-3), "seen": Estimate(gained - 5 / (size or 1e9), 1e-3),
        "linear": Estimate(0.08 + 0.001 * seed, 1e-3),
    }  # fmt: skip


SET_ROWS = [
    {"entry": entry, "size": size, "seed": seed} | set_value(entry, size, seed)
    for seed, size, entry in product(SEEDS, SIZES[::-1], STUDIED)
    if entry != IDEAL or size in (10, 100)
]
LABELS = {"entry", "task", "seed", "size"}


def made_exact(name: str) -> ExactRisks:
    place = list(TASKS).index(name)
    bayes = [Estimate(0.1 + 0.001 * place + 0.01 * k, 1e-4) for k in range(len(LEVELS))]
    linear = [each.value + 0.05 + 0.007 * place for each in bayes]
    return ExactRisks("", [0.0] * len(LEVELS), bayes, linear)


def linear(task: str) -> float:
    """Of :func:`made_exact`."""
    return 0.05 + 0.007 * list(TASKS).index(task)


def text(rows: list[dict], settings: dict) -> str:
    points = [
        {"labels": {k: v for k, v in row.items() if k in LABELS},
         "value": encode({k: v for k, v in row.items() if k not in LABELS}), "provenance": {}}
        for row in rows
    ]  # fmt: skip
    return json.dumps({"settings": settings, "points": points})


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Made records and exact risks in the place of those of the book."""
    (tmp_path / "benchmark.json").write_text(text(ROWS, {}))
    (tmp_path / "12_benchmark.json").write_text(text(SET_ROWS, {}))
    for module in (results, training_sets):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    for module in (results, summary, leaderboard):
        monkeypatch.setattr(module, "exact_risks", made_exact)
    board = pd.DataFrame(
        {"score": [90.0 - k for k in range(len(ENTRIES))],
         "error": [0.1 + (k == 4) for k in range(len(ENTRIES))],
         **dict.fromkeys(TASKS, 50.0)},
        index=pd.Index(ENTRIES, name="entry"),
    )  # fmt: skip
    monkeypatch.setattr(summary, "leaderboard", lambda: board)
    results.rows.cache_clear()
    yield
    results.rows.cache_clear()


def over(name: str, entry: str, task: str) -> list[float]:
    """A number of all seeds."""
    return [float(r[name]) for r in ROWS if (r["entry"], r["task"]) == (entry, task)]


def pooled(values: list[float]):
    return pytest.approx((mean(values), stdev(values) / math.sqrt(len(values))))


def pair(estimate: Estimate) -> tuple[float, float]:
    return estimate.value, estimate.standard_error


def test_the_mean_over_seeds_has_the_error_of_their_scatter():
    assert pair(results.over_seeds([1.0, 2.0, 4.5])) == pooled([1.0, 2.0, 4.5])
    assert results.over_seeds([Estimate(2.0, 0.5)]) == Estimate(2.0, 0.0)
    two = results.over_seeds([Estimate(2.0, 9.0), Estimate(3.0, 9.0)])
    assert two == Estimate(2.5, 0.5)


def test_excesses_are_those_of_the_record(made):
    found = results.excesses()
    assert (list(found.index), list(found.columns)) == (list(ENTRIES), list(TASKS))
    for entry, task in (("DiT", "few"), ("zero", "wide"), ("head", "every")):
        assert pair(found.loc[entry, task]) == pooled(over("excess", entry, task))


def test_levels_and_lengths_keep_their_places(made):
    levels = results.levels("half")
    alpha_bars = SCHEDULE.alpha_bars[list(LEVELS)]
    assert levels.index.tolist() == pytest.approx(((1 - alpha_bars) / alpha_bars).sqrt().tolist())
    assert list(levels.columns) == list(ENTRIES)
    for k in (0, 7, 19):
        assert pair(levels["head"].iloc[k]) == pooled(
            [value * (k + 1) for value in over("excess", "head", "half")]
        )
    lengths = results.lengths("few")
    assert list(lengths.index) == list(LENGTHS)
    assert list(lengths.columns) == [name for name in ENTRIES if name != IDEAL]
    expected = [value * 8 / 128 for value in over("excess", "MLP", "few")]
    assert pair(lengths.loc[128, "MLP"]) == pooled(expected)
    bayes = results.bayes("half")
    assert bayes.index.tolist() == levels.index.tolist()
    assert bayes.tolist() == pytest.approx([0.103 + 0.01 * k for k in range(20)])


def test_the_ratio_of_rare_to_common_is_that_of_each_seed(made):
    found = results.rarity("rare-data").loc["MLP"]
    values = over("excess", "MLP", "rare-data")
    rare = [value * (2 + seed) for value, seed in zip(values, SEEDS, strict=True)]
    assert pair(found["rare"]) == pooled(rare)
    assert pair(found["common"]) == pooled(values)
    assert pair(found["ratio"]) == pooled([2, 3, 4])


def test_scores_gaps_and_runs_of_the_prose(made):
    found = summary.recorded()
    assert (found["entries"], found["tasks"], found["runs"]) == (19, 13, 19 * 13 * 3)
    assert found["score-zero"] == 90.0
    assert found["score-head_value"] == 90.0 - list(ENTRIES).index("head + value")
    assert found["seed_error"] == 1.1
    gaps = [row["gap"].value / row["gap"].standard_error for row in ROWS]
    assert found["lowest_gap"] == pytest.approx(min(gaps))
    assert min(gaps) < -1


def test_who_beats_whom_in_the_prose(made):
    found = summary.recorded()
    coupled = [task for task in TASKS if task != "rare-tokens"]
    assert found["coupled"] == len(coupled) == 12
    for entry, name in (("head", "head"), ("head + value", "head_value"), ("MLP", "MLP"),
                        ("deep sets", "deep_sets"), ("DiT", "DiT")):  # fmt: skip
        here = {task: mean(over("excess", entry, task)) for task in TASKS}
        below = [task for task in TASKS if here[task] < linear(task)]
        assert found[f"beats_linear-{name}"] == len(below)
        blind = {task: mean(over("excess", "token Bayes", task)) for task in coupled}
        assert found[f"beats_blind-{name}"] == sum(here[t] < blind[t] for t in coupled)
        shares = [here[task] / linear(task) for task in TASKS]
        assert found[f"left-{name}"] == pytest.approx(100 * median(shares))
    assert 0 < found["beats_linear-head"] < 13


def test_an_entry_below_blind_bayes_is_counted(made, monkeypatch):
    better = results.excesses().copy()
    for task in ("few", "many", "rare-tokens"):  # the last one is not coupled
        better.loc["DiT", task] = Estimate(0.0001)
    better.loc["DiT", "one"] = better.loc["token Bayes", "one"]
    monkeypatch.setattr(results, "excesses", lambda: better)
    assert summary.recorded()["beats_blind-DiT"] == 2


def test_excesses_ratios_and_lengths_of_the_prose(made):
    found = summary.recorded()
    for task, entry, name in (
        ("few", "U-Net", "few-U_Net"), ("one", "uniform attention", "one-uniform_attention"),
        ("few", "empirical ideal", "few-empirical_ideal"), ("many", "DiT", "many-DiT"),
    ):  # fmt: skip
        assert pair(found[name]) == pooled(over("excess", entry, task))
    assert found["rare-data-ratio-head"].value == pytest.approx(3)
    assert found["rare-tokens-ratio-DiT"].value == pytest.approx(3)
    assert "rare-tokens-ratio-token_Bayes" not in found  # it has no excess
    for n in LENGTHS:
        expected = [value * 8 / n for value in over("excess", "head", "few")]
        assert pair(found[f"length{n}-head"]) == pooled(expected)


def test_training_sets_of_the_prose(made):
    found = summary.recorded()
    assert found["sets-linear"] == pytest.approx(0.081)
    for name, entry in (("head", "head"), ("DiT", "DiT"), ("empirical_ideal", IDEAL)):
        for size in SIZES if entry != IDEAL else (10, 100):
            values = [set_value(entry, size, seed) for seed in SEEDS]
            for key, column in (("set", "excess"), ("seen", "seen")):
                expected = pooled([each[column].value for each in values])
                assert pair(found[f"{key}{size}-{name}"]) == expected
    assert "set1000-empirical_ideal" not in found
    assert found["ideal_most"] == 100
    # 1 + 10/size is below 5/4 from 100 on, of what is made.
    assert found["enough-head"] == found["enough-DiT"] == 100
    fresh, hundred = (
        mean(set_value("DiT", size, seed)["excess"].value for seed in SEEDS)
        for size in (FRESH, 100)
    )
    assert found["cost-DiT"] == pytest.approx(hundred / fresh)


def test_enough_is_the_smallest_size_within_a_quarter(made, monkeypatch):
    def table(record, column):
        values = [1.3, 1.24, 1.26, 1.0]
        return pd.DataFrame({"head": [Estimate(v) for v in values]}, index=[10, 100, 1000, FRESH])

    monkeypatch.setattr(training_sets, "table", table)
    found = summary._sets()
    assert found["enough-head"] == 100
    assert found["cost-head"] == pytest.approx(1.24)


def live_numbers() -> summary.Numbers:
    study = Recording(None, {})
    for size, value in ((100, 6.0), (1000, 4.0)):
        labels = {"entry": IDEAL, "size": size, "seed": 0}
        study.add({"excess": Estimate(value, 0.1)}, 0.0, **labels)
    gated = {"excess": Estimate(0.03, 0.001), "gap": Estimate(0.028, 0.004)}
    return summary.live("few", gated, {"excess": Estimate(0.06, 0.001)}, study)


def test_numbers_of_the_live_runs(made):
    found = live_numbers()
    assert (found["gated"], found["again"]) == (0.03, 0.06)
    filtered = linear("few")
    assert found["filter"] == pytest.approx(filtered)
    assert found["gated_score"] == pytest.approx(100 * filtered / (filtered + 0.03))
    assert found["gated_head"] == pytest.approx(0.5)
    assert found["gated_filter"] == pytest.approx(0.03 / filtered)
    assert found["gated_gap"] == pytest.approx(7)
    assert found["head_again"] == pytest.approx(
        0.06 / mean(excess("head", "few", seed) for seed in SEEDS)
    )
    assert found["ideal_ratio"] == pytest.approx(1.5)


def test_quoted_numbers_have_no_errors_and_are_per_cent_where_the_prose_has_them_so(made):
    numbers = {"few-DiT": Estimate(0.016, 0.1), "few-head": Estimate(0.032), "runs": 7}
    found = summary.quoted(numbers | {"lowest_gap": -2.5})
    assert (found["few-DiT"], found["runs"], found["lowest_gap_size"]) == (0.016, 7, 2.5)
    assert found["few-DiT-percent"] == pytest.approx(1.6 / linear("few"))
    assert found["few-head-percent"] == pytest.approx(3.2 / linear("few"))
    assert summary.quoted(numbers | {"lowest_gap": 1.5})["lowest_gap_size"] == 0


def test_the_prose_quotes_numbers_that_there_are(made):
    cells = nbformat.read(BOOK / "12_benchmark.ipynb", as_version=4).cells
    names = re.findall(r"\{glue:text\}`bench-([^:`]+)", "".join(cell.source for cell in cells))
    assert len(names) > 40
    numbers = summary.quoted(live_numbers() | summary.recorded())
    assert set(names) <= set(numbers)
    assert all(math.isfinite(value) for value in numbers.values())


def test_tables_of_the_page(made):
    tasks = summary.tasks_table()
    assert list(tasks.index) == list(TASKS)
    assert tasks.loc["few"].tolist() == [
        TASKS["few"].asks, 16, 32, 64, f"{0.102 + 0.095:.4f}", f"{linear('few'):.4f}",
    ]  # fmt: skip
    assert tasks.loc["digits", ["M", "d", "N"]].tolist() == [20, 16, 64]
    entries = summary.entries_table()
    assert list(entries.index) == list(ENTRIES)
    assert entries.loc["two heads", "what it is"] == ENTRIES["two heads"].about
    board = summary.leaderboard_table()
    assert list(board.columns[:3]) == ["score", "error", "trained"]
    assert board.loc["linear"].tolist()[:3] == ["89.0", "0.10", "2,000"]
    assert list(board.index) == list(ENTRIES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("head, Adam", "head_Adam"), ("head + value", "head_value"), ("U-Net", "U_Net")],
)
def test_names_of_entries_in_names_of_numbers(name, expected):
    assert summary.slug(name) == expected


def test_sizes_are_in_order_and_fresh_data_are_last(made):
    record = training_sets.recorded()
    found = training_sets.table(record, "seen")
    assert list(found.index) == [10, 100, 1000, FRESH]
    assert set(found.columns) == set(STUDIED)
    values = [set_value("head", 1000, seed)["seen"].value for seed in SEEDS]
    assert pair(found.loc[1000, "head"]) == pooled(values)
    assert found[IDEAL].isna().tolist() == [False, False, True, True]
    assert training_sets.linear(record) == pytest.approx(0.081)


def test_what_the_recorded_runs_say():
    """The claims of the page, with some room."""
    results.rows.cache_clear()
    found = summary.recorded()
    assert found["runs"] == len(ENTRIES) * len(TASKS) * 3
    assert found["lowest_gap"] > -4
    assert found["left-DiT"] < found["left-head_value"] < found["left-head"]
    assert found["beats_blind-DiT"] > found["coupled"] / 2
    assert found["few-empirical_ideal"].value > 1
    assert found["few-U_Net"].value > found["few-linear"].value
    assert found["length512-head"].value < found["length16-head"].value / 2
    assert found["enough-DiT"] <= 1000
    assert found["seen10-DiT"].value < -3 * found["seen10-DiT"].standard_error
    assert found["set100-empirical_ideal"].value > 100 * found["set100-DiT"].value
