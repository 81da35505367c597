"""Chapters at other scales: the smoke preset runs, and a wrong parameter is refused at once."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest

from run_chapter import check_parameters, load_preset, main, preset_path

from .chapters import BOOK, CHAPTERS, ROOT, prepare

pytestmark = pytest.mark.book


def run_chapter(*arguments: object) -> subprocess.CompletedProcess[str]:
    prepare()
    script = str(ROOT / "scripts" / "run_chapter.py")
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_smoke_preset_runs(chapter, tmp_path):
    done = run_chapter(chapter, "--preset", "smoke", "--output", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    copy = nbformat.read(tmp_path / f"{chapter}.smoke.ipynb", as_version=4)
    injected = [c for c in copy.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1
    streams = [o for c in copy.cells for o in c.get("outputs", []) if o.output_type == "stream"]
    assert [o.text for o in streams if o.name == "stderr"] == []


@pytest.mark.parametrize("path", sorted((BOOK / "params").rglob("*.yml")), ids=lambda p: p.stem)
def test_presets_hold_only_parameters_of_their_chapter(path):
    check_parameters(BOOK / f"{path.parent.name}.ipynb", load_preset(path.parent.name, path.stem))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_has_a_smoke_preset(chapter):
    assert preset_path(chapter, "smoke").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sead", "1"], "unknown parameter 'sead'; did you mean 'seed'?"),
        (["-p", "seed", "one"], "parameter 'seed': got the text 'one'"),
        (["-p", "device", "1"], "parameter 'device': got 1, expected a text"),
        (["--preset", "smok"], "preset: "),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["", CHAPTERS[0], *arguments, "--output", str(tmp_path)])
    assert main() == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_chapter_is_refused(tmp_path):
    done = run_chapter("99_nothing", "--output", tmp_path)
    assert done.returncode == 2
    assert "expected one of" in done.stderr
