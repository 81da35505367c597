"""The wheel alone: what it holds, and what works with it where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gmmtf.images.weights import SHIPPED
from kernel_environment import ROOT
from test_readme import example

EXTRA = ("diffusers", "pooch", "scikit-learn", "torchmetrics")
MINE = "def entry(law, schedule, seed):\n    return lambda x_t, t: x_t / 2\n"
WITHOUT = """
import sys
for name in ("accelerate", "dask", "diffusers", "distributed", "pooch", "sklearn", "torchmetrics"):
    sys.modules[name] = None  # as if not installed
"""
WITHOUT_NETWORK = """
import socket

def refuse(*_, **__):
    raise OSError("there is no network")

socket.getaddrinfo = refuse
"""
READ = """
from importlib.util import find_spec

import gmmtf
from gmmtf.images.features import load_classifier
from gmmtf.images.mnist import load
from gmmtf.images.weights import SHIPPED, load_shipped

readers = {"test": lambda: len(load("test")[0])}
readers["off"] = lambda: len(load("test", download=False)[0])
readers |= {name: lambda name=name: load_shipped(name).digits for name in SHIPPED}
readers["features"] = lambda: load_classifier().num_features
for name, read in readers.items():
    try:
        print(name, "read", read())
    except (ImportError, RuntimeError) as error:
        print(name, type(error).__name__, str(error).replace("\\n", " "))
print("library", gmmtf.__file__)
print("rooms", find_spec("gmmtf_book"))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, beside what it needs of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files beside what it builds
    shutil.copytree(
        ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, source], check=True
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    # Of this environment what is installed, but no .pth file, which would lead to the checkout.
    (site,) = folder.glob("env/lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture
def run(python, tmp_path):
    """Run Python in an empty folder, with an empty home."""
    here, home, added = (tmp_path / name for name in ("here", "home", "added"))
    for folder in (here, home, added):
        folder.mkdir()
    plain = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    plain |= {"HOME": str(home), "TQDM_DISABLE": "1", "PYTHONIOENCODING": "utf-8"}
    plain |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(added)}

    def run(
        *words: str, before: str = "", data: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        (added / "sitecustomize.py").write_text(WITHOUT_NETWORK + before)
        return subprocess.run(
            [python, *words],
            cwd=here,
            env=plain | ({} if data is None else {"GMMTF_DATA": str(data)}),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )

    (here / "own.py").write_text(MINE)
    return run


def test_all_files_of_the_library_are_in_it(python):
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    files = {
        path.relative_to(ROOT / "src")
        for path in (ROOT / "src" / "gmmtf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == {
        path.relative_to(site)
        for path in (site / "gmmtf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_extra_brings_what_the_errors_say(python):
    (info,) = python.parents[1].glob("lib/python*/site-packages/gmmtf-*.dist-info")
    needed = [Requirement(line) for line in Distribution.at(info).requires or []]
    brought = {
        each.name for each in needed if each.marker and each.marker.evaluate({"extra": "images"})
    }
    assert brought == set(EXTRA)


def test_the_example_of_the_readme(run):
    shorter = example().replace("steps=200, record_every=50", "steps=20, record_every=10")
    assert shorter != example()
    done = run("-W", "error", "-c", shorter)
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["0", "10", "20"]


def row(done: subprocess.CompletedProcess[str]) -> list[str]:
    (found,) = [line.split() for line in done.stdout.splitlines() if line.startswith("own:entry")]
    return found


def test_the_benchmark_takes_an_entry_and_shows_it(run):
    assert "rare-tokens" in run("-m", "gmmtf.benchmark", "list").stdout
    words = ("own:entry", "--tasks", "every", "--seeds", "0", "--workers", "1")
    done = run("-m", "gmmtf.benchmark", "run", *words)
    assert done.stderr == ""
    assert 0 < float(row(done)[3]) < 50
    shown = run("-m", "gmmtf.benchmark", "show", "benchmark.json", "--html", "page.html")
    assert row(shown) == row(done)
    assert "token Bayes" in shown.stdout
    assert shown.stdout.endswith("written to page.html\n")


def test_without_the_extra_an_entry_says_so_and_others_run(run):
    words = ("own:entry", "U-Net", "linear", "--tasks", "every", "--seeds", "0", "--workers", "1")
    done = run("-m", "gmmtf.benchmark", "run", *words, before=WITHOUT)
    assert done.stderr == (
        "failed: U-Net, every, seed 0: ImportError: the U-Net needs diffusers: "
        "pip install 'gmmtf[images]'\n"
    )


def lines(done: subprocess.CompletedProcess[str], python: Path) -> dict[str, str]:
    """What became of each file, in the library that was installed and has no rooms beside it."""
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert Path(found.pop("library")).is_relative_to(python.parents[1])
    assert found.pop("rooms") == "None"
    assert set(found) == {"test", "off", "features", *SHIPPED}
    return found


def test_data_are_read_from_where_the_variable_says(python, run):
    found = lines(run("-c", READ, data=ROOT / "data"), python)
    assert all(line.startswith("read ") for line in found.values())
    assert found["test"] == "read 10000"


@pytest.mark.parametrize("before", ["", WITHOUT], ids=["with extras", "without"])
def test_missing_data_are_asked_for_by_the_variable(python, run, before):
    found = lines(run("-c", READ, before=before), python)
    for name, line in found.items():
        assert line.startswith("ImportError" if before and name == "test" else "DataError")
        assert "is missing" in line
        assert "GMMTF_DATA to a folder with mnist/ and checkpoints/" in line
    assert ("pip install 'gmmtf[images]'" in found["test"]) == bool(before)
