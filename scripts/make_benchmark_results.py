"""Store the recorded results of the benchmark with the library, as plain numbers."""

from __future__ import annotations

from pathlib import Path

from gmmtf.benchmark import leaderboard

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "data" / "results" / "benchmark.json"
PATH = ROOT / "src" / "gmmtf" / "benchmark" / "results.csv"

if __name__ == "__main__":
    leaderboard.compact([RECORD]).to_csv(PATH, index=False)
    print(f"written to {PATH}")
