"""The book, built once for all tests that look at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from kernel_environment import ROOT

from .driven import browser, computing, opened  # noqa: F401 - fixtures


@dataclass(frozen=True)
class BuiltBook:
    """The outcome of one build of the book."""

    html: Path
    returncode: int
    log: str


def build(root: Path, output: Path, *, everything: bool = True) -> BuiltBook:
    """Build the book of a checkout into ``output`` as ``make book`` does: warnings are errors.

    With ``everything`` the pages that did not change are written again too, and warn again.
    """
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root)]
    command += ["-W", "--keep-going", "-n", "--path-output", str(output)]
    command += ["--all"] * everything
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "FORCE_COLOR": ""},
    )
    return BuiltBook(output / "_build" / "html", done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> BuiltBook:
    """Build the whole book with warnings as errors; test processes share the one build.

    The pages are all read and written anew, while executed chapters come from the cache that
    `make book` uses (``_build/.jupyter_cache``) where nothing changed.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    record = shared / "built_book.json"
    with FileLock(shared / "built_book.lock"):
        if not record.exists():
            book = build(ROOT, shared / "book")
            record.write_text(json.dumps([str(book.html), book.returncode, book.log]))
    html, returncode, log = json.loads(record.read_text())
    return BuiltBook(Path(html), returncode, log)
