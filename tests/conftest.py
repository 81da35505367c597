"""What all tests share: one thread a process, no progress bars, and the long tests first."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes side by side, each with as many threads as there are cores, would slow each other
    # down. Kernels that a test starts inherit this.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

# tqdm reads its defaults from TQDM_* when it is imported: no test prints a progress bar.
os.environ["TQDM_DISABLE"] = "1"

# HYPOTHESIS_PROFILE=nightly tries ten thousand inputs a test, other ones each time.
checks = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("default", max_examples=500, derandomize=True, **checks)
settings.register_profile("nightly", max_examples=10_000, **checks)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# The build takes longest and cannot be split, so a process has to start on it at once; then the
# chapters, the longest of them first.
LONGEST_FIRST = ("test_built_book", "test_presets")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        for position, name in enumerate(LONGEST_FIRST):
            if name in item.nodeid:
                return position
        return len(LONGEST_FIRST)

    items.sort(key=rank)
