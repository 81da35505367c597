"""Sphinx extension: re-execute the chapters when the library, the data or the pins change.

jupyter-cache keys an executed notebook on its code cells alone. This extension gives each state of
the inputs its own cache folder, ``_build/.jupyter_cache/<fingerprint>``, of the build folder. The
folder is part of the Sphinx configuration, so another fingerprint also makes Sphinx read every page
again.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

from kernel_environment import build_folder, prepare, writable

logger = logging.getLogger(__name__)

INPUTS = ("src", "data", "constraints.txt")
# Read by the build itself (sphinx_claims), never by a chapter.
NOT_INPUTS = ("data/results/claims.json",)
# Made by Python and setuptools, and beside a record that is being written.
DERIVED = ("__pycache__", ".egg-info", ".lock", ".partial")
CACHES_KEPT = 3


def input_files(root: Path) -> Iterator[Path]:
    """Yield the files that a chapter's results may depend on, in a fixed order."""
    for name in INPUTS:
        top = root / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in files:
            relative = path.relative_to(root)
            derived = any(part.endswith(DERIVED) for part in relative.parts)
            if path.is_file() and not derived and relative.as_posix() not in NOT_INPUTS:
                yield path


def fingerprint(root: Path) -> str:
    """Hash names and contents of the inputs, with the versions of Python and torch in use."""
    digest = hashlib.sha256()
    digest.update(f"python {platform.python_version()} torch {version('torch')}\n".encode())
    for path in input_files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    """Point MyST-NB at the cache folder of the present fingerprint and drop the oldest folders."""
    root = Path(app.srcdir)
    caches = build_folder(root) / ".jupyter_cache"
    if not writable(caches):  # a checkout that can only be read, and --path-output elsewhere
        caches = Path(app.outdir).parent / ".jupyter_cache"
    cache = caches / fingerprint(root)
    if not cache.exists():
        logger.info("library, data or pins are new to the cache: every chapter will be executed")
    cache.mkdir(parents=True, exist_ok=True)
    cache.touch()
    by_age = sorted((p for p in caches.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for old in by_age[:-CACHES_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    config.nb_execution_cache_path = str(cache)
    prepare(root)


def forget_after_warnings(app: Sphinx, exception: Exception | None) -> None:
    """Make the next build read every page again if this one warned.

    Sphinx reports a warning, such as a failed chapter, only when it reads the page. A second build
    would find the page unchanged, say nothing, and pass.
    """
    if exception is not None or app._warncount:
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", choose_cache)
    app.connect("build-finished", forget_after_warnings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
