"""The two kinds of code stay apart: the library, and the rooms of the chapters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

from gmmtf_book import CHAPTERS, room
from kernel_environment import BOOK, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = [f"gmmtf_book.c{chapter}" for chapter in CHAPTERS]


def lint_imports(source: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache", "--no-logo", str(ROOT / "pyproject.toml")],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_of_imports_hold():
    done = lint_imports(ROOT / "src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("gmmtf/schedule.py", "from gmmtf.laws.mixture import MultiTokenGMM"),
        ("gmmtf/estimate.py", "import gmmtf_book"),
        ("gmmtf_book/c01_multi_token_gmm/run.py", "import gmmtf_book.c02_ddpm_objective"),
        ("gmmtf_book/notebook.py", "import gmmtf_book.c01_multi_token_gmm"),
        ("gmmtf/helpers.py", ""),
    ],
)
def test_an_import_against_the_rule_is_found(tmp_path, file, line):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "src" / file).open("a", encoding="utf-8") as text:
        text.write(f"\n{line}\n")
    done = lint_imports(tmp_path / "src")
    assert done.returncode == 1, done.stdout + done.stderr


def test_every_chapter_has_a_room_that_a_contract_names():
    assert sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb")) == sorted(CHAPTERS)
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "independence":
            assert contract["modules"] == ROOMS
    for chapter in CHAPTERS:
        assert room(chapter).__name__ == f"gmmtf_book.c{chapter}"
    with pytest.raises(ValueError, match=r"^chapter: .*got '99_nothing'"):
        room("99_nothing")


def test_the_wheel_holds_the_library_alone():
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]
    (source,) = found["where"]
    packages = find_packages(str(ROOT / source), include=found["include"])
    assert "gmmtf" in packages
    assert all(name.split(".")[0] == "gmmtf" for name in packages)
    folders = {
        str(path.parent.relative_to(ROOT / source)).replace(os.sep, ".")
        for path in (ROOT / source / "gmmtf").rglob("*.py")
    }
    assert folders == set(packages)  # no module in a folder that is left out
