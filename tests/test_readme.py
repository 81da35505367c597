"""The README's Python example runs as written and does what its comments say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUMBER = r"(\d[\d.]*(?:e[-+]\d+)?)"


def example() -> str:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S
    )
    assert len(blocks) == 1, f"expected one Python block in README.md, found {len(blocks)}"
    return blocks[0]


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What the example prints in a fresh interpreter in which a warning is an error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    environment["TQDM_DISABLE"] = "1"  # nothing else may print to the error stream
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example()],
        capture_output=True, env=environment, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def records(lines: list[str]) -> list[tuple[int, float]]:
    found = [re.fullmatch(rf"(\d+) {NUMBER} ± {NUMBER}", line) for line in lines]
    assert all(found), lines
    return [(int(match[1]), float(match[2])) for match in found if match]


def test_excess_risk_decreases(printed):
    steps, risks = zip(*records(printed[:-1]), strict=True)
    assert list(steps) == [0, 50, 100, 150, 200]
    assert risks[-1] < 0.15 * risks[0]
    assert risks[-1] == pytest.approx(min(risks), rel=0.1)
    assert risks[len(risks) // 2] < 0.5 * risks[0]


def test_attention_leaves_less_than_half_of_what_a_linear_filter_leaves(printed):
    match = re.fullmatch(rf"{NUMBER} ± {NUMBER} {NUMBER}", printed[-1])
    assert match, printed[-1]
    bayes, error, linear = (float(match[i]) for i in (1, 2, 3))
    assert 0 < bayes < bayes + linear < 1
    assert 0 < error < 0.01 * bayes
    assert records(printed[:-1])[-1][1] < linear / 2
