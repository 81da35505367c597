"""What every notebook kernel of this project runs with.

The book build, ``run_chapter.py``, ``refresh_outputs.py`` and the tests all start kernels. Each
calls :func:`prepare` first, so that a chapter sees the same surroundings whoever runs it.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"


def prepare(root: Path = ROOT) -> None:
    """Set the environment variables that kernels started from this process inherit.

    Parameters
    ----------
    root
        The checkout whose ``src`` the kernels import.
    """
    source = str(root / "src")
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != source]
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *others])
    # The kernel of this environment, not one that the user's home directory may hold.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    # No progress bars in stored outputs and built pages: tqdm reads its defaults from TQDM_*.
    os.environ["TQDM_DISABLE"] = "1"
    # A backend chosen outside would take the figures out of the notebook.
    os.environ.pop("MPLBACKEND", None)
    # The debugger's note about frozen modules would be an error output in a built page.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
