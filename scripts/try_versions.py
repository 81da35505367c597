"""Run the tests with another Python, or with the oldest versions that ``pyproject.toml`` allows.

::

    python scripts/try_versions.py --python python3.13
    python scripts/try_versions.py --versions oldest
    python scripts/try_versions.py --versions oldest --torch 2.6.0 tests/core -k schedule

makes a virtual environment in ``_build/environments`` with the library's requirements and those of
its tests, and runs all tests but those of the book, or those named, in it. Their exit status is
this command's. The oldest version of a requirement is its lower bound; what has none, and the
requirements of requirements, is left to pip. PyTorch, whose versions are gigabytes on some
platforms, stays at the pinned one unless another is given.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

from kernel_environment import ROOT

EXTRAS = ("images", "test", "distributed")
TESTS = tuple(f"tests/{name}" for name in ("core", "theory", "images", "rooms"))
# What an old release does with a new one of its own requirements is no fault of this project.
TOLERATED = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")


def requirements(extras: Sequence[str] = EXTRAS) -> list[Requirement]:
    """Return what ``pyproject.toml`` requires of other projects, PyTorch first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [project["dependencies"], *(project["optional-dependencies"][e] for e in extras)]
    found = [Requirement(text) for texts in listed for text in texts]
    others = [one for one in found if one.name != project["name"]]
    return sorted(others, key=lambda one: one.name != "torch")


def oldest(requirement: Requirement) -> str | None:
    """Return the oldest version that a requirement allows, None where it sets no bound."""
    bounds = [s.version for s in requirement.specifier if s.operator in (">=", "==")]
    return bounds[0] if bounds else None


def pins(versions: str, torch: str | None) -> list[str]:
    """Return the versions to install, as lines of a file of constraints."""
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if versions == "oldest":
        bounds = {one.name: oldest(one) for one in requirements()}
        lines = [f"{name}=={version}" for name, version in bounds.items() if version]
    else:
        lines = [line for line in pinned if line and not line.startswith("#")]
    (line,) = [line for line in pinned if line.startswith("torch==")]
    chosen = f"torch=={torch}" if torch else line
    return [chosen, *(line for line in lines if not line.startswith("torch=="))]


def make(folder: Path, python: str, versions: str, torch: str | None, extra: str) -> str:
    """Make the environment, or bring it up to date, and return its interpreter."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    interpreter = str(folder / "bin" / "python")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins(versions, torch)) + "\n", encoding="utf-8")
    install = [interpreter, "-m", "pip", "install", "--quiet", "-c", str(constraints)]
    # PyTorch alone first, as `make env` does: its index may be another.
    subprocess.run([*install, *extra.split(), "torch"], check=True)
    wanted = [f"{r.name}{r.specifier}" for r in requirements()]
    subprocess.run([*install, *wanted], check=True)
    return interpreter


def main() -> int:
    """Make the environment and run the tests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter (this one)")
    parser.add_argument("--versions", choices=("pinned", "oldest"), default="pinned")
    parser.add_argument("--torch", help="version of PyTorch (that of constraints.txt)")
    parser.add_argument("--torch-args", default="", help="pip's arguments for PyTorch alone")
    parser.add_argument("--environment", type=Path, help="its folder (below _build/environments)")
    given, tests = parser.parse_known_args()
    found = subprocess.run([given.python, "-V"], check=True, capture_output=True, text=True)
    name = "-".join([found.stdout.split()[1], given.versions, given.torch or "torch"])
    folder = given.environment or ROOT / "_build" / "environments" / name
    interpreter = make(
        folder.absolute(), given.python, given.versions, given.torch, given.torch_args
    )
    subprocess.run([interpreter, "-m", "pip", "list", "--format", "freeze"], check=True)
    chosen = tests if any(re.match(r"tests\b", word) for word in tests) else [*TESTS, *tests]
    tolerated = TOLERATED if given.versions == "oldest" else ()
    options = ["-p", "no:cacheprovider", *(f"-Wdefault::{name}" for name in tolerated)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [interpreter, "-m", "pytest", *options, *chosen]
    return subprocess.run(command, cwd=ROOT, env=surroundings, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
