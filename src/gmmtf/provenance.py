"""What a recorded number was computed with, and whether that code has changed since."""

from __future__ import annotations

import ast
import hashlib
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import gmmtf
from gmmtf.arguments import checked

UNKNOWN = "unknown"
"""Stands for what nobody noted when the number was computed."""

FIELDS = (
    "commit", "clean", "code", "gmmtf", "python", "torch", "processor", "gpu", "device",
    "threads", "date", "seconds",
)  # fmt: skip
"""What every provenance says. ``commit``: of the checkout; ``clean``: whether its code was as
committed; ``code``: the module that computed the number, a colon, and its :func:`code_digest`;
``seconds``: how long the number took."""


@checked
def provenance(
    seconds: float, *, code: str | None = None, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """What a number that was just computed was computed with.

    Parameters
    ----------
    seconds
        How long it took.
    code
        Name of the module that computed it.
    device
        Where it was computed.
    """
    commit, clean = _checkout()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "commit": commit,
        "clean": clean,
        "code": UNKNOWN if code is None else f"{code}:{code_digest(code)}",
        "gmmtf": gmmtf.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.machine(),
        "gpu": gpu,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(seconds, 3),
    }


@cache
@checked
def code_digest(module: str) -> str:
    """Hash of the code of a module and of all modules of its project that it imports.

    Comments, docstrings and the form of the text do not count. Imports are read from the text, also
    those inside functions; of a package only the modules count from which a name is taken.

    Raises
    ------
    ValueError
        If there is no such module; a script or notebook that runs is none.
    """
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        tree = _tree(name)
        if tree is None:
            raise ValueError(f"code: expected the name of a module, got {name!r}")
        seen[name] = repr(_form(_without_docstrings(tree)))
        waiting += [found for found in _imported(name, tree) if found not in seen]
    text = "\n".join(f"{name} {seen[name]}" for name in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _checkout() -> tuple[str, bool | str]:
    """Commit of the checkout that this package runs from, and whether its code is as committed.

    A package that is installed may lie in the checkout of another project, which does not hold it.
    """

    def git(*words: str) -> str:
        folder = Path(__file__).parent
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD"), git("status", "--porcelain", "--", "..") == ""
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout of this project
        return UNKNOWN, UNKNOWN


def _file(name: str) -> Path | None:
    if name in ("", "__main__"):  # the latter is whatever program runs
        return None
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None  # among others, what is built in or compiled
    return Path(spec.origin)


def _tree(name: str) -> ast.Module | None:
    path = _file(name)
    return None if path is None else ast.parse(path.read_text(encoding="utf-8"))


def _imported(module: str, tree: ast.Module) -> list[str]:
    """Modules of the same projects that a module names in its imports."""
    ours = {"gmmtf", module.split(".")[0]}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in ours]
        elif (
            isinstance(node, ast.ImportFrom)
            and node.module
            and not node.level
            and node.module.split(".")[0] in ours
        ):
            found += [_home(node.module, a.name) for a in node.names]
    return [name for name in found if name not in ours]


def _home(module: str, name: str) -> str:
    """Where ``from module import name`` takes the name from, through the package's own imports."""
    path = _file(module)
    if path is None or path.name != "__init__.py":
        return module
    if _file(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and name in {a.name for a in node.names}
        ):
            return _home(node.module, name)
    return module


def _form(node: object) -> object:
    """A syntax tree as nested lists; without what is empty, which differs between Pythons."""
    if isinstance(node, ast.AST):
        fields = [(name, _form(value)) for name, value in ast.iter_fields(node)]
        return [type(node).__name__, *(f for f in fields if f[1] is not None and f[1] != [])]
    return [_form(entry) for entry in node] if isinstance(node, list) else node


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                entry
                for entry in body
                if not (isinstance(entry, ast.Expr) and isinstance(entry.value, ast.Constant))
            ]
    return tree
