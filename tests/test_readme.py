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


STEPS = 5


def test_excess_risk_decreases(printed):
    steps, risks = zip(*records(printed[:STEPS]), strict=True)
    assert list(steps) == [0, 50, 100, 150, 200]
    assert risks[-1] < 0.15 * risks[0]
    assert risks[-1] == pytest.approx(min(risks), rel=0.1)
    assert risks[len(risks) // 2] < 0.5 * risks[0]


def averages(lines: list[str]) -> dict[str, list[tuple[float, float]]]:
    """The numbers of each denoiser in the first table: three excess risks, loss, score error."""
    found = {}
    for line in lines:
        if match := re.fullmatch(rf"(\w+)((?: +-?{NUMBER} ± {NUMBER}){{5}})", line.rstrip()):
            pairs = re.findall(rf"(-?){NUMBER} ± {NUMBER}", match[2])
            found[match[1]] = [(float(sign + value), float(error)) for sign, value, error in pairs]
    return found


def test_attention_leaves_less_than_half_of_what_a_linear_filter_leaves(printed):
    table = averages(printed[STEPS:-1])
    assert list(table) == ["oracle", "bayes", "head", "linear", "zero"]
    excess = {name: row[0][0] for name, row in table.items()}
    loss, error = table["bayes"][3]
    assert 0 < loss < loss + excess["linear"] < 1
    assert 0 < error < 0.02 * loss
    assert excess["bayes"] == 0 > excess["oracle"]
    assert excess["head"] == pytest.approx(records(printed[:STEPS])[-1][1], rel=0.1)
    assert excess["head"] < excess["linear"] / 2
    match = re.fullmatch(rf"{NUMBER} ± {NUMBER}", printed[-1])
    assert match, printed[-1]
    assert float(match[1]) == pytest.approx(excess["linear"] - excess["head"], rel=0.01)
    assert float(match[2]) < 0.02 * float(match[1])
