"""What every chapter's notebook does with its numbers."""

from __future__ import annotations

from collections.abc import Mapping

from myst_nb import glue


def glue_all(prefix: str, numbers: Mapping[str, object]) -> None:
    """Glue numbers and texts for the prose, as ``prefix-name`` each, without showing them."""
    for name, value in numbers.items():
        glue(f"{prefix}-{name}", value, display=False)
