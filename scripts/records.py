"""Say of every recorded result which code, commits, devices and days its points come from.

``current`` points were computed by the code as it is now: by the same module and all that it
imports, comments and docstrings apart. ``changed`` ones were computed by code that has changed
since; of ``unknown`` ones nobody noted the code. The command reports only; to compute points anew,
drop them (``Recording.drop``) and run the chapter's ``paper`` preset.

Example::

    python scripts/records.py
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from gmmtf.provenance import UNKNOWN, code_digest
from gmmtf.record import Recording
from gmmtf_book import RESULTS

STATES = ("current", "changed", UNKNOWN)
COLUMNS = ("points", *STATES, "commits", "devices", "dates", "note")


def state(code: str) -> str:
    """Whether the code of a point is as it was: ``current``, ``changed`` or ``unknown``."""
    module, colon, digest = code.partition(":")
    if not colon:
        return UNKNOWN
    try:
        return "current" if code_digest(module) == digest else "changed"
    except ValueError:  # the module is gone
        return "changed"


def row(path: Path) -> dict[str, Any]:
    """Return what is said of a file, or a note if it is no record."""
    try:
        record = Recording(path)
    except ValueError as error:
        return {"file": path.name, "note": str(error).removeprefix(f"{path}: ")}
    made = [point.provenance for point in record]
    states = Counter(state(one["code"]) for one in made)
    return {
        "file": path.name,
        "points": len(made),
        **{name: states[name] for name in STATES},
        "commits": _counted(str(one["commit"])[:10] for one in made),
        "devices": _counted(str(one["gpu"] or one["device"]) for one in made),
        "dates": _counted(one["date"] for one in made),
    }


def table(folder: Path) -> pd.DataFrame:
    """Return a row for every record of a folder; a file with a list holds no points."""
    paths = [path for path in sorted(folder.glob("*.json")) if not _is_list(path)]
    rows = pd.DataFrame([row(path) for path in paths], columns=["file", *COLUMNS])
    counts = {name: rows[name].astype("Int64") for name in ("points", *STATES)}
    return rows.assign(**counts).set_index("file")


def _counted(texts: Iterable[str]) -> str:
    found = Counter(texts)
    return ", ".join(f"{text} ({n})" if len(found) > 1 else text for text, n in found.items())


def _is_list(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), list)
    except ValueError:
        return False


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS, help="of the records")
    folder = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"folder: expected a folder of records, got {folder}")
    rows = table(folder)
    records = rows[rows.note.isna()].drop(columns="note")
    if len(records):
        print(records.to_string())
    for name, note in rows.note.dropna().items():
        print(f"{name}: {note}")


if __name__ == "__main__":
    main()
