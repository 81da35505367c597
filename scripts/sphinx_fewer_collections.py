"""Sphinx extension: Python looks for garbage less often during a build.

The documents of the book are a million objects that stay. Looking through them again and again for
circles that nobody holds is three quarters of a build without changes.
"""

from __future__ import annotations

import gc

from sphinx.application import Sphinx

THRESHOLDS = (100_000, 20, 100)
"""Allocations before a pass through the newest objects, and how many of these passes come before
one through older ones, and through all."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Change how often the collector runs."""
    gc.set_threshold(*THRESHOLDS)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
