"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a partial file beside ``path`` to write to, and rename it to ``path`` at the end.

    If the writing fails, or the process is killed, ``path`` holds what it held before. Missing
    folders are made, a leading ``~`` is the home folder, and the file gets the mode that the umask
    says, however it is written.
    """
    target = Path(path).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    # Process numbers repeat between hosts that share a disk.
    partial = target.with_name(f"{target.name}.{uuid4().hex[:12]}.partial")
    try:
        partial.touch(exist_ok=False)
        mode = partial.stat().st_mode
        yield partial
        partial.chmod(mode)  # some writers make a file of their own, for its owner alone
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
