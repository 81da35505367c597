"""Names of executed copies of a chapter: other parameters have another name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NO_PRESET = "custom"
"""Stands for the preset where there is none."""

LONGEST = 120
"""Characters of the parameters in a name; more are hashed."""


def copy_name(chapter: str, preset: str | None, overrides: Mapping[str, Any]) -> str:
    """Return the file name of an executed copy; other parameters have another name.

    Values that have no plain form are hashed, and so are all together if they are many.
    """
    parts = [f"{name}-{_plain(overrides[name])}" for name in sorted(overrides)]
    together = ".".join(parts)
    if len(together) > LONGEST:
        parts = [_hash(together)]
    return ".".join([chapter, preset or NO_PRESET, *parts, "ipynb"])


def failed_copy(output: Path) -> Path:
    """Return where a chapter that failed is kept, in place of ``output``."""
    return output.with_suffix(".failed.ipynb")


def _plain(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9_]*", value):
        return value
    is_list = isinstance(value, list | tuple) and len(value) > 0
    if is_list and all(isinstance(each, int | float) for each in value):
        return "_".join(map(_plain, value))
    return f"_{_hash(repr(value))}"  # no plain text begins so; upper case is not everywhere its own


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
