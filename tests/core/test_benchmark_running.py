"""Runs of the benchmark and its commands."""

from __future__ import annotations

import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gmmtf import optimal_denoiser
from gmmtf.benchmark import ENTRIES, TASKS, VERSION, Entry, entries, running
from gmmtf.benchmark.__main__ import main
from gmmtf.benchmark.leaderboard import leaderboard
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE
from gmmtf.record import Recording


@pytest.fixture
def quick(monkeypatch):
    """Runs of a few steps on a few tokens."""
    monkeypatch.setattr(running, "MEASURED_TOKENS", 512)
    monkeypatch.setattr(running, "STEPS", 3)
    monkeypatch.setattr(entries, "STEPS", 1)
    monkeypatch.setattr(running, "LENGTHS", (64, 16))


def test_a_run_repeats_and_measures_all(quick):
    first, again = (running.run("MLP", "few", 0) for _ in range(2))
    assert first == again
    assert first != running.run("MLP", "few", 1)
    assert first["n_parameters"] > 1e4
    assert len(first["levels"]) == len(LEVELS)
    assert first["excess"].value == pytest.approx(sum(first["levels"]) / len(LEVELS))
    assert first["elbo"].value != pytest.approx(first["min_snr"].value, rel=0.01)
    same, fewer = first["lengths"]
    assert same == pytest.approx(first["excess"].value)
    assert fewer != pytest.approx(same, rel=1e-3)
    assert "rare" not in first
    found = running.run("zero", "rare-tokens", 0)
    assert found["n_parameters"] == 0
    assert "lengths" not in found
    assert {"rare", "common"} <= set(found)
    assert "lengths" not in running.run("empirical ideal", "few", 0)


def test_all_entries_are_measured_on_the_same_data(quick):
    """The loss less the gap is Bayes' loss on the data."""
    zero, linear, other = (
        running.run(name, "every", seed) for name, seed in (("zero", 0), ("linear", 0), ("zero", 1))
    )
    bayes = [found["loss"].value - found["gap"].value for found in (zero, linear, other)]
    assert bayes[0] == pytest.approx(bayes[1], rel=1e-6)
    assert bayes[0] != pytest.approx(bayes[2], rel=1e-6)
    assert zero["gap"].errors_from(zero["excess"]) < 4.5
    assert running.run("uniform attention", "every", 0)["n_parameters"] == 0


def test_the_excess_is_counted_apart_on_tokens_of_the_rare_pattern(quick, monkeypatch):
    monkeypatch.setattr(running, "LEVELS", (25,))  # where tokens tell their pattern
    law = TASKS["rare-tokens"].law
    bayes = optimal_denoiser(law, SCHEDULE)

    def wrong_on_rare(x_t, t):
        rare = (x_t @ law.means.to(x_t).T).argmax(-1, keepdim=True) == 0
        return bayes(x_t, t) + 2.0 * rare + 0.5

    found = running._by_label(wrong_on_rare, law, 0, seed=3)
    assert found["rare"] == pytest.approx(2.5**2, rel=1e-5)
    assert found["common"] == pytest.approx(0.25, rel=1e-5)


def test_a_run_leaves_the_callers_random_numbers_alone(quick):
    torch.manual_seed(5)
    running.run("DiT", "every", 0)
    found = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(found, torch.rand(1))


def test_an_own_entry_is_run_as_it_is(quick):
    made = Entry("half", "", lambda law, schedule, seed: lambda x_t, t: x_t / 2)
    found = running.run(made, "every", 0)
    assert 0 < found["excess"].value < running.run("zero", "every", 0)["excess"].value


def test_a_run_repeats_by_its_task_and_seed_whatever_ran_before(quick):
    def random(law, schedule, seed):
        layer = torch.nn.Linear(32, 32)
        return lambda x_t, t: layer(x_t)

    made = Entry("random", "", random)
    torch.manual_seed(1)
    first = running.run(made, "every", 0)
    torch.manual_seed(2)
    assert running.run(made, "every", 0) == first


def test_wrong_arguments_of_a_run(quick):
    with pytest.raises(ValueError, match="this is version"):
        running.run("zero", "every", 0, version="0")
    with pytest.raises(ValueError, match="task: expected one of every"):
        running.run("zero", "ever", 0)
    with pytest.raises(ValueError, match="seed"):
        running.run("zero", "every", -1)
    with pytest.raises(ValueError, match="code: the code of 'json:dumps' is not the one"):
        running.run("json:dumps", "every", 0, code="0123")
    with pytest.raises(ValueError, match="entries of one module"):
        running.run_all(["json:dumps", "csv:reader"], None)


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (lambda x_t, t: x_t * float("nan"), FloatingPointError),
        (lambda x_t, t: x_t[:, 1:], ValueError),
        (torch.zeros(3), TypeError),
    ],
)
def test_an_entry_that_fails_says_why(quick, entry, error):
    with pytest.raises(error, match=r"mine|entry"):
        running.run(Entry("mine", "", lambda *_: entry), "every", 0)


MINE = """
def halved(law, schedule, seed):
    return lambda x_t, t: x_t / 2

def broken(law, schedule, seed):
    return lambda x_t, t: x_t * float("nan")
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_entries.py").write_text(MINE)
    yield tmp_path
    sys.modules.pop("my_entries", None)
    running.code_digest.cache_clear()


def test_entries_of_ones_own_join_the_leaderboard(own_module, capsys):
    words = ["run", "my_entries:halved", "my_entries:broken", "--seeds", "4", "--workers", "1"]
    words += ["--output", "mine.json", "--tasks", "every", "one"]
    command = [sys.executable, "-m", "gmmtf.benchmark", *words]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "my_entries:halved" in shown
    record = Recording("mine.json")
    assert len(record.points) == 4
    assert record.settings["fixed version"] == VERSION
    failed = record.value(entry="my_entries:broken", task="one", seed=4)
    assert failed["error"] == "FloatingPointError"
    table = leaderboard("mine.json")
    assert set(ENTRIES) < set(table.index)
    row = table.loc["my_entries:halved"]
    assert 0 < row["every"] < 50
    assert math.isnan(row["score"])  # not all tasks were run
    assert math.isnan(row["few"])
    assert table.loc["my_entries:broken", list(TASKS)].isna().all()
    main(["show", "mine.json", "--html", "page.html"])
    assert "my_entries:halved" in capsys.readouterr().out
    assert "my_entries:halved" in Path("page.html").read_text()
    Path("my_entries.py").write_text(MINE.replace("x_t / 2", "x_t / 3"))
    with pytest.raises(ValueError, match="fixed code"):
        main(words)


def test_entries_of_the_suite_are_run_and_not_shown(own_module, capsys, monkeypatch):
    """The leaderboard has rows of theirs already."""
    asked = []

    def run_all(*args, **options):
        asked.append((args, options))
        return Recording(None, {})

    monkeypatch.setattr("gmmtf.benchmark.__main__.run_all", run_all)
    main(["run", "zero", "--tasks", "few", "one", "--seeds", "3", "--output", "a.json"])
    options = {"tasks": ["few", "one"], "seeds": [3], "n_workers": None, "retry_failed": True}
    assert asked == [((["zero"], Path("a.json")), options)]
    assert capsys.readouterr().out == "written to a.json\n\n"


def test_a_run_that_failed_is_done_again(own_module, monkeypatch, capsys):
    monkeypatch.syspath_prepend(own_module)
    late = "from pathlib import Path\n\ndef make(law, schedule, seed):\n"
    late += "    assert Path('there').exists(), 'not yet'\n    return lambda x_t, t: x_t / 2\n"
    (own_module / "late_entry.py").write_text(late)
    words = ["run", "late_entry:make", "--seeds", "0", "--tasks", "every", "--workers", "1"]
    main(words)
    error = capsys.readouterr().err
    assert error == "failed: late_entry:make, every, seed 0: AssertionError: not yet\n"
    (own_module / "there").touch()
    main(words)
    assert capsys.readouterr().err == ""
    assert leaderboard("benchmark.json").loc["late_entry:make", "every"] > 0


def test_words_that_make_no_sense_end_with_a_message(own_module, monkeypatch):
    for words, message in (
        (["run", "nothing:here"], "cannot import"),
        (["show", "missing.json"], "missing.json"),
    ):
        monkeypatch.setattr(sys, "argv", ["gmmtf.benchmark", *words])
        monkeypatch.delitem(sys.modules, "gmmtf.benchmark.__main__", raising=False)
        with pytest.raises(SystemExit, match=message):
            runpy.run_module("gmmtf.benchmark", run_name="__main__")


def test_the_list_names_all(capsys):
    main(["list"])
    found = capsys.readouterr().out
    assert all(name in found for name in (*TASKS, *ENTRIES, VERSION))
    assert all(each.asks in found for each in TASKS.values())
    assert all(each.about in found for each in ENTRIES.values())
