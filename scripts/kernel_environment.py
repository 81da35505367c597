"""What every notebook kernel of this project runs with, and where the project writes.

The book build, ``run_chapter.py``, ``refresh_outputs.py``, ``open_lab.py`` and the tests all start
kernels. Each calls :func:`prepare` first, so that a chapter sees the same surroundings whoever runs
it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"


def build_folder(root: Path = ROOT) -> Path:
    """Return the folder of all that is built: ``_build`` in GMMTF_BUILD, else in the checkout."""
    chosen = os.environ.get("GMMTF_BUILD")
    return (Path(chosen).expanduser().absolute() if chosen else root) / "_build"


def writable(folder: Path) -> bool:
    """Whether files can be written in a folder, after making it where it is missing."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder in which nothing can be written, before there is anything to write.

    Raises
    ------
    ValueError
        With the name of the option that chose the folder.
    """
    if not writable(folder):
        raise ValueError(f"{option}: got {folder}, expected a folder that can be written")


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
    replace_unwritable_folders(root)


def replace_unwritable_folders(root: Path = ROOT) -> None:
    """Give matplotlib, IPython and Jupyter other folders where theirs cannot be written.

    So it is without a home folder, or with one that is read only. Left alone, they would fail, or
    complain in a cell, which is an error in a built page. A line on the error stream says so.
    """
    replaced = {}
    for variable, folders in _folders().items():
        unwritable = [f for f in folders if f.parts[0] == "~" or not writable(f)]
        if unwritable:
            place = build_folder(root) / "home" / variable.lower()
            if not writable(place):
                place = Path(tempfile.mkdtemp(prefix=f"gmmtf-{variable.lower()}-"))
                atexit.register(shutil.rmtree, place, ignore_errors=True)
            place.mkdir(parents=True, exist_ok=True)
            os.environ[variable] = str(place)
            replaced[str(unwritable[0])] = f"{variable}={place}"
    if replaced:
        where = f"{', '.join(replaced)} cannot be written; using {', '.join(replaced.values())}"
        print(f"warning: {where}", file=sys.stderr)


def _folders() -> dict[str, list[Path]]:
    """The folders in use, by the variable that sets them."""
    home = Path(os.path.expanduser("~"))  # stays "~" where there is none
    config, cache, data = (
        Path(os.environ.get(f"XDG_{kind}_HOME") or home / default)
        for kind, default in (
            ("CONFIG", ".config"),
            ("CACHE", ".cache"),
            ("DATA", ".local/share"),
        )
    )
    folders = {
        "MPLCONFIGDIR": [config / "matplotlib", cache / "matplotlib"],
        "IPYTHONDIR": [home / ".ipython"],
        "JUPYTER_CONFIG_DIR": [home / ".jupyter"],
        "JUPYTER_DATA_DIR": [data / "jupyter"],
        "JUPYTER_RUNTIME_DIR": [data / "jupyter" / "runtime"],
    }
    return {
        variable: [Path(os.environ[variable])] if os.environ.get(variable) else default
        for variable, default in folders.items()
    }
