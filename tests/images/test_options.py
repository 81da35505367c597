"""Options of the training scripts are checked before anything is loaded or written."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError

import pytest

import train_digits
import train_features
from gmmtf.images import mnist
from gmmtf.record import Recording
from gmmtf_book.c10_mnist_generation.plan import STUDIES, Plan
from option_types import integer, number, positive

INTEGERS = {
    "--steps": 1, "--batch-size": 1, "--record-every": 1, "--warmup-steps": 0, "--patch": 1,
    "--width": 1, "--depth": 1, "--heads": 1, "--generated": 4, "--n-calls": 1, "--digits": 0,
    "--seeds": 0,
}  # fmt: skip
NUMBERS = {"--lr": ["0", "inf", "-1"], "--ema-decay": ["1", "-0.1"], "--minutes": ["0", "-1"]}
WRONG = [(name, str(least - 1)) for name, least in INTEGERS.items()]
WRONG += [(name, text) for name in INTEGERS for text in ("1.5", "one", "", "nan", "1e3")]
WRONG += [(name, text) for name, more in NUMBERS.items() for text in ("nan", "one", "", *more)]
WRONG += [("--precision", "float16"), ("--study", "rarest")]
TOGETHER = [
    (["--n-calls", "1"], "n_calls: expected an integer of at least 2, got 1"),
    (["--n-calls", "1000"], "n_calls: expected at most 999 for dpm-solver++, got 1000"),
    (["--steps", "50"], "warmup_steps: expected 0 to 50, got 100"),
    (["--patch", "5"], "patch: expected a divisor of the image size 28, got 5"),
    (["--width", "30"], "width: expected a multiple of 4"),
    (["--heads", "3"], "width: expected a multiple of 4 and of heads = 3"),
    (["--digits", "0", "10", "--conditions", "balanced"], "digits: expected one or more distinct"),
    (["--digits", "1", "1"], "--digits: expected each value once, got 1 again"),
    (["--seeds", "0", "0"], "--seeds: expected each value once, got 0 again"),
    (["--conditions", "balanced", "balanced"], "--conditions: expected each value once"),
    (["--conditions", "rare"], "expected 'balanced' or, for instance, 'rare 2 at 0.1'"),
    (["--conditions", "rare 7 at 0.1"], "--conditions: expected a rare digit among [0, 1, 2, 3]"),
    (["--conditions", "rare 2 at 1.5"], "--conditions: expected a fraction in (0, 1]"),
    (["--conditions", "rare 2 at 0.0"], "--conditions: expected a fraction in (0, 1]"),
    (["--conditions", "rare 2 at 0.1 seen at 0"], "expected 'seen at' a number above 0"),
    (["--digits", "0", "1"], "--conditions: expected a rare digit among [0, 1], got 'rare 2"),
    (["--device", "gpu"], "device: expected 'auto', 'cpu' or 'cuda', got 'gpu'"),
    (["--study", "exposure", "--steps", "10"], "--steps: --study has its own settings"),
    (["--study", "exposure", "--seeds", "4"], "--seeds: --study has its own settings"),
]


def refused(script, words, monkeypatch, capsys) -> str:
    """What a script prints that refuses its options, before it loads anything."""
    monkeypatch.setattr(mnist, "load", lambda *_: pytest.fail("images were loaded"))
    monkeypatch.setattr(train_digits, "run_all", lambda *_, **__: pytest.fail("training began"))
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(("option", "text"), WRONG)
def test_a_wrong_value_is_refused_with_the_name_of_its_option(option, text, monkeypatch, capsys):
    said = refused(train_digits, [f"{option}={text}"], monkeypatch, capsys)
    assert f"argument {option}: " in said
    assert repr(text) in said
    assert "expected" in said or "choose from" in said


@pytest.mark.parametrize(("words", "message"), TOGETHER)
def test_what_does_not_fit_together_is_refused(words, message, monkeypatch, capsys):
    assert message in refused(train_digits, words, monkeypatch, capsys)


@pytest.mark.parametrize("option", ["--record", "--checkpoints", "--weights"])
def test_a_place_that_cannot_be_written_is_refused(option, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("mine")
    said = refused(train_digits, [option, tmp_path / "file" / "x" / "y"], monkeypatch, capsys)
    assert f"{option}: got " in said


def test_a_folder_in_place_of_the_record_is_refused(tmp_path, monkeypatch, capsys):
    said = refused(train_digits, ["--record", tmp_path], monkeypatch, capsys)
    assert f"--record: expected a file, got the folder {tmp_path}" in said


def test_a_record_with_other_settings_is_refused(tmp_path, monkeypatch, capsys):
    path = tmp_path / "record.json"
    Recording(path, {"digits": [5]}).add({"x": 1}, 0.0, kind="floor")
    before = path.read_bytes()
    monkeypatch.setattr(train_digits, "run_all", lambda *_, **__: pytest.fail("training began"))
    monkeypatch.setattr(sys, "argv", ["train_digits.py", "--record", str(path)])
    assert train_digits.main() == 2
    assert "--record: " in capsys.readouterr().err
    assert path.read_bytes() == before


def test_right_options_give_their_plan(tmp_path):
    words = ["--conditions", "rare 1 at 0.5", "no classes, balanced", "--digits", "1", "7"]
    words += ["--seeds", "4", "5", "--steps", "30", "--warmup-steps", "3", "--lr", "1e-3"]
    words += ["--n-calls", "6", "--generated", "20", "--width", "32", "--ema-decay", "0"]
    options, device = train_digits.command_line([*words, "--device", "cpu"])
    plan = train_digits.plan_of(options, device)
    assert plan.seeds == {"rare 1 at 0.5": (4, 5), "no classes, balanced": (4, 5)}
    assert plan.digits == (1, 7)
    assert (plan.training.steps, plan.training.warmup_steps, plan.training.lr) == (30, 3, 1e-3)
    assert (plan.evaluation.n_calls, plan.evaluation.n_generated) == (6, 20)
    assert (plan.network.width, plan.network.depth) == (32, Plan().network.depth)
    assert plan.training.ema_decay == 0


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_is_taken_as_it_is(study, tmp_path):
    words = ["--study", study, "--record", str(tmp_path / "record.json"), "--device", "cpu"]
    options, device = train_digits.command_line(words)
    assert train_digits.plan_of(options, device) == STUDIES[study]


def test_help_names_the_defaults_and_the_form_of_a_condition(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        train_digits.command_line(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "rare DIGIT at FRACTION" in text
    assert text.count("(default: ") == len(train_digits.parser()[0]._actions) - 1


@pytest.mark.parametrize(
    "words", [["--epochs", "0"], ["--epochs", "1.5"], ["--seed", "x"], ["--seed=-1"]]
)
def test_wrong_options_of_the_classifier_are_refused(words, monkeypatch, capsys):
    assert "expected an integer of at least" in refused(train_features, words, monkeypatch, capsys)


def test_a_classifier_without_a_place_is_not_trained(tmp_path, monkeypatch, capsys):
    (tmp_path / "checkpoints").write_text("a file")
    monkeypatch.setenv("GMMTF_DATA", str(tmp_path))
    said = refused(train_features, [], monkeypatch, capsys)
    assert f"GMMTF_DATA: got {tmp_path / 'checkpoints'}" in said


def test_types_of_options():
    assert integer(0)("0") == 0
    assert integer(-2)("-2") == -2
    assert positive("1e-3") == 1e-3
    assert number(lambda x: x > 0, "more")("inf") == float("inf")
    careless = number(lambda x: not x < 0, "no negative number")
    for read, text in (
        (integer(1), "0"),
        (careless, "nan"),
        (positive, "inf"),
        (positive, "0"),
        (positive, "nan"),
    ):
        with pytest.raises(ArgumentTypeError, match=rf"expected .*, got '{text}'"):
            read(text)
