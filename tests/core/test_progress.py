"""Progress bars: seen by a person, absent where chapters are built, stored or tested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_environment import prepare

ROOT = Path(__file__).parents[2]

RUNS = """
from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, descend, sampling
from gmmtf.training import train

mixture = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=2, radius=1.0, sigma=1.0)
schedule = NoiseSchedule.linear(5)
head = AttentionDenoiser(mixture, schedule)
list(train(head, mixture, schedule, 2, eval_samples=2, batch_size=2))
list(descend(mixture, schedule, 2, method="simulation", eval_samples=2, batch_size=2))
head.requires_grad_(False)
sampling.ancestral(head, schedule, (1, 2, 2))
sampling.ddim(head, schedule, (1, 2, 2), n_calls=2)
"""


def run(**variables: str) -> tuple[str, str]:
    """Output and errors of a fresh process: tqdm reads the variable when it is imported."""
    surroundings = {k: v for k, v in os.environ.items() if k != "TQDM_DISABLE"}
    surroundings |= {"PYTHONPATH": str(ROOT / "src"), **variables}
    done = subprocess.run(
        [sys.executable, "-c", RUNS], env=surroundings, capture_output=True, check=True
    )
    return done.stdout.decode(), done.stderr.decode()


def test_kernels_of_builds_and_stored_outputs_show_no_bars(monkeypatch):
    """The build, ``run_chapter.py`` and ``refresh_outputs.py`` all call ``prepare``."""
    monkeypatch.setattr(os, "environ", {"PYTHONPATH": "", "TQDM_DISABLE": "0"})
    prepare(ROOT)
    assert os.environ["TQDM_DISABLE"] == "1"


@pytest.mark.parametrize("name", ["sphinx_execution_cache", "run_chapter", "refresh_outputs"])
def test_whatever_executes_chapters_prepares_the_kernels(name):
    source = (ROOT / "scripts" / f"{name}.py").read_text(encoding="utf-8")
    assert "from kernel_environment import" in source
    assert "prepare(" in source


def test_the_suite_itself_shows_no_bars():
    assert os.environ["TQDM_DISABLE"] == "1"


def test_silent_where_the_variable_is_set():
    assert run(TQDM_DISABLE="1") == ("", "")


def test_a_person_sees_the_bars_and_nothing_is_left_behind():
    output, errors = run()
    assert output == ""
    for name in ("training", "descent", "sampling"):
        assert f"{name}:   0%" in errors
    *_, last, end = errors.split("\r")
    assert (last.strip(), end) == ("", "")  # the bar is overwritten with blanks
