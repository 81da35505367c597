"""Progress bars: seen by a person, absent from recorded outputs."""

from __future__ import annotations

import io
import sys

import pytest

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, sampling
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.progress import is_watched, progress
from gmmtf.training.run import train


class Stream(io.StringIO):
    """A standard error that may say that it is a terminal, and that remembers."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def stderr_in(place: str, monkeypatch) -> Stream:
    """Replace standard error as it is in a build, a terminal or a live Jupyter notebook.

    Called by the tests themselves, since pytest puts its own stream in place after the fixtures.
    """
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if place == "jupyter":
        monkeypatch.setenv("JPY_SESSION_NAME", "book/04_training.ipynb")
    stream = Stream(terminal=place == "terminal")
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


watched = pytest.mark.parametrize("place", ["terminal", "jupyter"])


def train_and_sample() -> None:
    mixture = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=2, radius=1.0, sigma=1.0)
    schedule = NoiseSchedule.linear(5)
    denoiser = AttentionDenoiser(mixture, schedule)
    list(train(denoiser, mixture, schedule, 2, eval_samples=2, batch_size=2))
    bayes = BayesDenoiser(mixture, schedule)
    sampling.ancestral(bayes, schedule, (1, 2, 2))
    sampling.ddim(bayes, schedule, (1, 2, 2), n_steps=2)


def test_silent_when_nobody_watches(monkeypatch, capsys):
    stream = stderr_in("build", monkeypatch)
    assert not is_watched()
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    train_and_sample()
    assert stream.getvalue() == ""
    assert capsys.readouterr().out == ""


@watched
def test_visible_when_somebody_watches(place, monkeypatch, capsys):
    stream = stderr_in(place, monkeypatch)
    assert is_watched()
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    assert "counting" in stream.getvalue()
    train_and_sample()
    assert "training" in stream.getvalue()
    assert stream.getvalue().count("sampling:   0%") == 2
    assert capsys.readouterr().out == ""


@watched
def test_total_and_start_of_a_resumed_loop(place, monkeypatch):
    stream = stderr_in(place, monkeypatch)
    assert list(progress(iter([7, 8]), "resumed", total=9, initial=7)) == [7, 8]
    assert "7/9" in stream.getvalue()


@watched
def test_nothing_is_left_behind(place, monkeypatch):
    stream = stderr_in(place, monkeypatch)
    list(progress(range(3), "counting"))
    *_, last, end = stream.getvalue().split("\r")
    assert (last.strip(), end) == ("", "")  # the bar is overwritten with blanks
