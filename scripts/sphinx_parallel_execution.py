"""Sphinx extension: execute chapters side by side, before Sphinx reads them one after the other.

MyST-NB executes a notebook when its page is read, while a kernel of this book uses one core. Here
those that are not in the cache are executed as it would, in a few processes, and put there, so that
reading finds them. A chapter that fails is not put there: MyST-NB executes it again, and reports
the error where it belongs.
"""

from __future__ import annotations

from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import nbformat
from joblib import cpu_count
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import single_nb_execution
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

MOST_AT_A_TIME = 4
"""Kernels side by side: each may take a gigabyte."""


class Task(NamedTuple):
    """A notebook to execute, and the seconds that one of its cells may take."""

    path: Path
    timeout: int


class Done(NamedTuple):
    """An executed notebook, how long it took, and whether a cell failed."""

    path: Path
    notebook: nbformat.NotebookNode
    seconds: float
    failed: bool


def execute(task: Task) -> Done:
    """Execute a notebook in its folder."""
    notebook = read(task.path)
    result = single_nb_execution(
        notebook, cwd=str(task.path.parent), timeout=task.timeout, allow_errors=False
    )
    return Done(task.path, notebook, result.time, result.err is not None)


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook in the form that the cache compares."""
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def missing(cache: JupyterCacheAbstract, paths: list[Path]) -> list[Path]:
    """Return the notebooks that the cache does not hold."""

    def holds(path: Path) -> bool:
        try:
            cache.match_cache_notebook(read(path))
        except KeyError:
            return False
        return True

    return [path for path in paths if not holds(path)]


def processes(n_chapters: int) -> int:
    """How many chapters to execute at a time."""
    return min(n_chapters, int(cpu_count()), MOST_AT_A_TIME)


def execute_missing(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Execute the chapters that are about to be read and are not in the cache."""
    if app.config.nb_execution_mode != "cache":
        return []
    paths = [Path(env.doc2path(name)) for name in sorted(added | changed)]
    cache = get_cache(app.config.nb_execution_cache_path)
    chapters = missing(cache, [path for path in paths if path.suffix == ".ipynb"])
    n = processes(len(chapters))
    if n < 2:
        return []  # MyST-NB does as well
    # From the last one on: later chapters take longer, and what takes long should not come last.
    tasks = [Task(path, app.config.nb_execution_timeout) for path in reversed(chapters)]
    logger.info("executing %d notebooks, %d at a time", len(tasks), n)
    with Pool(n) as pool:
        for done in pool.imap_unordered(execute, tasks):
            if done.failed:
                logger.info("%s failed; it is executed again when it is read", done.path.name)
                continue
            logger.info("%s: Executed notebook in %.2f seconds", done.path.name, done.seconds)
            data = {"execution_seconds": done.seconds}
            bundle = CacheBundleIn(done.notebook, str(done.path), data=data)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("env-get-outdated", execute_missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
