"""The browser that tests open pages in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from draw_interactive import find_browser

HOW_TO_GET_ONE = (
    "no chromium found, so the pages were not opened in a browser; "
    "get one with `apt-get install chromium` (or put `chromium` on the PATH) and run again"
)


def executable() -> str:
    """Return the path of a Chromium; without one the test is skipped, or fails where it must be."""
    found = find_browser()
    if found is None:
        if os.environ.get("GMMTF_REQUIRE_BROWSER") == "1":
            pytest.fail(HOW_TO_GET_ONE)
        pytest.skip(HOW_TO_GET_ONE)
    return found


@contextmanager
def profile(folder: Path, **options: Any) -> Iterator[BrowserContext]:
    """Open the browser as a person has it, with a profile in a folder."""
    path = executable()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=path,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
            **options,
        )
        yield opened
        opened.close()
