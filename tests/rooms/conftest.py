"""Figures that a test draws are closed after it, and its style does not outlive it."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def own_figures() -> Iterator[None]:
    with matplotlib.rc_context():
        yield
    plt.close("all")
