"""Scripts for records and seeded faults refuse wrong options before they work."""

from __future__ import annotations

import sys

import pytest

import convert_records
import mutants
import records


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        (mutants, ["--jobs", "0"], "argument --jobs: expected an integer of at least 1, got '0'"),
        (mutants, ["--jobs", "two"], "argument --jobs: expected an integer of at least 1"),
        (mutants, ["--file", "nosuch"], "--file: expected part of a path in the lists, got 'nos"),
        (records, ["nosuch"], "folder: expected a folder of records, got nosuch"),
        (convert_records, [], "the following arguments are required: file"),
    ],
)
def test_wrong_options_are_refused(script, words, message, monkeypatch, capsys):
    monkeypatch.setattr(mutants, "run", lambda *_: pytest.fail("faults were seeded"))
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "no JSON", "[]", "3", '{"points": []}'])
def test_a_file_that_cannot_be_converted_stops_no_other(text, tmp_path, monkeypatch, capsys):
    path, other = tmp_path / "one.json", tmp_path / "other.json"
    other.write_text('{"settings": {}, "points": []}')
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["convert_records.py", str(path), str(other)])
    failed = convert_records.main()
    said = capsys.readouterr()
    assert f"{other}: not of the old form" in said.out
    assert failed == (text in (None, "no JSON"))
    assert (str(path) in said.err) == bool(failed)
    assert not path.exists() if text is None else path.read_text() == text
