"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gmmtf.arguments import checked

DAY = 86_400.0


@contextmanager
@checked
def replacing(path: str | os.PathLike[str], *, left_after: float = DAY) -> Iterator[Path]:
    """Give a partial file to write to, and make it ``path`` at the end.

    If the writing fails, or the process is killed, ``path`` holds what it held before. Missing
    folders are made, a leading ``~`` is the home folder, a link stays one, and the file gets the
    mode that the umask says, however it is written.

    The partial file has a folder of its own beside ``path``, since some writers make further files.
    A process that is killed leaves it there; a write that begins more than ``left_after`` seconds
    later removes it. Only who knows that nobody else is writing to ``path`` may make that less.
    """
    target = Path(path).expanduser().resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(target, left_after)
    with TemporaryDirectory(".partial", f"{target.name}.", target.parent) as folder:
        partial = Path(folder, target.name)
        partial.touch()
        mode = partial.stat().st_mode
        yield partial
        partial.chmod(mode)  # some writers make a file of their own, for its owner alone
        os.replace(partial, target)


def _remove_left(target: Path, after: float) -> None:
    """Remove the folders that killed processes left beside ``target``."""
    # The eight characters are tempfile's; with a star, `run` would match the folders of `run.2`.
    for folder in target.parent.glob(f"{glob.escape(target.name)}.????????.partial"):
        with suppress(OSError):  # it is another user's, or another process has removed it
            if folder.stat().st_mtime <= time.time() - after:
                shutil.rmtree(folder)
