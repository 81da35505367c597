"""The benchmark: its tasks, scores and entries, and nobody below Bayes."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch

from gmmtf import AttentionDenoiser, Estimate, FullMixture, MultiTokenGMM, bayes_risk, linear_risk
from gmmtf.benchmark import ENTRIES, TASKS, VERSION, Entry, running
from gmmtf.benchmark.__main__ import main
from gmmtf.benchmark.entries import entry, isotropic
from gmmtf.benchmark.exact import derive, exact_risks, law_digest
from gmmtf.benchmark.leaderboard import (
    compact,
    impossible,
    leaderboard,
    read,
    score,
    shipped,
)
from gmmtf.benchmark.networks import Preconditioned, TokenMLP
from gmmtf.benchmark.tasks import LEVELS, SCHEDULE, STEPS, TOKENS_PER_STEP, task
from gmmtf.laws.moments import token_moments
from gmmtf.record import Recording

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "data" / "results" / "benchmark.json"


@pytest.fixture
def quick(monkeypatch):
    """Runs of a few steps on a few tokens."""
    monkeypatch.setattr(running, "MEASURED_TOKENS", 512)
    monkeypatch.setattr(running, "STEPS", 3)
    monkeypatch.setattr(running, "LENGTHS", (16, 32))


def test_the_suite_is_as_large_as_it_says():
    assert len(TASKS) >= 10
    assert len(ENTRIES) >= 12
    assert all(name == each.name for name, each in TASKS.items())
    kinds = {type(each.law) for each in TASKS.values()}
    assert kinds == {MultiTokenGMM, FullMixture}
    assert all(each.batch_size * each.law.n_tokens == TOKENS_PER_STEP for each in TASKS.values())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_what_its_risks_were_stored_for(name):
    stored = exact_risks(name)
    assert stored.fingerprint == law_digest(TASKS[name])
    assert len(stored.bayes) == len(stored.linear) == len(stored.oracle) == len(LEVELS)
    for k in (1, 8, 15):
        t = LEVELS[k]
        assert stored.linear[k] == pytest.approx(linear_risk(TASKS[name].law, SCHEDULE, t=t))
        n_points = 32 if name == "many" else 128
        again = bayes_risk(TASKS[name].law, SCHEDULE, t=t, n_points=n_points, seed=1)
        error = math.hypot(again.standard_error, stored.bayes[k].standard_error)
        assert abs(again.value - stored.bayes[k].value) <= 4.5 * error + 1e-12
        assert stored.oracle[k] <= stored.bayes[k].value + 4.5 * stored.bayes[k].standard_error
        assert stored.bayes[k].value < stored.linear[k] + 1e-9 < 1


def test_risks_are_derived_as_they_were_stored():
    found, stored = derive(task("one"), n_points=64, seed=3), exact_risks("one")
    assert found.oracle == pytest.approx(stored.oracle, rel=1e-12)
    assert found.linear == pytest.approx(stored.linear, rel=1e-12)
    assert found.linear_excess.value == pytest.approx(stored.linear_excess.value, rel=1e-2)


def test_tasks_ask_what_they_say():
    laws = {name: each.law for name, each in TASKS.items()}
    norms = laws["unequal"].gram.diagonal().sqrt()
    assert float(norms.max() / norms.min()) == pytest.approx(3.5)
    gram = laws["oblique"].gram
    cosines = gram / gram.diagonal().sqrt().outer(gram.diagonal().sqrt())
    assert cosines[~torch.eye(8, dtype=torch.bool)].numpy() == pytest.approx(0.5)
    assert laws["crowded"].n_patterns > laws["crowded"].dim
    assert laws["rare-data"].inclusion[0] == pytest.approx(0.04)
    assert running.rarest(laws["rare-tokens"]) == running.rarest(laws["rare-data"]) == 0
    assert running.rarest(laws["few"]) is None
    assert running.rarest(laws["digits"]) is None
    few, many, wide = (laws[name] for name in ("few", "many", "wide"))
    assert replace(few, n_tokens=512).fingerprint() == many.fingerprint()
    assert wide.sigma == pytest.approx(1.0)


def test_the_stored_digits_are_those_that_a_fit_gives():
    from make_benchmark_digits import fit

    stored, found = TASKS["digits"].law, fit()
    assert stored.means.shape == found.means.shape
    for mine, other in ((stored, found), (found, stored)):
        x = mine.sample(40, torch.Generator().manual_seed(0), torch.float64).x_0.flatten(0, 1)
        assert abs(_log_density(mine, x) - _log_density(other, x)) < 0.05


def _log_density(law: FullMixture, x: torch.Tensor) -> float:
    normal = torch.distributions.MultivariateNormal(law.means, law.covariances)
    return float((normal.log_prob(x[:, None]) + law.weights.log()).logsumexp(1).mean())


def test_scores_run_from_bayes_over_the_linear_filter_down():
    linear = exact_risks("few").linear_excess.value
    assert score(0.0, "few") == 100
    assert score(-1e-9, "few") == 100
    assert score(linear, "few") == pytest.approx(50)
    assert score(3 * linear, "few") == pytest.approx(25)


def test_the_network_is_between_variances_of_one():
    law = TASKS["unequal"].law
    seen = []

    class Body(torch.nn.Module):
        def forward(self, x, t):
            seen.append(x)
            return torch.zeros_like(x)

    x_0 = law.sample(400, torch.Generator().manual_seed(0)).x_0
    noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(1))
    network = Preconditioned(Body(), law, SCHEDULE)
    for level in (50, 400, 900):
        t = torch.full((400,), level)
        x_t = SCHEDULE.add_noise(x_0, t, noise)
        left = noise - network(x_t, t)
        assert float(seen[-1].square().mean()) == pytest.approx(1, rel=0.02)
        alpha_bar = float(SCHEDULE.alpha_bars[level])
        square = alpha_bar * network.square + 1 - alpha_bar
        gain = alpha_bar * network.square / square
        assert float(left.square().mean()) == pytest.approx(gain, rel=0.02)
        multiple = (noise * x_t).mean() / x_t.square().mean()
        assert float((1 - alpha_bar) ** 0.5 / square) == pytest.approx(float(multiple), rel=0.03)


def test_the_mean_counts_in_the_variance_of_one():
    law = MultiTokenGMM.from_patterns(torch.full((1, 4), 3.0), n_tokens=2, sigma=0.5)
    assert Preconditioned(TokenMLP(4), law, SCHEDULE).square == pytest.approx(9.25)
    assert len(token_moments(law).variances) == 0


def test_heads_are_made_for_the_isotropic_mixture():
    law = TASKS["covariances"].law
    found = isotropic(law)
    mean = torch.einsum("cii->c", law.covariances).mean() / law.dim
    assert found.sigma**2 == pytest.approx(float(mean))
    assert isotropic(TASKS["few"].law) is TASKS["few"].law


@pytest.mark.parametrize("name", ["MLP", "deep sets", "transformer", "DiT", "U-Net"])
def test_networks_start_near_the_best_multiple(name):
    law = TASKS["every"].law
    network = ENTRIES[name].make(law, SCHEDULE, 0)
    x_t, t = (
        torch.randn(2, 64, 32, generator=torch.Generator().manual_seed(0)),
        torch.tensor([9, 500]),
    )
    moved = network(x_t, t).roll(1, 1) - network(x_t.roll(1, 1), t)
    assert network(x_t, t).shape == x_t.shape
    if name != "U-Net":  # its convolutions see an order, and it does not start at zero
        assert float(moved.abs().max()) < 1e-5
        assert float(network.body(x_t, t).abs().max()) == 0
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    if name in ("deep sets", "transformer", "DiT"):
        other = x_t.clone()
        other[:, 1:] += 1.0
        assert float((network(x_t, t) - network(other, t))[:, 0].abs().max()) > 1e-4
    if name == "MLP":
        other = x_t.clone()
        other[:, 1:] += 1.0
        assert float((network(x_t, t) - network(other, t))[:, 0].abs().max()) == 0


def test_token_bayes_is_blind_to_the_set_and_best_so():
    law = TASKS["rare-data"].law
    denoise = ENTRIES["token Bayes"].make(law, SCHEDULE, 0)
    x_t = law.sample(3, torch.Generator().manual_seed(0), torch.float64).x_0
    t = torch.full((3,), 300)
    changed = x_t.clone()
    changed[:, 1:] = 0
    assert torch.equal(denoise(x_t, t)[:, 0], denoise(changed, t)[:, 0])
    assert denoise.mixture.probabilities[0] == pytest.approx(0.02)


def test_a_run_repeats_and_measures_all(quick):
    first, again = (running.run("MLP", "few", 0) for _ in range(2))
    assert first == again
    assert first != running.run("MLP", "few", 1)
    assert first["n_parameters"] > 1e4
    assert len(first["levels"]) == len(LEVELS)
    assert first["excess"].value == pytest.approx(sum(first["levels"]) / len(LEVELS))
    assert len(first["lengths"]) == 2
    assert "rare" not in first
    rare = running.run("zero", "rare-tokens", 0)
    assert rare["n_parameters"] == 0
    assert "lengths" not in rare
    assert {"rare", "common"} <= set(rare)


def test_a_run_leaves_the_callers_random_numbers_alone(quick):
    torch.manual_seed(5)
    running.run("DiT", "every", 0)
    found = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(found, torch.rand(1))


def test_the_rate_rises_and_falls():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = running.annealed(0.5, 40)([parameter])
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        parameter.grad = torch.ones(1)
        optimizer.step()
    assert rates[0] == pytest.approx(0.25)
    assert max(rates) == pytest.approx(rates[1]) == pytest.approx(0.5, rel=0.01)
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert rates[-1] < 0.01


def own_head(law, schedule, seed):
    """Return a head."""
    return AttentionDenoiser(isotropic(law), schedule)


ENTRY = Entry("mine", "as an entry", own_head, lr=None, optimizer="gd")
NUMBER = 3


def test_entries_of_ones_own():
    assert entry(f"{__name__}:ENTRY") is ENTRY
    made = entry(f"{__name__}:own_head")
    assert (made.name, made.about) == (f"{__name__}:own_head", "Return a head.")
    with pytest.raises(ValueError, match="expected module:function"):
        entry("own_head")
    with pytest.raises(ValueError, match="cannot import"):
        entry("no_such_module:f")
    with pytest.raises(ValueError, match="to be a function or an Entry, got 3"):
        entry(f"{__name__}:NUMBER")


def test_wrong_arguments_of_a_run(quick):
    with pytest.raises(ValueError, match="this is version"):
        running.run("zero", "every", 0, version="0")
    with pytest.raises(ValueError, match="task: expected one of every"):
        running.run("zero", "ever", 0)
    with pytest.raises(ValueError, match="seed"):
        running.run("zero", "every", -1)
    with pytest.raises(ValueError, match="entries of one module"):
        running.run_all(["json:dumps", "math:sqrt"], None)


MINE = """
import torch
from gmmtf import AttentionDenoiser

def halved(law, schedule, seed):
    return lambda x_t, t: x_t / 2

def broken(law, schedule, seed):
    return lambda x_t, t: x_t * float("nan")

def short(law, schedule, seed):
    return lambda x_t, t: x_t[:, 1:]

def cheat(law, schedule, seed):
    return torch.zeros(3)
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_entries.py").write_text(MINE)
    return tmp_path


def command(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gmmtf.benchmark", *words],
        capture_output=True,
        text=True,
        check=check,
    )


def test_an_entry_of_ones_own_joins_the_leaderboard(own_module):
    words = ("run", "my_entries:halved", "--seeds", "0", "--output", "mine.json")
    first = command(*words, "--tasks", "every", "one", "--workers", "1")
    assert "my_entries:halved" in first.stdout
    assert len(Recording("mine.json").points) == 2
    table = leaderboard("mine.json")
    assert set(ENTRIES) < set(table.index)
    row = table.loc["my_entries:halved"]
    assert 0 < row["every"] < 50
    assert math.isnan(row["score"])  # not all tasks were run
    assert math.isnan(row["few"])
    shown = command("show", "mine.json", "--html", "page.html")
    assert "my_entries:halved" in shown.stdout
    page = Path("page.html").read_text()
    assert "my_entries:halved" in page
    assert "<table" in page
    Path("my_entries.py").write_text(MINE.replace("x_t / 2", "x_t / 3"))
    changed = command(*words, "--tasks", "every", check=False)
    assert changed.returncode != 0
    assert "fixed code" in changed.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "FloatingPointError"),
        ("short", "ValueError"),
        ("cheat", "ArgumentError"),
    ],
)
def test_an_entry_that_fails_is_kept_with_its_error(own_module, name, message):
    words = ("run", f"my_entries:{name}", "--seeds", "0", "--output", "mine.json")
    command(*words, "--tasks", "every", "--workers", "1")
    (point,) = Recording("mine.json").points
    assert point.value["error"] == message
    assert math.isnan(leaderboard("mine.json").loc[f"my_entries:{name}", "every"])


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


def test_words_that_make_no_sense(own_module):
    wrong = command("run", "nothing:here", check=False)
    assert wrong.returncode == 1
    assert "cannot import" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert command("show", "missing.json", check=False).returncode == 1


def test_the_list_names_all(capsys):
    main(["list"])
    found = capsys.readouterr().out
    assert all(name in found for name in (*TASKS, *ENTRIES, VERSION))


def test_a_result_of_another_version_is_refused(tmp_path):
    path = tmp_path / "old.json"
    settings = {"function": "gmmtf.benchmark.running.run", "fixed version": "0"}
    Recording(path, settings).add({"excess": 0.1}, 0.0, entry="a", task="every", seed=0)
    with pytest.raises(ValueError, match=f"version {VERSION} of the benchmark, got version '0'"):
        read(path)
    other = tmp_path / "other.json"
    Recording(other, {}).add(1.0, 0.0, entry="a", task="every", seed=0)
    with pytest.raises(ValueError, match="got another record"):
        read(other)


def test_an_entry_is_in_one_file(tmp_path):
    with pytest.raises(ValueError, match="each entry in one file"):
        leaderboard(RECORD)
    with pytest.raises(ValueError, match="at least one file"):
        leaderboard(own=False)
    assert set(leaderboard(RECORD, own=False).index) == set(ENTRIES)


def test_what_is_shipped_is_what_was_recorded():
    recorded = compact([RECORD])
    found = pd.read_csv(ROOT / "src" / "gmmtf" / "benchmark" / "results.csv")
    pd.testing.assert_frame_equal(found, recorded, check_like=True)
    assert len(shipped()) == len(TASKS) * len(ENTRIES) * 3
    assert set(shipped()["seed"]) == {0, 1, 2}


def test_no_entry_beats_bayes():
    assert impossible(shipped()).empty


def test_one_that_beats_bayes_is_seen(tmp_path):
    rows = shipped()
    rows.at[5, "gap"] = Estimate(-0.02, 0.005)
    assert list(impossible(rows).index) == [5]
    settings = {"function": "gmmtf.benchmark.running.run", "fixed version": VERSION}
    record = Recording(tmp_path / "mine.json", settings)
    value = {"excess": Estimate(0.1, 0.01), "gap": Estimate(-0.02, 0.005)}
    record.add(value, 0.0, entry="mine", task="every", seed=0)
    with pytest.warns(UserWarning, match="mine on every.*smaller loss than Bayes"):
        leaderboard(tmp_path / "mine.json")


def test_a_recorded_run_is_found_again():
    """One that learns nothing, and is exact: it is what it was, whatever the machine."""
    rows = shipped().set_index(["entry", "task", "seed"])
    for name in ("uniform attention", "linear"):
        again = running.run(name, "every", 1)
        assert again["excess"].value == pytest.approx(
            rows.loc[(name, "every", 1)]["excess"].value, rel=1e-4
        )


def test_the_budget_is_what_the_pages_say():
    assert STEPS * TOKENS_PER_STEP == 819_200
